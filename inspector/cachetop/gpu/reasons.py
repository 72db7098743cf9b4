"""What an NVML error code means here, in a sentence, and what to do about it.

Codes are those of nvmlReturn_t in nvml.h. Three scopes: the whole driver (`no_driver`), one device (`DEVICE`),
one value of a device (`FIELD`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetop.base.files import read_bounded
from cachetop.base.hostile import show

UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
UNKNOWN = 999

DEVICE = {
    8: "it lacks external power: check its power cables",
    11: "the kernel has an interrupt problem with it: see dmesg",
    GPU_IS_LOST: "it has fallen off the bus: see dmesg for an Xid 79, and reboot to get it back",
    RESET_REQUIRED: "it needs a reset: end its processes, then run `nvidia-smi --gpu-reset` or reboot",
}
"""Errors that take the whole device away."""

FIELD = {
    NOT_SUPPORTED: "this GPU does not report it",
    NO_PERMISSION: "the driver does not let this user read it",
    FUNCTION_NOT_FOUND: "this driver is too old to report it",
    UNKNOWN: "the driver answered with an unknown error",
}

NOT_SHOWN = "not asked for: it is read only while it is shown, as asking takes the driver 40 ms"
"""Why there is no throughput of the bus where nobody looks at it."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Stands where a value would: why there is none."""

    reason: str


class NoDriver(Exception):
    """No GPU can be read at all. The message is a sentence that also says what to do."""


class DeviceProblem(Exception):
    """One device does not answer at all; the others do. The message says why."""


def field(code: int) -> Unavailable:
    """Why one value of one device is missing."""
    return Unavailable(FIELD.get(code, f"the driver answered with NVML error {code}"))


def no_driver(code: int) -> NoDriver:
    """Why there is no driver to ask, from the code that initialization or the device count returned."""
    if code == LIBRARY_NOT_FOUND:
        return NoDriver("No NVIDIA driver is installed here (libnvidia-ml.so.1 was not found); GPUs are not shown.")
    if code == DRIVER_NOT_LOADED:
        return NoDriver(
            "The NVIDIA library is installed but its kernel module is not loaded: run `sudo modprobe nvidia`, "
            "or reboot if the driver was just installed."
        )
    if code == VERSION_MISMATCH:
        return NoDriver(
            f"The NVIDIA library and the loaded kernel module{_module()} have different versions, as after an "
            "upgrade: reboot, or reload the nvidia modules."
        )
    if code == NO_PERMISSION:
        return NoDriver("This user may not open /dev/nvidia*: ask for the group that owns these devices.")
    if code == UNKNOWN:
        return NoDriver(
            "The NVIDIA driver answered with an unknown error; in a container this means that its devices were "
            "taken away: restart the container."
        )
    return NoDriver(f"The NVIDIA driver could not be initialized (NVML error {code}): see dmesg, or reboot.")


def _module() -> str:
    """The loaded module's version, from the first line of /proc/driver/nvidia/version."""
    try:
        line = read_bounded("/proc/driver/nvidia/version", 400).split(b"\n")[0]
    except (OSError, ValueError):
        return ""
    words = [word for word in line.split() if word[:1].isdigit() and b"." in word]
    return f" ({show(words[0])})" if words else ""
