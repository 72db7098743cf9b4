"""The driver in C, which the compiler checked against the official header, answers as the driver in Python does."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pynvml
import pytest

from cachetop.gpu.processes import Processes
from cachetop.gpu.reasons import NoDriver
from cachetop.gpu.source import NvmlSource
from support import fake_nvml, nvml_twin

SCENARIOS = sorted(path.stem for path in fake_nvml.SCENARIOS.glob("*.json"))
ANSWERING = [name for name in SCENARIOS if not name.startswith("hanging")]


@pytest.fixture(autouse=True)
def _driver_again() -> Iterator[None]:
    yield
    fake_nvml.uninstall()


def use(library: Path, scenario: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the twin under the bindings of this process, in a state of its own."""
    own = folder / "own.so"
    shutil.copy(library, own)  # another file is another library: nothing of an earlier scenario is left in it
    monkeypatch.setenv("FAKE_NVML_FLAT", nvml_twin.environment(scenario, own, folder)["FAKE_NVML_FLAT"])
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = ctypes.CDLL(str(own))


def seen() -> Any:
    """Two samples, without their times, or why there are none."""
    source = NvmlSource(processes=Processes(False), pci="/nonexistent", xids=True)
    source.measure_pcie(True)
    try:
        source.open()
        samples = [msgspec.to_builtins(source.sample()) for _ in range(2)]
    except NoDriver as reason:
        return str(reason)
    for sample in samples:
        sample.pop("time")
    for xid in (xid for sample in samples for gpu in sample["gpus"] for xid in gpu["xids"]):
        xid.pop("time")
    # what is left of the machine's RAM changes by itself
    for gpu in (gpu for sample in samples for gpu in sample["gpus"] if gpu["shared"]):
        gpu["shared"] = gpu["unavailable"]["memory"] = "shared"
    return samples


@pytest.mark.parametrize("name", ANSWERING)
def test_both_drivers_answer_the_same(name: str, twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = fake_nvml.load(name)
    with fake_nvml.driver(name):
        expected = seen()
    lacking = tuple(scenario.get("missing_symbols", ()))
    use(nvml_twin.build(tmp_path, lacking) if lacking else twin, name, tmp_path, monkeypatch)
    assert seen() == expected


def test_the_timeline_moves_both(twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = {**fake_nvml.load("one_lost"), "timeline": [{"t": 0.0, "set": {"devices.1.errors.*": "GPU_IS_LOST"}}]}
    with fake_nvml.driver(scenario):
        expected = seen()
    assert "fallen off the bus" in expected[0]["gpus"][1]["problem"]
    use(twin, scenario, tmp_path, monkeypatch)
    assert seen() == expected
