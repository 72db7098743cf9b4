"""Other programs that read NVML see what cachetop sees, on the driver in Python and on its twin in C."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support import fake_nvml, nvml_twin

MIB = 2**20
_NVITOP = """
import json, logging
logging.disable(logging.CRITICAL)
import nvitop
print(json.dumps([
    {"name": d.name(), "used": d.memory_used(), "total": d.memory_total(), "temperature": d.temperature(),
     "processes": {str(pid): p.gpu_memory() for pid, p in d.processes().items()}}
    for d in nvitop.Device.all()
]))
"""

Run = Callable[..., Any]


@pytest.fixture(params=["python", "c"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a program on the scenario `two_gpus`, on either driver; returns the JSON it printed."""
    if request.param == "python":
        environment = fake_nvml.environment("two_gpus", tmp_path)
    else:
        environment = nvml_twin.environment("two_gpus", request.getfixturevalue("twin"), tmp_path)

    def of(*command: str) -> Any:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    return of


def ours(run: Run) -> Any:
    return run(sys.executable, "-m", "cachetop", "gpus", "--json")["gpus"]


def installed(name: str) -> pytest.MarkDecorator:
    """Without importing it: gpustat alters pynvml for the whole process."""
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


@installed("nvitop")
def test_nvitop_sees_the_same(run: Run) -> None:
    seen, mine_all = run(sys.executable, "-c", _NVITOP), ours(run)
    for theirs, mine in zip(seen, mine_all, strict=True):
        assert theirs["name"] == mine["name"] and theirs["temperature"] == mine["temperature"]
        assert (theirs["used"], theirs["total"]) == (mine["memory"]["used"], mine["memory"]["total"])
    listed = {str(process["pid"]): process["memory"] for process in mine_all[0]["processes"]}
    assert seen[0]["processes"][str(os.getpid())] == listed[str(os.getpid())] == 300 * MIB


@installed("gpustat")
def test_gpustat_sees_the_same(run: Run) -> None:
    seen = run(sys.executable, "-m", "gpustat", "--json")["gpus"]
    for theirs, mine in zip(seen, ours(run), strict=True):
        assert theirs["uuid"] == mine["uuid"] and theirs["temperature.gpu"] == mine["temperature"]
        assert theirs["utilization.gpu"] == mine["utilization"]
        assert theirs["memory.used"] == mine["memory"]["used"] // MIB
    assert {p["pid"]: p["gpu_memory_usage"] for p in seen[0]["processes"]}[os.getpid()] == 300


@pytest.mark.parametrize("run", ["c"], indirect=True)
def test_nvtop_sees_the_same(run: Run) -> None:
    if not shutil.which("nvtop"):
        pytest.skip("nvtop is not on PATH: build it from its source to compare with a client that is not Python")
    seen = run("nvtop", "--snapshot")
    for theirs, mine in zip(seen, ours(run), strict=True):
        memory = mine["memory"]
        assert theirs["device_name"] == mine["name"]
        assert theirs["temp"] == f"{mine['temperature']}C" and theirs["gpu_util"] == f"{mine['utilization']}%"
        assert int(theirs["mem_total"]) == memory["total"] and int(theirs["mem_free"]) == memory["free"]
        assert int(theirs["mem_used"]) in (memory["used"], memory["used"] + memory["reserved"])  # it counts them in one
    held = {int(one["pid"]): int(one["gpu_mem_bytes_alloc"]) for one in seen[0]["processes"]}
    assert held[os.getpid()] == 300 * MIB
