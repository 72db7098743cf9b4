"""On battery an idle driver is let go of, and not asked for again at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachetop.gpu.processes import Processes
from cachetop.gpu.reasons import NoDriver
from cachetop.gpu.rest import IDLE_SECONDS, REST_SECONDS, Rest, on_battery
from cachetop.gpu.source import NvmlSource
from support import fake_nvml
from support.gpu_process import scenario_with


def supply(root: Path, name: str, **values: str) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in values.items():
        (folder / key).write_text(value + "\n")


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """A laptop on battery, with a wireless mouse."""
    root = tmp_path / "supplies"
    supply(root, "AC", type="Mains", online="0")
    supply(root, "BAT0", type="Battery", status="Discharging")
    supply(root, "hidpp_battery_0", type="Battery", scope="Device", status="Discharging")
    return root


def test_on_battery(laptop: Path, tmp_path: Path) -> None:
    assert on_battery(str(laptop))
    supply(laptop, "AC", online="1")
    assert not on_battery(str(laptop))
    supply(tmp_path / "desktop", "hidpp_battery_0", type="Battery", scope="Device", status="Discharging")
    assert not on_battery(str(tmp_path / "desktop")) and not on_battery(str(tmp_path / "nothing"))


def idle_scenario(busy: int = 0) -> dict[str, object]:
    scenario = scenario_with()
    scenario["devices"][0]["util"]["gpu"] = busy
    return scenario


def test_an_idle_driver_is_let_go_of_and_left_alone_for_a_while(laptop: Path) -> None:
    now = [0.0]
    source = NvmlSource(None, Processes(False), pci="/nonexistent", rest=Rest(str(laptop), lambda: now[0]))
    with fake_nvml.driver(idle_scenario()) as fake:
        source.open()
        source.sample()
        now[0] = IDLE_SECONDS - 1
        source.sample()
        assert "nvmlShutdown" not in fake.calls
        now[0] = IDLE_SECONDS
        with pytest.raises(NoDriver, match="save the battery"):
            source.sample()
        assert fake.calls["nvmlShutdown"] == 1
        initialized = fake.calls["nvmlInitWithFlags"]
        now[0] += REST_SECONDS - 1
        with pytest.raises(NoDriver, match="save the battery"):
            source.open()
        assert fake.calls["nvmlInitWithFlags"] == initialized
        supply(laptop, "AC", online="1")
        source.open()
        assert source.sample().available


def test_work_or_mains_power_keeps_it_open(laptop: Path) -> None:
    now = [0.0]
    source = NvmlSource(None, Processes(False), pci="/nonexistent", rest=Rest(str(laptop), lambda: now[0]))
    with fake_nvml.driver(idle_scenario(busy=3)):
        source.open()
        for _ in range(5):
            now[0] += IDLE_SECONDS
            assert source.sample().available
    with fake_nvml.driver(scenario_with({"pid": 1, "used": 5})):
        source.open()
        for _ in range(5):
            now[0] += IDLE_SECONDS
            assert source.sample().available
    supply(laptop, "AC", online="1")
    with fake_nvml.driver(idle_scenario()):
        source.open()
        for _ in range(5):
            now[0] += IDLE_SECONDS
            assert source.sample().available
