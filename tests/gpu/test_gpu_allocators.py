"""What a worker says of its VRAM: the events it writes, the picture folded from them, what its loads added."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cachetop.conversion.fold import Fold
from cachetop.conversion.records import Allocated, Job, Load, Run
from cachetop.conversion.usage import vram_use, weights_on
from cachetop.conversion.worker.nvml import Nvml
from cachetop.conversion.worker.vram import Sampler
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.holdings import Index
from cachetop.gpu.processes import Processes
from cachetop.gpu.records import Process
from cachetop.gpu.source import NvmlSource
from cachetop.hub.scan import Scanner
from cachetop.locations import Location
from support import fake_nvml
from support.gpu_process import GpuProcess, cached_model, inode, scenario_with

MIB = 2**20
JOB = Job(id="1", state="running", files=(), pipeline="auto", device="cuda", started=0.0, seconds=None, folder="")


COMMIT = "a" * 40


class Gpu0:
    """One GPU of the fake driver with one process on it."""

    def __init__(self, tmp_path: Path, index: Index, pid: int) -> None:
        self.attribution = Attribution(lambda: index)
        self._source = NvmlSource(self.attribution, Processes(False), pci=str(tmp_path / "no-pci"))
        self._scenario = scenario_with({"pid": pid, "used": 2**30})

    def process(self) -> Process:
        with fake_nvml.driver(self._scenario):
            self._source.open()
            (process,) = self._source.sample().gpus[0].processes
        return process


@dataclass
class Cuda:
    """torch.cuda as far as the sampler asks; `asked` are the GPUs on which a context would be made."""

    held: list[tuple[int, int]]
    asked: list[int] = field(default_factory=list)

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return len(self.held)

    def memory_allocated(self, gpu: int) -> int:
        return self.held[gpu][0]

    def memory_reserved(self, gpu: int) -> int:
        return self.held[gpu][1]

    def max_memory_allocated(self, gpu: int) -> int:
        return self.held[gpu][0] + MIB // 2

    def reset_peak_memory_stats(self, gpu: int) -> None:
        """Nothing: the peak follows what is held."""

    def mem_get_info(self, gpu: int) -> tuple[int, int]:
        self.asked.append(gpu)
        return 10 * MIB, 100 * MIB

    def get_device_properties(self, gpu: int) -> SimpleNamespace:
        return SimpleNamespace(uuid=f"abc-{gpu}") if gpu else SimpleNamespace()


@dataclass
class Recorded:
    """Takes events instead of writing them."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, "time": float(len(self.events)), **fields})


def test_only_gpus_that_torch_holds_memory_on_are_asked_and_only_changes_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, recorded = Cuda([(0, 0), (5 * MIB, 8 * MIB)]), Recorded()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    sampler = Sampler(recorded)  # type: ignore[arg-type]
    sampler.look()
    sampler.look()
    assert set(cuda.asked) == {1}
    assert [event["uuid"] for event in recorded.events] == ["GPU-abc-1"]
    cuda.held = [(MIB, 2 * MIB), (6 * MIB, 8 * MIB)]
    sampler.look()
    assert [(event["gpu"], event["uuid"]) for event in recorded.events[1:]] == [(0, None), (1, "GPU-abc-1")]
    fold = Fold(JOB)
    for event in recorded.events:
        fold.feed(event)
    assert fold.run().allocators == (
        Allocated(gpu=0, time=1.0, allocated=MIB, reserved=2 * MIB, peak=3 * MIB // 2),
        Allocated(gpu=1, time=2.0, allocated=6 * MIB, reserved=8 * MIB, uuid="GPU-abc-1", peak=13 * MIB // 2),
    )


@pytest.mark.parametrize("stride", [24, 32])
def test_the_driver_tells_what_the_process_holds_besides_torch(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker reads NVML by itself, in both sizes its lists come in; the rest is the context."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda([(0, 0), (5 * MIB, 8 * MIB)])))
    other, own = {"pid": 4242, "used": 7 * MIB}, {"pid": "$self", "used": 308 * MIB}
    recorded = Recorded()
    scenario = {**scenario_with(other, own), "process_struct": stride}
    scenario["devices"][0]["uuid"] = "GPU-abc-1"
    with fake_nvml.driver(scenario) as library:
        Sampler(recorded, gpu=3, nvml=Nvml(library)).look()  # type: ignore[arg-type]
        assert Nvml(library).held("GPU-abc-1", 1) is None and Nvml(library).held("GPU-none") is None
    [event] = recorded.events
    assert (event["gpu"], event["process"]) == (3, 308 * MIB)
    fold = Fold(JOB)
    fold.feed({"event": "phase-started", "phase": "convert", "time": 0.0})
    fold.feed(
        {"event": "model-loaded", "repo": "org/m", "bytes": 9, "seconds": 1.0, "device": "cuda:3", "vram": 4 * MIB}
    )
    fold.feed(event)
    [use] = vram_use(fold.run())
    assert (use.gpu, use.weights, use.context, use.kept) == (3, {"org/m": 4 * MIB}, 300 * MIB, 3 * MIB)
    assert use.phases == {"convert": 90 * MIB} and use.peak == 90 * MIB
    assert use.activations == 3 * MIB // 2, "the most in tensors, less the weights"


def test_an_event_without_the_allocator_tells_none() -> None:
    fold = Fold(JOB)
    fold.feed({"event": "vram", "gpu": 0, "used": 5, "allocated": 1})
    fold.feed({"event": "vram", "gpu": 10**9, "used": 5, "allocated": 1, "reserved": 1})
    assert fold.run().allocators == () and len(fold.run().vram) == 2


def test_what_loads_added_is_summed_or_unknown() -> None:
    load = Load(repo="org/m", path=None, revision=None, bytes=9, resident_before=None, started=0.0, seconds=1.0)

    def loaded(*changes: dict[str, Any], gpu: int = 0) -> int | None:
        loads = tuple(msgspec.structs.replace(load, **change) for change in changes)
        return sum(weights_on(Run(job=JOB, device="cuda:0", loads=loads), gpu).values()) or None

    one, two = {"device": "cuda:0", "vram": 3}, {"device": None, "vram": 4}
    assert loaded(one, two) == 7
    assert loaded(one, {"device": "cpu"}, {"device": "cuda:1", "vram": 5}) == 3
    assert loaded(one, {"device": "cuda:0", "vram": None}) is None
    assert loaded(one, {"device": "cuda:0", "seconds": None}) is None, "it loads still"
    assert loaded(one, gpu=1) is None


def test_weights_are_part_of_what_is_allocated_or_unknown(tmp_path: Path) -> None:
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, {}, child.pid)

        def weights() -> int | None:
            process = gpu.process()
            assert process.allocator is not None
            return process.allocator.weights

        # the driver calls a MIG instance otherwise than torch does: alone on its row it is the one
        gpu.attribution.report_allocator(child.pid, None, 300, 400, "GPU-of-torch")
        assert weights() is None
        gpu.attribution.report_weights(child.pid, None, 200, "GPU-of-torch")
        assert weights() == 200
        gpu.attribution.report_allocator(child.pid, None, 100, 400, "GPU-of-torch")
        assert weights() is None, "more than is allocated: what it loaded has gone since"


def test_the_scanner_says_of_which_type_a_repo_is(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    (model,) = cached_model(hub, "org/model", COMMIT)
    (data,) = cached_model(hub, "org/images", COMMIT, ("data.bin",))
    (hub / "models--org--images").rename(hub / "datasets--org--images")
    data = hub / "datasets--org--images" / "blobs" / data.name
    scanner = Scanner([Location("hub", str(hub), "test")])
    scanner.scan()
    index = scanner.inodes()
    assert [owner.type for found in (model, data) for owner in index[inode(found)]] == ["model", "dataset"]
    with GpuProcess() as child:
        child.map(data)
        child.map(model)
        assert [held.repo for held in Gpu0(tmp_path, index, child.pid).process().models] == ["org/model"]
