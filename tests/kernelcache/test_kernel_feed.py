"""The live picture: what was touched is read and nothing else, stages follow, a burst is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachetop.inventory.kernel_feed import KernelFeed
from cachetop.inventory.updates import KernelsChanged, Update
from cachetop.kernelcache.records import Entry
from cachetop.locations import Location
from cachetop.watch import Target, Watcher
from support.triton_cache import key_of, synthetic, write_entry

BURST = 150


def _key(word: str) -> str:
    return key_of(hashlib.sha256(word.encode()).digest())


class _Seen:
    """What a feed published."""

    def __init__(self) -> None:
        self.updates: list[KernelsChanged] = []
        self.appeared: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, update: Update) -> None:
        assert isinstance(update, KernelsChanged)
        with self.lock:
            self.updates.append(update)
            self.appeared |= {path for _, path in update.appeared}

    def entry(self, key: str) -> Entry | None:
        entries = self.updates[-1].kernels.entries if self.updates else ()
        return next((entry for entry in entries if entry.key == key), None)


def _feed(root: Path, seen: _Seen, sms: Callable[[], list[str] | None] = lambda: None) -> KernelFeed:
    return KernelFeed(seen, [Location("triton", str(root), "")], sms)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return synthetic(tmp_path / "cache", 50)


def test_a_touched_entry_is_read_without_listing_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _Seen()
    feed = _feed(root, seen)
    feed.look()
    write_entry(root, _key("untold"), triton_version="3.8.0")
    write_entry(root, _key("told"), triton_version="3.8.0")
    listed: list[object] = []
    real = os.listdir

    def listdir(path: int) -> list[str]:
        names = real(path)
        listed.append(len(names))
        return names

    monkeypatch.setattr(os, "listdir", listdir)
    feed.touched(str(root / _key("told") / "add_kernel.ptx"))
    feed.look()
    assert max(map(int, map(str, listed))) < 12
    monkeypatch.undo()
    assert seen.appeared == {_key("told")}
    told = seen.entry(_key("told"))
    assert told is not None and told.producer.triton == "3.8.0"
    feed.wake()
    feed.look()
    assert seen.appeared == {_key("told"), _key("untold")}
    shutil.rmtree(root / _key("told"))
    feed.touched(str(root / _key("told")))
    feed.look()
    assert seen.entry(_key("told")) is None


def test_nothing_new_publishes_nothing_and_keeps_the_objects(root: Path) -> None:
    seen = _Seen()
    feed = _feed(root, seen)
    feed.look()
    before = seen.updates[-1].kernels.entries
    many = len(seen.updates)
    for _ in range(3):
        feed.wake()
        assert feed.look() > 0
    assert len(seen.updates) == many
    write_entry(root, _key("new"))
    feed.wake()
    feed.look()
    kept = {id(entry) for entry in seen.updates[-1].kernels.entries}
    assert all(id(entry) in kept for entry in before)


def test_stages_follow_each_other(root: Path) -> None:
    seen = _Seen()
    feed = _feed(root, seen)
    feed.look()
    folder = root / _key("flight")
    folder.mkdir()
    feed.touched(str(folder))
    pauses = [feed.look()]
    stages = []
    for ending in ("source", "ttir", "ptx"):
        (folder / f"add_kernel.{ending}").write_text("x")
        pauses.append(feed.look())
        entry = seen.entry(_key("flight"))
        assert entry is not None
        stages.append((entry.state, entry.stage))
    assert stages == [("compiling", "source"), ("compiling", "ttir"), ("compiling", "ptx")]
    assert max(pauses) <= 0.05


def test_a_gpu_that_becomes_known_judges_every_entry(root: Path) -> None:
    seen, here = _Seen(), list[list[str] | None]([None])
    feed = _feed(root, seen, lambda: here[0])
    feed.look()
    foreign = {
        entry.key for entry in seen.updates[-1].kernels.entries for one in entry.stale if one.rule == "foreign-sm"
    }
    assert not foreign
    here[0] = ["sm_90"]
    feed.look()
    entries = seen.updates[-1].kernels.entries
    assert all((entry.sm == ("sm_90",)) != any(one.rule == "foreign-sm" for one in entry.stale) for entry in entries)


def test_a_newer_release_makes_older_entries_superseded_soon(tmp_path: Path, world: Path) -> None:
    root = tmp_path / "cache"
    write_entry(root, _key("old"), triton_version="0.1.0")
    write_entry(root, _key("older"), triton_version="0.0.9")
    seen = _Seen()
    feed = _feed(root, seen)
    feed.look()
    write_entry(root, _key("new"), triton_version="0.2.0")
    feed.touched(str(root / _key("new")))
    pause = feed.look()
    assert pause < 5
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        feed.look()
        old = seen.entry(_key("old"))
        if old is not None and "superseded" in [one.rule for one in old.stale]:
            return
        time.sleep(0.05)
    pytest.fail("the older entries were not judged again")


@pytest.fixture
def running(root: Path) -> Iterator[_Seen]:
    seen = _Seen()
    feed = _feed(root, seen)
    watcher = Watcher(lambda name: feed.wake(), lambda name, path: feed.touched(path))
    feed.start()
    watcher.start()
    watcher.watch([Target("triton", str(root), files=False)])
    yield seen
    watcher.stop()
    feed.stop()


def test_a_burst_is_seen_whole_and_soon(running: _Seen, root: Path) -> None:
    deadline = time.monotonic() + 10
    while not running.updates and time.monotonic() < deadline:
        time.sleep(0.01)
    keys = [_key(f"burst {n}") for n in range(BURST)]
    for key in keys:
        write_entry(root, key)
    deadline = time.monotonic() + 15
    complete: set[str] = set()
    while time.monotonic() < deadline and not complete >= set(keys):
        with running.lock:
            complete = {e.key for e in running.updates[-1].kernels.entries if e.state == "complete"}
        time.sleep(0.02)
    assert complete >= set(keys)
    assert running.appeared >= set(keys)


def test_what_comes_during_the_second_pass_is_shown_before_its_end(tmp_path: Path) -> None:
    root = synthetic(tmp_path / "cache", 3000)
    seen = _Seen()
    feed = _feed(root, seen, lambda: ["sm_90"])
    made: list[str] = []

    def publish(update: Update) -> None:
        seen(update)
        if len(seen.updates) == 1:  # the first rows are on the screen, the second pass is to come
            made.append(_key("told"))
            feed.touched(str(write_entry(root, made[0])))

    feed.publish = publish
    feed.look()
    first = next(n for n, update in enumerate(seen.updates) if ("triton", made[0]) in update.appeared)
    shown = [sum(bool(entry.producer.triton or entry.stale) for entry in u.kernels.entries) for u in seen.updates]
    assert shown[first] < 1000 < shown[-1]
    assert seen.entry(made[0]) is not None
    assert len(seen.updates[-1].kernels.entries) == 3001


def test_a_feed_that_stops_leaves_its_second_pass(tmp_path: Path) -> None:
    root = synthetic(tmp_path / "cache", 3000)
    seen = _Seen()
    feed = _feed(root, seen)

    def publish(update: Update) -> None:
        seen(update)
        feed.stop()

    feed.publish = publish
    feed.look()
    assert len(seen.updates) == 1


def _inductor(root: Path, covered: list[str]) -> tuple[_Seen, KernelFeed]:
    for n in range(40):
        folder = root / f"a{chr(97 + n % 26)}" if n < 26 else root / "fxgraph" / f"b{chr(97 + n % 26)}" / f"f{n}"
        folder.mkdir(parents=True)
        (folder / f"c{n}.py").write_text("x = 1\n")
    seen = _Seen()
    return seen, KernelFeed(seen, [Location("inductor", str(root), "")], lambda: None, 0.0, lambda: covered)


def test_a_covered_inductor_cache_is_not_polled_and_misses_nothing_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "inductor"
    covered = [str(root)]
    seen, feed = _inductor(root, covered)
    feed.look()
    (root / "aa" / "cuntold.py").write_text("x = 1\n")
    (root / "ab" / "ctold.py").write_text("x = 1\n")
    feed.touched(str(root / "ab" / "ctold.py"))
    opens: list[object] = []
    real = os.open

    def count(path: str, *rest: int, **more: int) -> int:
        opens.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", count)
    feed.look()
    monkeypatch.undo()
    assert "ab" in opens and "aa" not in opens
    assert seen.appeared == {"ab/ctold"}
    shutil.rmtree(root / "fxgraph" / "ba")  # told of as one folder, as a move out of the cache is
    feed.touched(str(root / "fxgraph" / "ba"))
    feed.look()
    assert not [entry for entry in seen.updates[-1].kernels.entries if entry.path.startswith("fxgraph/ba/")]
    covered.clear()
    feed.look()
    assert "aa/cuntold" in seen.appeared


def test_being_woken_looks_at_covered_caches_too(tmp_path: Path) -> None:
    root = tmp_path / "inductor"
    seen, feed = _inductor(root, [str(root)])
    feed.look()
    (root / "zz").mkdir()
    (root / "zz" / "cnew.py").write_text("x = 1\n")
    feed.look()
    assert not seen.appeared
    feed.wake()
    feed.look()
    assert seen.appeared == {"zz/cnew"}


def test_every_piece_of_a_covered_inductor_cache_comes_through_the_watcher(tmp_path: Path) -> None:
    root = tmp_path / "inductor"
    seen, feed = _inductor(root, [str(root)])
    watcher = Watcher(lambda name: feed.wake(), lambda name, path: feed.touched(path))
    watcher.start()
    watcher.watch([Target("inductor", str(root), recursive=True)])
    feed.start()
    deadline = time.monotonic() + 10
    while not seen.updates and time.monotonic() < deadline:
        time.sleep(0.01)
    wanted = {"ac/cnew", "yy/cnew", "fxgraph/yy/fnew", "aotautograd/anew", f"triton/0/{_key('inner')}", "locks"}
    for path in ("ac/cnew.py", "yy/cnew.py", "fxgraph/yy/fnew/x", "aotautograd/anew/x", "locks/x.lock"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x = 1\n")
    (root / "triton" / "0").mkdir(parents=True)
    write_entry(root / "triton" / "0", _key("inner"))
    os.rename(root / "ad", tmp_path / "elsewhere")
    gone = {entry.path for entry in seen.updates[-1].kernels.entries if entry.path.startswith("ad/")}
    assert gone
    while time.monotonic() < deadline:
        entries = {entry.path: entry.state for entry in seen.updates[-1].kernels.entries}
        if wanted <= entries.keys() and not gone & entries.keys() and "compiling" not in entries.values():
            break
        time.sleep(0.02)
    watcher.stop()
    feed.stop()
    assert wanted <= entries.keys()
    assert not gone & entries.keys()
    assert entries[f"triton/0/{_key('inner')}"] == "complete"
