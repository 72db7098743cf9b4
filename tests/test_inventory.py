"""The live picture: what appears is published while it appears, and nothing that hangs holds it up."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachetop.conversion.folder import Listing, create
from cachetop.conversion.records import Jobs, Run
from cachetop.gpu.records import Gpus
from cachetop.inventory import (
    GpusChanged,
    Inventory,
    KernelsChanged,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)
from cachetop.inventory.changes import Changes
from cachetop.kernelcache.detail import with_detail as kernel_detail
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner as KernelScanner
from cachetop.locations import Location
from support.triton_cache import synthetic

KEY = "A" * 52


class Silent:
    """A driver that does not answer."""

    def open(self) -> None:
        """Never returns within a test."""
        threading.Event().wait(30)

    def sample(self) -> Gpus:
        """Not reached."""
        return Gpus()


class Log:
    """Everything an inventory said, with a way to wait for something."""

    def __init__(self) -> None:
        self.updates: queue.Queue[Update] = queue.Queue()
        self.seen: list[Update] = []

    def until(self, fits: Callable[[Update], bool], seconds: float = 10.0) -> Update:
        deadline = time.monotonic() + seconds
        while True:
            update = self.updates.get(timeout=max(0.01, deadline - time.monotonic()))
            self.seen.append(update)
            if fits(update):
                return update


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    hub, triton = tmp_path / "hub", tmp_path / "triton"
    hub.mkdir()
    triton.mkdir()
    return hub, triton


@pytest.fixture
def live(roots: tuple[Path, Path]) -> Iterator[tuple[Inventory, Log]]:
    hub, triton = roots
    log = Log()
    inventory = Inventory(
        hub=[Location("hub", str(hub), "test")], kernels=[Location("triton", str(triton), "test")], gpu=Silent()
    )
    inventory.subscribe(log.updates.put)
    inventory.start()
    for first in (KernelsChanged, WatchChanged):  # in whichever order they come
        if not any(isinstance(update, first) for update in log.seen):
            log.until(lambda update, first=first: isinstance(update, first))  # type: ignore[misc]
    yield inventory, log
    inventory.stop()


def _kernel(update: Update) -> str | None:
    """The state and stage of the one kernel there, if it is one."""
    if isinstance(update, KernelsChanged) and update.kernels.entries:
        entry = update.kernels.entries[0]
        return entry.stage if entry.state == "compiling" else entry.state
    return None


def test_a_kernel_is_seen_appearing_stage_by_stage(live: tuple[Inventory, Log], roots: tuple[Path, Path]) -> None:
    _, log = live
    entry = roots[1] / KEY
    entry.mkdir()
    (entry / "add_kernel.ttir").write_text("x")
    began = time.perf_counter()
    first = log.until(lambda u: _kernel(u) == "ttir")
    assert time.perf_counter() - began < 1
    assert isinstance(first, KernelsChanged)
    assert any(("triton", KEY) in u.appeared for u in log.seen if isinstance(u, KernelsChanged))
    (entry / "add_kernel.ptx").write_text(".version 8.8\n.target sm_90a\n")
    log.until(lambda u: _kernel(u) == "ptx")
    (entry / "add_kernel.json").write_text(
        json.dumps({"target": {"backend": "cuda", "arch": 90}, "name": "add_kernel"})
    )
    children = {name: str(entry / name) for name in os.listdir(entry)}
    (entry / "__grp__add_kernel.json").write_text(json.dumps({"child_paths": children}))
    done = log.until(lambda u: _kernel(u) == "complete")
    assert isinstance(done, KernelsChanged)
    assert done.kernels.entries[0].sm == ("sm_90",)


def test_a_repo_and_its_growing_download_are_published(live: tuple[Inventory, Log], roots: tuple[Path, Path]) -> None:
    _, log = live
    blobs = roots[0] / "models--org--name" / "blobs"
    blobs.mkdir(parents=True)
    partial = blobs / f"{'0' * 64}.0123abcd.incomplete"
    partial.write_bytes(b"x" * 4096)

    def bytes_of(update: Update) -> int | None:
        if isinstance(update, ModelsChanged) and update.models.repos and update.models.repos[0].partials:
            return update.models.repos[0].partials[0].bytes
        return None

    log.until(lambda u: bytes_of(u) == 4096)
    with partial.open("ab") as file:
        file.write(b"x" * 8192)
    log.until(lambda u: bytes_of(u) == 12288)


def test_a_silent_driver_is_said_and_holds_up_nothing(live: tuple[Inventory, Log]) -> None:
    inventory, log = live
    update = log.until(lambda u: isinstance(u, GpusChanged) and u.gpus.waiting is not None)
    assert isinstance(update, GpusChanged)
    assert "has not answered" in (update.gpus.reason or "")
    began = time.perf_counter()
    inventory.stop()
    assert time.perf_counter() - began < 0.5


def test_nothing_is_said_while_nothing_changes(live: tuple[Inventory, Log]) -> None:
    _, log = live
    time.sleep(2.5)
    while not log.updates.empty():
        log.updates.get()
    time.sleep(2.5)
    left = [log.updates.get() for _ in range(log.updates.qsize())]
    assert [u for u in left if not isinstance(u, GpusChanged)] == []


def test_snapshots_become_events(live: tuple[Inventory, Log], roots: tuple[Path, Path]) -> None:
    _, log = live
    changes = Changes()
    for update in log.seen:
        list(changes.of(update))
    entry = roots[1] / KEY
    entry.mkdir()
    (entry / "k.ttir").write_text("x")
    log.until(lambda u: _kernel(u) == "ttir")
    (entry / "k.ttir").unlink()
    entry.rmdir()
    log.until(lambda u: isinstance(u, KernelsChanged) and not u.kernels.entries)
    events = [event for update in log.seen for event in changes.of(update)]
    mine = [event["event"] for event in events if event.get("key") == KEY]
    assert mine[0] == "entry-appeared"
    assert mine[-1] == "entry-removed"
    assert {event["cache"] for event in events if event.get("key") == KEY} == {"triton"}


def test_the_second_pass_is_no_change_of_a_repo(tmp_path: Path) -> None:
    from cachetop.hub.detail import with_detail
    from cachetop.hub.scan import Scanner

    repo = tmp_path / "models--org--name"
    (repo / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "blobs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    (repo / "blobs" / "b1").write_text("{}")
    (repo / "snapshots" / ("a" * 40) / "config.json").symlink_to("../../blobs/b1")
    trees = repo / "trees"
    trees.mkdir()
    whole = {"format_version": 1, "files": {"config.json": {"size": 2, "blob_id": "b1"}}}
    (trees / f"{'a' * 40}.json").write_text(json.dumps(whole))
    scanner = Scanner([Location("hub", str(tmp_path), "test")])
    graph = scanner.scan()
    detailed = with_detail(graph, scanner)
    assert detailed != graph
    changes = Changes()
    assert list(changes.of(ModelsChanged(graph))) == []
    assert list(changes.of(ModelsChanged(detailed))) == []


def test_the_first_scan_and_the_second_pass_are_no_changes_of_kernels(tmp_path: Path) -> None:
    root = tmp_path / "copied"
    synthetic(tmp_path / "made", 700)
    (tmp_path / "made").rename(root)  # now every group file points elsewhere
    scanner = KernelScanner([Location("triton", str(root), "the test says so")])
    partly: list[Kernels] = []
    monotonic = iter(range(10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cachetop.kernelcache.scan.time.monotonic", lambda: float(next(monotonic)))
        first = scanner.scan(progress=partly.append)
    assert partly and all(one.scanning for one in partly) and 0 < len(partly[0].entries) < 700
    detailed = kernel_detail(first, scanner, None)
    assert {entry.state for entry in detailed.entries} == {"relocated"}
    changes = Changes()
    assert not [event for one in (*partly, first, detailed) for event in changes.of(KernelsChanged(one))]


def test_a_watched_conversion_shows_no_credential(world: Path) -> None:
    job = create({"files": ["a.pdf"], "pipeline": "native"})
    told = {"event": "warning", "seq": 1, "time": 1.0, "message": "401 for https://x?token=hf_abcdefghijklm"}
    changes = Changes()
    run = Run(job=Listing().jobs()[0])
    assert list(changes.of(RunsChanged(Jobs(), (run,)))) == []
    job.events.write_text(json.dumps(told) + "\n")
    (event,) = changes.of(RunsChanged(Jobs(), (run,)))
    assert event["job"] == job.id and "hf_abc" not in event["message"] and "401" in event["message"]
