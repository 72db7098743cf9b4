"""One worker a GPU: another GPU when one is busy, waiting when all are, an idle worker that makes room."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cachetop import api
from cachetop.conversion import cards, launch, workers
from cachetop.conversion.cards import Card, usable
from cachetop.conversion.folder import JobFolder
from cachetop.conversion.launch import JobHandle
from cachetop.conversion.report import examine
from support import fake_nvml
from support.standin import STANDIN, until

A, B = "GPU-11111111-2222-3333-4444-555555555555", "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two GPUs under the real bindings, the first with far more memory free, and workers without docling."""
    monkeypatch.setattr(launch, "WORKER", STANDIN)
    with fake_nvml.driver(fake_nvml.SCENARIOS / "two_gpus.json"):
        yield


@contextmanager
def at_work(**options: Any) -> Iterator[JobHandle]:
    """A job that works until the block ends."""
    handle = api.convert(["hang.pdf"], pipeline="standard", **options)
    try:
        yield handle
    finally:
        handle.cancel()


def gpu_of(handle: JobHandle) -> int | None:
    """The index of the GPU the job has."""
    until(lambda: handle.run().phases)
    gpu = handle.run().gpu
    return None if gpu is None else gpu.index


def test_the_second_job_takes_the_other_gpu_and_the_third_waits_for_one() -> None:
    with at_work() as one:
        assert gpu_of(one) == 0, "the GPU with most memory free"
        with at_work() as two:
            assert gpu_of(two) == 1
            third = api.convert(["good.pdf"], pipeline="standard")
            until(lambda: third.run().waiting)
            assert third.job().state == "queued"
            one.cancel()
            run = third.wait(20)
    assert run.status == "success" and run.gpu is not None
    assert (run.gpu.index, run.gpu.uuid) == (0, A)
    assert run.gpu.waited > 0
    told = next(event for event in third.events() if event["event"] == "environment")
    assert told["variables"]["CUDA_VISIBLE_DEVICES"] == A, "it sees no other GPU"
    verdict = {one.cause: one.message for one in examine(third.id).report.verdict}
    assert verdict["queue"].startswith("it waited") and f"job {one.id}" in verdict["queue"]


def test_a_job_that_waits_can_be_cancelled() -> None:
    with at_work() as one, at_work() as two:
        gpu_of(one), gpu_of(two)
        third = api.convert(["good.pdf"], pipeline="standard")
        until(lambda: third.run().waiting)
        job = third.cancel()
    assert job is not None and job.state == "cancelled"


def test_a_named_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    with at_work(device="cuda:1") as one:
        assert gpu_of(one) == 1
        two = api.convert(["good.pdf"], pipeline="standard", device="cuda:1")
        until(lambda: two.run().waiting)
        one.cancel()
        assert (two.wait(20).status, gpu_of(two)) == ("success", 1)


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"pipeline": "native"}])
def test_without_a_model_on_a_gpu_none_is_taken(options: dict[str, str]) -> None:
    handle = api.convert(["good.pdf"], **{"pipeline": "standard", **options})  # type: ignore[arg-type]
    assert handle.wait(20).gpu is None
    assert not JobFolder(handle.folder).spec().get("gpus")


@pytest.mark.parametrize(
    ("seen", "order", "device", "found"),
    [
        (None, None, "auto", [0, 1]),
        (None, None, "cuda:1", []),  # CUDA's own order of two kinds is not known here
        (None, "PCI_BUS_ID", "cuda:1", [1]),
        (None, "PCI_BUS_ID", "cuda:7", []),
        (B, None, "cuda:0", [1]),
        (B[:9], None, "auto", [1]),
        ("1,0", "PCI_BUS_ID", "cuda:0", [1]),
        ("1", None, "auto", []),
        ("", None, "auto", []),
        ("0,-1,1", "PCI_BUS_ID", "auto", [0]),
        ("MIG-abc", None, "auto", []),
    ],
)
def test_what_the_environment_lets_be_seen(seen: str | None, order: str | None, device: str, found: list[int]) -> None:
    both = [Card(0, A, "H100"), Card(1, B, "RTX 4090")]
    env = {
        name: value
        for name, value in (("CUDA_VISIBLE_DEVICES", seen), ("CUDA_DEVICE_ORDER", order))
        if value is not None
    }
    assert [card.index for card in usable(both, device, env)] == found


def test_one_at_work_for_others_comes_last() -> None:
    idle, used = Card(0, A, "H100", free=10, utilization=3), Card(1, B, "H100", free=99, utilization=97)
    assert [card.index for card in cards.ordered([used, idle], [])] == [0, 1]


def test_an_idle_worker_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """All GPUs have a worker: the one that has idled longest is ended."""
    ended = []

    def end(one: workers.Live) -> bool:
        ended.append(one.pid)
        return True

    monkeypatch.setattr(workers, "end", end)
    there = [
        workers.Live(Path("/x/1.sock"), 11, {"busy": False, "gpu": A, "idle_seconds": 5.0}),
        workers.Live(Path("/x/2.sock"), 22, {"busy": False, "gpu": B, "idle_seconds": 50.0}),
        workers.Live(Path("/x/3.sock"), 33, {"busy": True, "gpu": B, "idle_seconds": None}),
    ]
    held = []
    for uuid in (A, B):
        lock = os.open(workers.private_folder() / f"{uuid}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        held.append(lock)
    try:
        found = cards.ordered([Card(0, A, "x", free=90), Card(1, B, "x", free=1)], there)
    finally:
        for lock in held:
            os.close(lock)
    assert ended == [22]
    assert [(card.index, card.taken, card.free) for card in found] == [(1, False, None), (0, True, 90)]


def test_the_budget_of_the_configuration_reaches_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHETOP_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text('[convert]\nvram-budget = "6GB"\n')
    handle = api.convert(["good.pdf"], pipeline="standard", keep_warm=5)
    assert JobFolder(handle.folder).spec()["vram_budget"] == 6 * 10**9
    handle.wait(20)


def test_a_worker_over_its_budget_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachetop.conversion.worker.job import Job
    from cachetop.conversion.worker.lifecycle import Worker

    emptied = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 2, memory_reserved=lambda gpu: 3 << 20,
        empty_cache=lambda: emptied.append(True),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for budget, kept in ((6 << 20, 60.0), ((6 << 20) - 1, 0.0), (None, 60.0)):
        worker = Worker()
        worker.desk.keep_warm = 60.0
        job = Job(
            "j",
            str(tmp_path),
            (),
            "standard",
            "auto",
            ("md",),
            None,
            False,
            60,
            False,
            None,
            None,
            {},
            vram_budget=budget,
        )
        worker.recorder.open(str(tmp_path / f"{kept}-{budget}.jsonl"), "j")
        worker._mind_budget(job)
        assert worker.desk.keep_warm == kept
        assert ("budget" in (tmp_path / f"{kept}-{budget}.jsonl").read_text()) is (kept == 0)
    assert len(emptied) == 2, "what holds no tensor is given back before it is counted"
