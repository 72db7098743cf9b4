"""Whether asking the driver would wake a sleeping GPU.

On a laptop an open NVML handle keeps the GPU from runtime suspend (5 to 7 W), so /sys is asked first; reading
`power/runtime_status` wakes nothing (Documentation/ABI/testing/sysfs-devices-power in the kernel).
"""

from __future__ import annotations

import os

from cachetop.base.files import read_bounded

PCI = "/sys/bus/pci/devices"
_NVIDIA = b"0x10de"
_DISPLAY_CLASS = b"0x03"


def all_asleep(pci: str = PCI) -> bool:
    """True when this machine has NVIDIA GPUs and every one is runtime-suspended."""
    try:
        devices = os.listdir(pci)
    except OSError:
        return False
    states = [
        _word(f"{pci}/{device}/power/runtime_status")
        for device in devices
        if _word(f"{pci}/{device}/vendor") == _NVIDIA and _word(f"{pci}/{device}/class").startswith(_DISPLAY_CLASS)
    ]
    return bool(states) and all(state == b"suspended" for state in states)


def _word(path: str) -> bytes:
    try:
        return read_bounded(path, 64).strip()
    except (OSError, ValueError):
        return b""
