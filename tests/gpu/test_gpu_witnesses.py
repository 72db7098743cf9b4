"""Other programs read the same driver and see the same numbers; skipped where they are not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support import fake_nvml

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


def run(folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=fake_nvml.environment("two_gpus", folder), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def ours(folder: Path) -> Any:
    return run(folder, "-m", "cachetop", "gpus", "--json")["gpus"]


def installed(name: str) -> pytest.MarkDecorator:
    """Without importing it: gpustat alters pynvml for the whole process."""
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


@installed("nvitop")
def test_nvitop_sees_the_same(tmp_path: Path) -> None:
    seen = run(tmp_path, "-c", _NVITOP)
    for theirs, mine in zip(seen, ours(tmp_path), strict=True):
        assert theirs["name"] == mine["name"] and theirs["temperature"] == mine["temperature"]
        assert (theirs["used"], theirs["total"]) == (mine["memory"]["used"], mine["memory"]["total"])
    listed = {str(process["pid"]): process["memory"] for process in ours(tmp_path)[0]["processes"]}
    assert seen[0]["processes"][str(os.getpid())] == listed[str(os.getpid())] == 300 * MIB


@installed("gpustat")
def test_gpustat_sees_the_same(tmp_path: Path) -> None:
    seen = run(tmp_path, "-m", "gpustat", "--json")["gpus"]
    for theirs, mine in zip(seen, ours(tmp_path), strict=True):
        assert theirs["uuid"] == mine["uuid"] and theirs["temperature.gpu"] == mine["temperature"]
        assert theirs["utilization.gpu"] == mine["utilization"]
        assert theirs["memory.used"] == mine["memory"]["used"] // MIB
    assert {p["pid"]: p["gpu_memory_usage"] for p in seen[0]["processes"]}[os.getpid()] == 300
