"""Xid errors: what the driver reports of a GPU by itself, and what to do about each.

Numbers and meanings are those of NVIDIA's Xid catalog. They come through a set of NVML events (Linux), which is
asked without waiting, in the thread that samples; what happened before it was made is in the kernel's log alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cachetop.gpu.nvml import Nvml, address
from cachetop.gpu.reasons import DeviceProblem, Unavailable
from cachetop.gpu.records import Xid

_AT_ONCE = 64
_PROGRAM = "restart the program that was on it, and look for an illegal access in it (compute-sanitizer)"
_RESTART = "restart the programs that were on it"
_RESET = "end its processes, then run `nvidia-smi --gpu-reset` or reboot"
_REBOOT = "reboot; if it comes back, have the card, its slot and its power checked"
_UNKNOWN = ("an error that is not in this list", "look it up in NVIDIA's Xid catalog, and see dmesg for more")
_KNOWN = {
    8: ("a kernel or engine ran into the driver's time limit", _RESTART),
    11: ("a corrupted command stream", _PROGRAM),
    13: ("a compute or graphics engine met an exception", _PROGRAM),
    31: ("a program accessed memory that is not mapped (page fault)", _PROGRAM),
    32: ("a corrupted command stream", _PROGRAM),
    38: ("an error of the driver's firmware", _RESET),
    43: ("the driver stopped a program that had made an error", _PROGRAM),
    45: ("a program's work was removed, as when it is killed or after another error", _RESTART),
    48: ("two bits of its memory were wrong (uncorrectable ECC error)", _RESET),
    61: ("its microcontroller gave a warning", _RESET),
    62: ("its microcontroller halted", _RESET),
    63: ("a bad row of its memory was marked to be replaced", "nothing now: it takes effect with the next reset"),
    64: ("a bad row of its memory could not be replaced", _REBOOT),
    74: ("an error of NVLink", "see `nvidia-smi nvlink --errorcounters`; reset the GPU or reboot"),
    79: ("it has fallen off the bus", _REBOOT),
    92: ("many single-bit errors in its memory", "watch it: they were corrected, but may announce worse"),
    94: ("an uncorrectable memory error that hit one program only", _RESTART),
    95: ("an uncorrectable memory error that may have hit every program", _RESET),
    109: ("the switch between two programs took too long", _RESTART),
    119: ("its system processor (GSP) did not answer the driver", _RESET),
    120: ("its system processor (GSP) met an error", _RESET),
    121: ("a corrected error on the link to the CPU (C2C)", "watch it: reset the GPU when that is convenient"),
    140: ("an uncorrectable memory error", _RESET),
    154: ("what it takes to recover has changed", "see `nvidia-smi -q` under GPU Recovery Action"),
}


def describe(code: int, moment: float, gpu_instance: int | None = None) -> Xid:
    """An Xid error that came at `moment` (epoch seconds), in words."""
    message, fix = _KNOWN.get(code, _UNKNOWN)
    return Xid(time=moment, code=code, message=message, fix=fix, gpu_instance=gpu_instance)


class Watch:
    """The Xid errors of the devices that were added, from then on. For the thread that makes the calls."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._events: Any = None
        self._devices: dict[int, int] = {}

    def restart(self) -> None:
        """After the driver was opened: what was made before is void."""
        self._events, self._devices = None, {}

    def add(self, index: int, handle: Any) -> None:
        """Watch a device, once. Raises DeviceProblem."""
        place = address(handle)
        if place in self._devices:
            return
        self._devices[place] = index
        if self._events is None:
            self._events = self._nvml.event_set()
        if not isinstance(self._events, Unavailable):
            self._nvml.register(self._events, handle)

    def drain(self) -> Iterator[tuple[int, Xid]]:
        """(index of the device, error) of all that came since the last time."""
        for _ in range(_AT_ONCE if self._devices and not isinstance(self._events, Unavailable) else 0):
            try:
                found = self._nvml.next_event(self._events)
            except DeviceProblem:  # of a device that is not named: the sample finds out which
                return
            if found is None:
                return
            place, code, gpu_instance = found
            if place in self._devices:
                yield self._devices[place], describe(code, time.time(), gpu_instance)
