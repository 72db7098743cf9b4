"""System RAM, which GPUs without memory of their own (GB10, Jetson) use."""

from __future__ import annotations

from cachetop.gpu import proc
from cachetop.gpu.records import Memory


def system_memory() -> Memory | None:
    """System RAM in bytes, `free` being what programs can still get; None when it cannot be read."""
    try:
        lines = proc.read("/proc/meminfo", 8192).split(b"\n")
        found = {line.split(b":")[0]: int(line.split()[1]) * 1024 for line in lines if line[:3] == b"Mem"}
        total, free = found[b"MemTotal"], found[b"MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return Memory(total=total, used=total - free, free=free, reserved=None)
