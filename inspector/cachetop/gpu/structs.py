"""NVML's process list out of its raw bytes.

`nvmlProcessInfo_t` behind the `_v3` functions is 24 bytes (pid, memory, gpuInstanceId, computeInstanceId), but
drivers R530 to R535.54 wrote 32 (with a protected size) and some wrote 16 (pid, memory) without saying so.
So the stride is found by what makes sense: every pid is one the kernel can hand out, no process has more
memory than the device. Layouts: nvml.h, and the histories of go-nvml and nvitop.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

WIDEST = 32
PID_LIMIT = 4 * 1024 * 1024
"""PID_MAX_LIMIT of Linux: the driver names pids of the host, whose own pid_max a container cannot read."""
_NONE64 = 2**64 - 1
NONE32 = 2**32 - 1
"""NVML's word for no instance."""
_INSTANCES = 256


@dataclass(frozen=True, slots=True)
class RawProcess:
    """One process as the driver lists it; `memory` in bytes, None where it does not say; `instance` in MIG mode."""

    pid: int
    memory: int | None
    instance: tuple[int, int] | None = None


def parse(raw: bytes, count: int, total: int | None, strides: tuple[int, ...]) -> list[RawProcess] | None:
    """The `count` processes in `raw` by the first of `strides` that makes sense; None when none does.

    `total` is the device's memory in bytes, None when unknown.
    """
    for clean in (True, False):  # a driver need not clear the padding, but one that does tells more
        for stride in strides:
            found = _read(raw, count, total, stride, clean)
            if found is not None:
                return found
    return None


def _read(raw: bytes, count: int, total: int | None, stride: int, clean: bool) -> list[RawProcess] | None:
    if len(raw) < stride * count:
        return None
    found = []
    for start in range(0, stride * count, stride):
        pid, padding, memory = struct.unpack_from("<IIQ", raw, start)
        if not 0 < pid < PID_LIMIT or (clean and padding):
            return None
        if memory != _NONE64 and total is not None and memory > total:
            return None
        instance = None
        if stride > 16:
            instance = struct.unpack_from("<II", raw, start + 16)
            if any(one != NONE32 and one >= _INSTANCES for one in instance):
                return None
            instance = None if instance[0] == NONE32 else instance
        found.append(RawProcess(pid, None if memory == _NONE64 else memory, instance))
    return found
