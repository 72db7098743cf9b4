"""One sample through the real bindings, for every kind of driver and device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.gpu.present import sms
from cachetop.gpu.reasons import NoDriver
from cachetop.gpu.records import Gpus
from cachetop.gpu.source import NvmlSource
from support import fake_nvml
from support.gpu_process import scenario_with

MIB = 2**20


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source(tmp_path: Path) -> Iterator[NvmlSource]:
    yield NvmlSource(pci=str(tmp_path / "no-pci"))


def read(source: NvmlSource) -> Gpus:
    source.open()
    return source.sample()


def test_two_healthy_gpus(source: NvmlSource) -> None:
    with fake_nvml.driver("two_gpus") as fake:
        gpus = read(source)
    assert gpus.available and gpus.reason is None and gpus.driver == "580.95.05"
    big, small = gpus.gpus
    assert (big.index, big.name, big.sm) == (0, "NVIDIA H100 80GB HBM3", "sm_90")
    assert (small.index, small.uuid, small.sm) == (1, "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "sm_89")
    assert big.memory is not None
    assert (big.memory.total, big.memory.used, big.memory.reserved) == (85520809984, 1048576000, 653262848)
    assert big.memory.total == big.memory.used + big.memory.free + 653262848
    assert (big.utilization, big.temperature, big.power, big.power_limit) == (7, 41, 121.0, 700.0)
    assert {p.pid: p.memory for p in big.processes} == {os.getpid(): 524288000, os.getppid(): 300 * MIB}
    assert big.unattributed == 1048576000 - 524288000 - 300 * MIB
    assert big.throttle == ("power-cap",) and small.throttle == ()
    assert set(big.unavailable) == {"pcie"} and big.problem is None and big.mig is None and big.instances is None
    assert small.processes == () and small.unattributed == 4194304
    assert big.pcie is None and "not asked for" in big.unavailable["pcie"]
    assert "nvmlDeviceGetPcieThroughput" not in fake.calls and "nvmlShutdown" not in fake.calls


def test_what_is_read_from_raw_bytes_is_what_the_bindings_read(source: NvmlSource) -> None:
    import pynvml

    listed = [{"pid": pid, "used": pid * MIB, "gi": 1, "ci": 0} for pid in range(300, 320)]
    with fake_nvml.driver(scenario_with(*listed, used=60 << 30)):
        gpu = read(source).gpus[0]
        witness = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
    assert {p.pid: p.memory for p in gpu.processes} == {w.pid: w.usedGpuMemory for w in witness}
    assert len(witness) == 20


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("no_driver", "No NVIDIA driver is installed"),
        ("driver_not_loaded", "modprobe nvidia"),
        ("version_mismatch", "different versions"),
        ("container_lost_devices", "restart the container"),
    ],
)
def test_each_state_without_a_driver_has_its_own_sentence(source: NvmlSource, scenario: str, said: str) -> None:
    with fake_nvml.driver(scenario), pytest.raises(NoDriver, match=said):
        source.open()


def test_a_driver_without_a_gpu(source: NvmlSource) -> None:
    with fake_nvml.driver("no_gpus"):
        gpus = read(source)
    assert not gpus.available and gpus.driver == "580.95.05" and "no GPU" in str(gpus.reason)


def test_an_old_driver_is_read_by_its_own_functions_and_asked_for_the_new_ones_once(source: NvmlSource) -> None:
    with fake_nvml.driver("old_driver") as fake:
        read(source)
        gpu = source.sample().gpus[0]
    assert gpu.memory is not None and gpu.memory.reserved is None
    assert gpu.memory.used == 1048576000 + 653262848
    assert gpu.temperature == 41
    assert {p.pid: p.memory for p in gpu.processes} == {os.getpid(): 524288000, os.getppid(): 300 * MIB}
    assert fake.calls["nvmlDeviceGetMemoryInfo"] == 2


@pytest.mark.parametrize("scenario", ["wide_structs", "narrow_structs"])
def test_process_lists_of_other_widths_are_read_right(source: NvmlSource, scenario: str) -> None:
    with fake_nvml.driver(scenario):
        gpu = read(source).gpus[0]
    assert {p.pid: p.memory for p in gpu.processes} == {os.getpid(): 524288000, os.getppid(): 300 * MIB, 1: 7 * MIB}


def test_a_process_list_that_makes_no_sense_is_left_out_and_said_so(source: NvmlSource) -> None:
    scenario = scenario_with({"pid": 2**31, "used": 5}, {"pid": 1, "used": 5})
    with fake_nvml.driver(scenario):
        gpu = read(source).gpus[0]
    assert gpu.processes == () and gpu.unattributed is None
    assert "layout" in gpu.unavailable["processes"] and "unknown" in gpu.unavailable["unattributed"]


def test_memory_that_the_driver_does_not_tell_is_unknown_and_never_zero(source: NvmlSource) -> None:
    with fake_nvml.driver(scenario_with({"pid": 1, "used": None}, {"pid": os.getpid(), "used": 5 * MIB})):
        gpu = read(source).gpus[0]
    assert {p.pid: p.memory for p in gpu.processes} == {1: None, os.getpid(): 5 * MIB}
    assert gpu.unattributed is None and "1 of the processes" in gpu.unavailable["unattributed"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.integers(0, 8 << 30), max_size=12), st.integers(0, 79 << 30))
def test_the_parts_and_the_rest_are_what_is_in_use_or_it_is_said_why_not(held: list[int | None], used: int) -> None:
    listed = [{"pid": 3_000_000 + n, "used": memory} for n, memory in enumerate(held)]
    with fake_nvml.driver(scenario_with(*listed, used=used)):
        gpu = read(NvmlSource(pci="/nonexistent")).gpus[0]
    assert gpu.memory is not None and gpu.memory.used == used and len(gpu.processes) == len(held)
    if gpu.unattributed is None:
        assert gpu.unavailable["unattributed"] and (None in held or sum(filter(None, held)) > used)
    else:
        assert sum(p.memory or 0 for p in gpu.processes) + gpu.unattributed == used and gpu.unattributed >= 0


def test_a_process_in_two_lists_counts_once_and_in_two_instances_adds_up(source: NvmlSource) -> None:
    both = [{"pid": os.getpid(), "kind": kind, "used": 9 * MIB} for kind in "CG"]
    slices = [{"pid": 1, "kind": "C", "used": 3 * MIB, "gi": gi, "ci": 0} for gi in (1, 2)]
    with fake_nvml.driver(scenario_with(*both, *slices)):
        gpu = read(source).gpus[0]
    assert {p.pid: p.memory for p in gpu.processes} == {os.getpid(): 9 * MIB, 1: 6 * MIB}


def test_a_gpu_without_memory_of_its_own_shows_the_system_ram(source: NvmlSource) -> None:
    with fake_nvml.driver("unified_memory"):
        gpu = read(source).gpus[0]
    assert gpu.memory is None and "shares the system's RAM" in gpu.unavailable["memory"]
    assert gpu.shared is not None and gpu.shared.total > gpu.shared.free > 0
    assert gpu.processes[0].memory == 512 * MIB and gpu.unattributed is None
    assert gpu.power_limit is None and gpu.unavailable["power_limit"] == "this GPU does not report it"


def test_a_lost_gpu_keeps_its_last_values_and_does_not_hide_the_other(source: NvmlSource) -> None:
    clock = Clock()
    with fake_nvml.driver("one_lost", clock):
        before = read(source)
        clock.now = 11.0
        after = source.sample()
    assert before.gpus[1].problem is None
    assert after.gpus[0].problem is None and after.gpus[0].temperature == 41
    lost = after.gpus[1]
    assert "fallen off the bus" in str(lost.problem) and "values are of" in str(lost.problem)
    assert lost.memory == before.gpus[1].memory and lost.temperature == 33


def test_a_gpu_lost_from_the_start_is_a_row_of_unknowns(source: NvmlSource) -> None:
    with fake_nvml.driver("lost_from_start"):
        gpus = read(source)
    assert gpus.available
    assert gpus.gpus[0].problem and gpus.gpus[0].memory is None and gpus.gpus[0].sm is None
    assert set(gpus.gpus[0].unavailable.values()) == {"the GPU does not answer"}
    assert {"memory", "power", "sm", "processes"} <= set(gpus.gpus[0].unavailable)
    assert gpus.gpus[1].name == "NVIDIA GeForce RTX 4090"


def test_one_value_that_fails_costs_only_itself(source: NvmlSource) -> None:
    scenario = scenario_with()
    scenario["devices"][0]["errors"] = {"nvmlDeviceGetPowerUsage": "NO_PERMISSION", "nvmlDeviceGetName": "UNKNOWN"}
    with fake_nvml.driver(scenario):
        gpu = read(source).gpus[0]
    assert gpu.power is None and "does not let this user" in gpu.unavailable["power"]
    assert gpu.name == "GPU 0" and gpu.temperature == 41


def test_a_driver_that_goes_away_comes_back_after_open(source: NvmlSource) -> None:
    scenario = scenario_with()
    scenario["timeline"] = [
        {"t": 1, "set": {"count_error": "DRIVER_NOT_LOADED"}},
        {"t": 2, "set": {"count_error": None}},
    ]
    clock = Clock()
    with fake_nvml.driver(scenario, clock):
        read(source)
        clock.now = 1.0
        with pytest.raises(NoDriver, match="modprobe"):
            source.sample()
        clock.now = 2.0
        assert read(source).available


def pci_device(root: Path, status: str, vendor: str = "0x10de", kind: str = "0x030000") -> None:
    device = root / f"0000:{len(list(root.glob('*'))):02x}:00.0"
    (device / "power").mkdir(parents=True)
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(kind + "\n")
    (device / "power" / "runtime_status").write_text(status + "\n")


def test_sleeping_gpus_are_not_woken(tmp_path: Path) -> None:
    pci_device(tmp_path, "suspended")
    pci_device(tmp_path, "active", vendor="0x8086")
    pci_device(tmp_path, "active", kind="0x040300")  # the GPU's own audio function
    with fake_nvml.driver("two_gpus") as fake:
        with pytest.raises(NoDriver, match="asleep"):
            NvmlSource(pci=str(tmp_path)).open()
        assert sms(pci=str(tmp_path)) is None
        assert fake.calls == {}
        pci_device(tmp_path, "active")
        assert read(NvmlSource(pci=str(tmp_path))).available


def test_sms(tmp_path: Path) -> None:
    pci = str(tmp_path)
    with fake_nvml.driver("two_gpus"):
        assert sms(pci=pci) == ("sm_89", "sm_90")
    with fake_nvml.driver("no_driver"):
        assert sms(pci=pci) is None
    with fake_nvml.driver("hanging_init"):
        assert sms(timeout=0.1, pci=pci) is None
    with fake_nvml.driver("lost_from_start"):
        assert sms(pci=pci) is None
