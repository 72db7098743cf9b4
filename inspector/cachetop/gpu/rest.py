"""When to let go of the driver on a laptop that runs on battery.

An open NVML handle keeps the GPU from runtime suspend (5 to 7 W), however idle it is. So after a minute without a
process and without load, on battery, the driver is let go of. It is opened again on mains power or after five minutes,
and not while every GPU sleeps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cachetop.base.files import read_bounded
from cachetop.gpu.reasons import NoDriver
from cachetop.gpu.records import Gpus

SUPPLIES = "/sys/class/power_supply"
IDLE_SECONDS = 60.0
REST_SECONDS = 300.0


class Rest:
    """Watches samples for idleness. `supplies` is where the kernel tells of batteries and mains."""

    sentence = (
        "The NVIDIA driver was let go of to save the battery: no program used a GPU for a minute. It is asked again "
        "after five minutes, or on mains power."
    )

    def __init__(self, supplies: str = SUPPLIES, clock: Callable[[], float] = time.monotonic) -> None:
        self._supplies = supplies
        self._clock = clock
        self._idle_since: float | None = None
        self._until = 0.0

    def due(self, gpus: Gpus) -> bool:
        """Whether to let go now; then `check` refuses for a while."""
        now = self._clock()
        if any(gpu.processes or gpu.utilization or "processes" in gpu.unavailable for gpu in gpus.gpus):
            self._idle_since = None
            return False
        if self._idle_since is None:
            self._idle_since = now
        if not gpus.gpus or now - self._idle_since < IDLE_SECONDS or not on_battery(self._supplies):
            return False
        self._idle_since, self._until = None, now + REST_SECONDS
        return True

    def check(self) -> None:
        """Raises NoDriver while the GPUs shall be left alone."""
        if self._clock() < self._until and on_battery(self._supplies):
            raise NoDriver(self.sentence)
        self._until = 0.0


def on_battery(supplies: str = SUPPLIES) -> bool:
    """Whether a battery of this machine is discharging and no mains supply is online."""
    try:
        names = os.listdir(supplies)
    except OSError:
        return False
    discharging = False
    for name in names:
        if _word(f"{supplies}/{name}/scope") == b"Device":
            continue  # a mouse's battery
        kind = _word(f"{supplies}/{name}/type")
        if kind == b"Mains" and _word(f"{supplies}/{name}/online") == b"1":
            return False
        discharging |= kind == b"Battery" and _word(f"{supplies}/{name}/status") == b"Discharging"
    return discharging


def _word(path: str) -> bytes:
    try:
        return read_bounded(path, 64).strip()
    except (OSError, ValueError):
        return b""
