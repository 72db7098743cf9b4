"""When Python looks for cycles: not in the middle of a scroll through a hundred thousand rows.

A full collection walks every object there is, and nothing else runs meanwhile: with large caches a tenth of a second
and more. What the snapshots hold has no cycles, so once a snapshot is in, all that is there is set aside; what comes
and goes is still looked through.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

_MANY: Final = 5000
"""Repos and entries from which on it matters."""
_GROWN: Final = 1.2
_SWITCH: Final = 0.002
"""Seconds a thread may compute before another one gets its turn: the screen does not wait long for a scan."""


class Aside:
    """Sets aside what is known whenever it has grown by a fifth."""

    def __init__(self) -> None:
        self._last = 0

    def note(self, many: int) -> None:
        """So many repos and entries are known now."""
        if many >= _MANY and many > self._last * _GROWN:
            self._last = many
            gc.freeze()


def prepare() -> None:
    """Set up a process that shows the app."""
    sys.setswitchinterval(_SWITCH)
    gc.freeze()  # what was imported stays
    gc.set_threshold(5000, 20, 50)
