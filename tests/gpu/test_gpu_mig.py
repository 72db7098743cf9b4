"""GPUs in MIG mode: an instance is a row of its own, and nothing is counted twice or lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.gpu.attribution import Attribution
from cachetop.gpu.processes import Processes
from cachetop.gpu.records import Gpu, Gpus
from cachetop.gpu.source import NvmlSource
from cachetop.gpu.throttle import words
from support import fake_nvml
from support.gpu_process import GpuProcess, cached_model, inode

MIB = 2**20


def read(scenario: Any, attribution: Attribution | None = None, pci: str = "/nonexistent") -> Gpus:
    with fake_nvml.driver(scenario):
        source = NvmlSource(attribution, Processes(False), pci=pci)
        source.open()
        return source.sample()


def parts(gpu: Gpu, rows: tuple[Gpu, ...]) -> int:
    """Everything that is said to be in use on `gpu`."""
    assert gpu.unattributed is not None
    slices = [row for row in rows if row.mig is not None and row.index == gpu.index] if gpu.mig is None else []
    return (
        gpu.unattributed
        + sum(process.memory or 0 for process in gpu.processes)
        + sum(row.memory.used for row in slices if row.memory)
    )


def test_each_instance_is_a_row_after_its_gpu() -> None:
    gpus = read("mig").gpus
    assert [gpu.label for gpu in gpus] == ["GPU 0", "GPU 0 MIG 0", "GPU 0 MIG 3", "GPU 1"]
    whole, first, second, other = gpus
    assert whole.instances == 2 and other.instances is None
    assert [(row.mig.index, row.mig.gpu_instance) for row in (first, second) if row.mig] == [(0, 7), (3, 9)]
    assert first.name == "NVIDIA A100-SXM4-40GB MIG 1g.5gb" and first.sm == second.sm == "sm_80"
    assert first.memory is not None and first.memory.total == 5100273664
    assert len({gpu.key for gpu in gpus}) == 4


def test_a_process_stands_on_its_instance_alone_and_the_parts_add_up() -> None:
    gpus = read("mig").gpus
    whole, first, second, _ = gpus
    assert whole.processes == ()
    assert {p.pid: p.memory for p in first.processes} == {os.getpid(): 1536 * MIB}
    assert {p.pid: p.memory for p in second.processes} == {os.getppid(): 1000 * MIB}
    for gpu in gpus:
        assert gpu.memory is not None and parts(gpu, gpus) == gpu.memory.used


def test_what_the_driver_does_not_report_in_mig_mode_has_its_reason() -> None:
    whole, first, _, other = read("mig").gpus
    assert whole.utilization is None and "MIG mode" in whole.unavailable["utilization"]
    assert whole.temperature == 38 and whole.throttle == ()
    for name in ("utilization", "temperature", "power", "throttle"):
        assert getattr(first, name) is None and "whole GPU 0" in first.unavailable[name]
    assert other.throttle == ("power-cap", "thermal")


@pytest.mark.parametrize("function", ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3"])
def test_a_gpu_whose_own_lists_may_not_be_read_still_shows_its_instances(function: str) -> None:
    scenario = fake_nvml.load("mig")
    scenario["devices"][0]["errors"] = {function: "NO_PERMISSION"}
    whole, first, _, _ = read(scenario).gpus
    assert whole.unattributed is None and "does not let this user" in " ".join(whole.unavailable.values())
    assert first.processes[0].memory == 1536 * MIB


def test_processes_of_an_instance_that_cannot_be_read_stay_on_the_gpu() -> None:
    scenario = fake_nvml.load("mig")
    scenario["devices"][0]["mig"]["instances"][1]["errors"] = {
        "nvmlDeviceGetComputeRunningProcesses_v3": "NO_PERMISSION"
    }
    whole, _, second, _ = read(scenario).gpus
    assert second.processes == () and "processes" in second.unavailable
    assert [(p.pid, p.memory) for p in whole.processes] == [(os.getppid(), None)]
    assert whole.unattributed is None


def test_a_lost_gpu_keeps_its_instances_grey() -> None:
    scenario = fake_nvml.load("mig")
    scenario["timeline"] = [{"t": 1, "set": {"devices.0.errors.*": "GPU_IS_LOST"}}]
    now = [0.0]
    with fake_nvml.driver(scenario, lambda: now[0]):
        source = NvmlSource(None, Processes(False), pci="/nonexistent")
        source.open()
        before = source.sample().gpus
        now[0] = 2.0
        after = source.sample().gpus
    assert [gpu.label for gpu in after] == [gpu.label for gpu in before]
    assert all("fallen off the bus" in str(gpu.problem) for gpu in after[:3]) and after[3].problem is None
    assert after[1].memory == before[1].memory


def test_a_model_is_found_in_a_mig_instance(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", "a" * 40)
    index = {inode(blob): [("org/model", "a" * 40, "model.safetensors", blob.stat().st_size)]}
    with GpuProcess() as child:
        child.map(blob)
        scenario = fake_nvml.load("mig")
        scenario["devices"][0]["mig"]["instances"][0]["processes"] = [{"pid": child.pid, "used": 5 * MIB}]
        _, first, _, _ = read(scenario, Attribution(lambda: index)).gpus
    assert [(m.repo, m.evidence) for m in first.processes[0].models] == [("org/model", "mapped")]


@given(st.integers(0, 2**64 - 1))
def test_every_bit_but_idle_is_a_throttle_reason(mask: int) -> None:
    assert len(words(mask)) == (mask & ~1).bit_count()
