"""What the driver tells by itself (Xid errors), and what is asked for only while it is shown (the bus)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.gpu import xid
from cachetop.gpu.records import Gpus
from cachetop.gpu.source import NvmlSource
from cachetop.hub.records import Models
from cachetop.inventory import GpusChanged, Inventory
from cachetop.inventory.changes import Changes
from cachetop.kernelcache.records import Kernels
from cachetop.summary import problems
from support import fake_nvml
from support.opening import opened, screen, until


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source(tmp_path: Path) -> Iterator[NvmlSource]:
    yield NvmlSource(pci=str(tmp_path / "no-pci"), xids=True)


def test_errors_come_with_their_gpu_once_and_stay_on_its_row(source: NvmlSource) -> None:
    clock = Clock()
    with fake_nvml.driver("xid_errors", clock) as fake:
        source.open()
        assert source.sample().gpus[0].xids == (), "the devices are added by the first sample"
        before = time.time()
        first = source.sample()
        again = source.sample()
        clock.now = 4.0
        lost = source.sample()
        assert fake.calls["nvmlDeviceRegisterEvents"] == 2
    (page_fault,) = first.gpus[0].xids
    assert page_fault.code == 31 and "not mapped" in page_fault.message and "restart" in page_fault.fix
    assert before <= page_fault.time <= time.time()
    assert again.gpus[0].xids == first.gpus[0].xids and again.gpus[1].xids == ()
    assert [one.code for one in lost.gpus[1].xids] == [79] and lost.gpus[1].problem
    assert lost.gpus[1].temperature == 33, "a lost GPU keeps its last values"


def test_after_the_driver_came_back_the_devices_are_watched_again(source: NvmlSource) -> None:
    clock = Clock()
    with fake_nvml.driver("xid_errors", clock) as fake:
        source.open()
        source.sample()
        source.open()
        assert source.sample().gpus[0].xids == ()
        assert len(source.sample().gpus[0].xids) == 1
        assert fake.calls["nvmlEventSetCreate"] == 2


def test_a_gpu_that_reports_no_events_is_read_all_the_same(source: NvmlSource) -> None:
    scenario = fake_nvml.load("xid_errors")
    scenario["devices"][0]["errors"] = {"nvmlDeviceRegisterEvents": "NOT_SUPPORTED"}
    with fake_nvml.driver(scenario):
        source.open()
        for _ in range(2):
            gpus = source.sample()
    assert gpus.gpus[0].temperature == 41 and gpus.gpus[0].xids == ()
    scenario["missing_symbols"] = ["nvmlEventSetCreate"]
    with fake_nvml.driver(scenario):
        source.open()
        assert source.sample().gpus[1].temperature == 33


def test_an_unknown_error_says_where_to_look_it_up() -> None:
    found = xid.describe(4711, 5.0, 3)
    assert (found.code, found.time, found.gpu_instance) == (4711, 5.0, 3)
    assert "Xid catalog" in found.fix


def test_an_error_is_a_problem_and_an_event(source: NvmlSource) -> None:
    changes = Changes()
    with fake_nvml.driver("xid_errors"):
        source.open()
        seen = [source.sample() for _ in range(3)]
    events = [list(changes.of(GpusChanged(gpus))) for gpus in seen]
    assert [len(some) for some in events] == [0, 1, 0]
    assert events[1][0]["event"] == "error" and "Xid 31" in events[1][0]["message"] and events[1][0]["hint"]
    (problem,) = problems(Models(), Kernels(), seen[2])
    assert problem.rule == "xid" and problem.subject == "GPU 0" and problem.fix == seen[2].gpus[0].xids[0].fix


def test_the_bus_is_measured_only_while_it_is_shown(source: NvmlSource) -> None:
    with fake_nvml.driver("two_gpus") as fake:
        source.open()
        assert source.sample().gpus[0].pcie is None and "nvmlDeviceGetPcieThroughput" not in fake.calls
        source.measure_pcie(True)
        gpus = source.sample().gpus
        assert fake.calls["nvmlDeviceGetPcieThroughput"] == 4
        source.measure_pcie(False)
        assert source.sample().gpus[0].pcie is None and fake.calls["nvmlDeviceGetPcieThroughput"] == 4
    assert gpus[0].pcie is not None and (gpus[0].pcie.rx, gpus[0].pcie.tx) == (204800 * 1024, 5120 * 1024)
    assert "pcie" not in gpus[0].unavailable
    with fake_nvml.driver("unified_memory"):
        source.measure_pcie(True)
        source.open()
        assert source.sample().gpus[0].unavailable["pcie"] == "this GPU does not report it"


def test_the_command_measures_the_bus_when_asked(tmp_path: Path) -> None:
    def out(*flags: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "cachetop", "gpus", *flags],
            env=fake_nvml.environment("two_gpus", tmp_path), capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip

    assert "PCIe" not in out()
    assert "PCIe         210 MB/s to the GPU, 5.24 MB/s from it" in out("--pcie")


async def test_the_app_shows_errors_and_asks_for_the_bus_only_where_there_is_room() -> None:
    with fake_nvml.driver("xid_errors", lambda: 0.0) as fake:

        def asked() -> int:
            return fake.calls.get("nvmlDeviceGetPcieThroughput", 0)

        def more_samples() -> Callable[[], bool]:
            before = fake.calls["nvmlDeviceGetCount_v2"]
            return lambda: fake.calls["nvmlDeviceGetCount_v2"] > before + 4

        inventory = Inventory(hub=[locations.hub()], kernels=[], interval=0.05)
        async with opened((160, 45), inventory) as (app, pilot):
            await until(pilot, lambda: "Xid 31" in screen(app))
            await until(pilot, lambda: "210 MB/s to the GPU" in screen(app))
            await pilot.press("1", "z")
            await until(pilot, lambda: "GPU VRAM" not in screen(app))
            await until(pilot, lambda: not any(gpu.pcie for gpu in (app.overview.gpus.gpus or Gpus()).gpus))
            count = asked()
            await until(pilot, more_samples())
            assert asked() == count
        async with opened((80, 24), Inventory(hub=[locations.hub()], kernels=[], interval=0.05)) as (app, pilot):
            await until(pilot, lambda: app.overview.gpus.gpus is not None)
            count = asked()
            await until(pilot, more_samples())
            assert asked() == count
