"""A real process that maps real weights and lets them go on command, and the weights."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from cachetop.gpu.processes import start_ticks
from cachetop.gpu.records import Process

_CODE = r"""
import mmap, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
maps, files = {}, {}
print("ready", flush=True)
for line in sys.stdin:
    verb, _, path = line.rstrip("\n").partition(" ")
    if verb == "map":
        with open(path, "rb") as f:
            maps[path] = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    elif verb == "unmap":
        maps.pop(path).close()
    elif verb == "open":
        files[path] = open(path, "rb")
    print("done", flush=True)
"""


class GpuProcess:
    """A child process; `arguments` stand on its command line. Ends with the with block."""

    def __init__(self, *arguments: str, variables: dict[str, str] | None = None) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _CODE, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(variables or {})},
        )  # fmt: skip
        self.pid = self._child.pid
        self._answer()

    def __enter__(self) -> GpuProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def map(self, path: Path) -> None:
        """Map a file, as safetensors does while it loads."""
        self._tell(f"map {path}")

    def unmap(self, path: Path) -> None:
        """Unmap it, as a CUDA program does once the weights are on the GPU."""
        self._tell(f"unmap {path}")

    def open(self, path: Path) -> None:
        """Open a file and keep it open."""
        self._tell(f"open {path}")

    def wait(self) -> int:
        """Wait until a signal ended it; returns its status, negative for a signal."""
        return self._child.wait(10)

    def row(self, **fields: Any) -> Process:
        """This process as a GPU sample lists it."""
        known: dict[str, Any] = {"pid": self.pid, "user": "ana", "command": "python", "memory": 2**30}
        return Process(**{**known, "ticks": start_ticks(self.pid), **fields})

    def end(self) -> None:
        """End the process and wait until it is gone."""
        assert self._child.stdin and self._child.stdout
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass  # it was killed
        self._child.wait(10)
        self._child.stdout.close()

    def _tell(self, line: str) -> None:
        assert self._child.stdin
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._child.stdout
        assert self._child.stdout.readline(), "the child process ended"


def write_safetensors(path: Path, elements: int = 65_536) -> int:
    """A real safetensors file with one F32 tensor; returns its size in bytes."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [elements], "data_offsets": [0, elements * 4]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(elements * 4))
    return path.stat().st_size


def cached_model(hub: Path, repo: str, commit: str, files: tuple[str, ...] = ("model.safetensors",)) -> list[Path]:
    """A repo in the layout of the hub cache; returns the blobs behind its files."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    blobs = []
    for number, name in enumerate(files):
        blob = folder / "blobs" / f"{number + 1:064x}"
        write_safetensors(blob, 65_536 + number)
        (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
        blobs.append(blob)
    return blobs


def inode(path: Path) -> tuple[int, int]:
    """(st_dev, st_ino), as the index of the hub cache has it."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def scenario_with(*processes: dict[str, Any], used: int = 8 << 30) -> dict[str, Any]:
    """One healthy GPU with these processes on it."""
    from support.fake_nvml import load

    scenario = load("two_gpus")
    scenario["devices"] = scenario["devices"][:1]
    scenario["devices"][0]["processes"] = list(processes)
    scenario["devices"][0]["memory"]["used"] = used
    return scenario
