"""What cachetop's own workers report is known to a single look too, and of a resident worker between its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

import cachetop
from cachetop.conversion.records import Job, Load, Run, Worker
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.processes import start_ticks
from cachetop.gpu.records import Gpu, Gpus, HeldModel, Process
from cachetop.inventory.reports import tell
from support import fake_nvml
from support.gpu_process import GpuProcess, scenario_with
from support.running import running_job
from support.running import tell as tell_events

MIB = 2**20
SCRIPT = "/opt/venv/lib/python3.12/site-packages/cachetop/conversion/worker"


def models_of(attribution: Attribution, pid: int) -> tuple[HeldModel, ...]:
    row = Process(pid=pid, user=None, command=None, memory=MIB, ticks=start_ticks(pid))
    gpu = Gpu(
        index=0, uuid="GPU-0", name="x", sm=None, memory=None, utilization=None, temperature=None, power=None,
        processes=(row,), unattributed=None,
    )  # fmt: skip
    return attribution.attach(Gpus(available=True, gpus=(gpu,))).gpus[0].processes[0].models


def test_a_single_look_knows_what_a_running_worker_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachetop.gpu.processes.in_nested_namespace", lambda: False)
    loaded = {
        "event": "model-loaded", "repo": "org/m", "path": None, "bytes": 5 * MIB, "seconds": 1.0, "device": "cuda:0",
        "vram": 7 * MIB,
    }  # fmt: skip
    device = {"event": "device", "chosen": "cuda:0", "checks": []}
    allocator = {"event": "vram", "gpu": 0, "used": 9 * MIB, "allocated": 8 * MIB, "reserved": 10 * MIB}
    with (
        GpuProcess(SCRIPT) as worker,
        running_job(worker.pid) as events,
        fake_nvml.driver(scenario_with({"pid": worker.pid, "used": 30 * MIB})),
    ):
        tell_events(events, device, loaded, allocator)
        (process,) = cachetop.gpus().gpus[0].processes
    (model,) = process.models
    assert (model.repo, model.evidence, model.bytes) == ("org/m", "reported", 7 * MIB)
    assert process.allocator is not None and process.allocator.weights == 7 * MIB
    assert process.context == 20 * MIB, "the rest of what the driver counts"


def test_a_resident_worker_says_what_it_holds_between_its_jobs() -> None:
    with GpuProcess() as child:
        worker = Worker(
            id="w", pid=child.pid, python="python", device="cuda:0", models=("org/m", "layout_cdla.onnx"),
            idle_seconds=60.0, memory=None,
        )  # fmt: skip
        attribution = Attribution(dict)
        tell(attribution, (), [worker])
        (model,) = models_of(attribution, child.pid)
        assert (model.repo, model.evidence, model.bytes) == ("org/m", "reported", None)
        job = Job(
            id="1", state="running", files=(), pipeline="auto", device="cuda", started=0.0, seconds=None, folder="",
            pid=child.pid,
        )  # fmt: skip
        load = Load(
            repo="org/m", path=None, revision="a" * 40, bytes=3 * MIB, resident_before=None, started=0.0, seconds=1.0
        )
        tell(attribution, [Run(job=job, device="cuda:0", loads=(load,))], [worker])
        assert models_of(attribution, child.pid)[0].bytes == 3 * MIB
        tell(attribution, (), [worker])
        (model,) = models_of(attribution, child.pid)
        assert (model.bytes, model.revision) == (3 * MIB, "a" * 40), "what was known stays known"
        on_cpu = Worker(id="c", pid=child.pid, python="p", device="cpu", models=("org/x",), idle_seconds=1, memory=None)
        tell(attribution, (), [on_cpu])
        assert len(models_of(attribution, child.pid)) == 1
