"""`cachetop gpus` as its users run it: another process, with a driver put under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support import fake_nvml
from support.gpu_process import GpuProcess, cached_model, scenario_with, write_safetensors

COMMIT = "c" * 40


def gpus(scenario: Any, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cachetop", "gpus", *flags],
        env=fake_nvml.environment(scenario, folder), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def as_json(scenario: Any, folder: Path) -> dict[str, Any]:
    done = gpus(scenario, folder, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_documented_object(tmp_path: Path) -> None:
    found = as_json("two_gpus", tmp_path)
    assert found["schema"] == "cachetop.gpus/1" and found["available"] is True and found["reason"] is None
    assert found["driver"] == "580.95.05"
    first, second = found["gpus"]
    assert first["memory"] == {"total": 85520809984, "used": 1048576000, "free": 83818971136, "reserved": 653262848}
    assert (first["sm"], first["utilization"], first["temperature"], first["power"]) == ("sm_90", 7, 41, 121.0)
    assert os.getpid() in {process["pid"] for process in first["processes"]}  # $parent of the command is this test
    assert second["processes"] == [] and second["unattributed"] == 4194304


def test_the_models_of_a_process_come_from_the_hub_cache(tmp_path: Path, world: Path) -> None:
    (blob,) = cached_model(world / ".cache" / "huggingface" / "hub", "org/model", COMMIT)
    library = tmp_path / "libcuda.so.1"
    write_safetensors(library)
    with GpuProcess("--token", "s3cr3t") as child:
        child.map(blob)
        child.map(library)  # inside a container only a process that uses CUDA is believed to be the driver's
        scenario = scenario_with({"pid": child.pid, "used": 2**30})
        found = as_json(scenario, tmp_path)
        text = gpus(scenario, tmp_path).stdout
    (process,) = found["gpus"][0]["processes"]
    (model,) = process["models"]
    assert (model["repo"], model["revision"], model["evidence"]) == ("org/model", COMMIT, "mapped")
    assert model["bytes"] == blob.stat().st_size and process["memory"] == 2**30
    assert "s3cr3t" not in json.dumps(found) and "s3cr3t" not in text
    assert "org/model@cccccccc 262 KB (mapped)" in text


@pytest.mark.parametrize(
    ("scenario", "said"),
    [("no_driver", "No NVIDIA driver"), ("version_mismatch", "different versions"), ("no_gpus", "has no GPU")],
)
def test_no_driver_is_no_failure(tmp_path: Path, scenario: str, said: str) -> None:
    found = as_json(scenario, tmp_path)
    assert found["available"] is False and said in found["reason"] and found["gpus"] == []
    shown = gpus(scenario, tmp_path)
    assert shown.returncode == 0 and shown.stderr == "" and said in shown.stdout


def test_the_table(tmp_path: Path) -> None:
    shown = gpus(scenario_with({"pid": 1, "used": None}, used=4 << 30), tmp_path)
    assert shown.returncode == 0 and shown.stderr == ""
    assert "GPU 0  NVIDIA H100 80GB HBM3  sm_90" in shown.stdout
    assert "4.00 GiB of 79.6 GiB used" in shown.stdout and "623 MiB reserved" in shown.stdout
    assert "121 W of 700 W" in shown.stdout
    assert "? (the driver does not say how much memory 1 of the processes hold)" in shown.stdout


def test_a_lost_gpu_and_one_without_memory(tmp_path: Path) -> None:
    lost = gpus("lost_from_start", tmp_path).stdout
    assert "fallen off the bus" in lost and "NVIDIA GeForce RTX 4090  sm_89" in lost
    assert "shares the system's RAM" in gpus("unified_memory", tmp_path).stdout


def test_mig_instances_follow_their_gpu(tmp_path: Path) -> None:
    found = as_json("mig", tmp_path)["gpus"]
    assert [(gpu["index"], gpu["mig"] and gpu["mig"]["index"]) for gpu in found] == [
        (0, None),
        (0, 0),
        (0, 3),
        (1, None),
    ]
    shown = gpus("mig", tmp_path).stdout
    assert "GPU 0 MIG 3  NVIDIA A100-SXM4-40GB MIG 1g.5gb  sm_80" in shown
    assert "MIG          on, 2 instances" in shown and "clocks       held down: power-cap, thermal" in shown
    assert "24 MiB in use that no listed process or MIG instance accounts for" in shown


def test_a_hanging_driver_does_not_hang_the_command(tmp_path: Path) -> None:
    code = (
        "import sys; from cachetop.cli import gpus; gpus.TIMEOUT = 0.3; import argparse\n"
        "sys.exit(gpus.run(argparse.Namespace(json=True, pcie=False)))"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=fake_nvml.environment("hanging", tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert time.monotonic() - began < 8
    found = json.loads(done.stdout)
    assert (done.returncode, found["available"]) == (0, False) and found["waiting"] >= 0.3
    assert "has not answered" in found["reason"]


def test_the_verb_loads_no_heavy_package(tmp_path: Path) -> None:
    code = (
        "import sys, argparse; from cachetop.cli import gpus; gpus.run(argparse.Namespace(json=False, pcie=False))\n"
        "heavy = {'textual', 'torch', 'docling', 'IPython', 'huggingface_hub', 'watchdog'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=fake_nvml.environment("two_gpus", tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
