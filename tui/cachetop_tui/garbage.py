"""When Python looks for cycles: not in the middle of a scroll through a hundred thousand rows; and what is given back.

A full collection walks every object there is, and nothing else runs meanwhile: with large caches a tenth of a second
and more. What the snapshots hold has no cycles, so once a snapshot is in, all that is there is set aside; what comes
and goes is still looked through. What reading so much has taken and left free, the C library keeps unless it is asked.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from cachetop.base import collecting

_MANY: Final = 5000
"""Repos and entries from which on it matters."""
_GROWN: Final = 1.2
_LITTLE: Final = 500
"""Objects that are given up in one go."""
_SWITCH: Final = 0.002
"""Seconds a thread may compute before another one gets its turn: the screen does not wait long for a scan."""


_GIVE_BACK: Final = (20.0, 20.0, 60.0, 120.0)
"""Pauses in seconds after much was found: the passes over it have ended after one of them."""


class Aside:
    """Sets aside what is known whenever it has grown by a fifth; later gives back what finding it has taken."""

    def __init__(self) -> None:
        self._last = 0
        self._giving: threading.Thread | None = None

    def note(self, many: int) -> None:
        """So many repos and entries are known now."""
        if many >= _MANY and many > self._last * _GROWN:
            self._last = many
            collecting.settle()
            if self._giving is None or not self._giving.is_alive():
                self._giving = threading.Thread(target=_give_back_soon, name="cachetop-free", daemon=True)
                self._giving.start()


def _give_back_soon() -> None:
    for pause in _GIVE_BACK:
        time.sleep(pause)
        give_back()


def give_back() -> None:
    """Return memory that is free to the system, where the C library is one that can. Not for the event loop."""
    with contextlib.suppress(OSError, AttributeError):
        _library().malloc_trim(0)


@lru_cache(1)
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def let_go(*piles: Iterable[object]) -> None:
    """Hold what is in `piles` until it can be given up, a little at a time and in a thread: of very many objects that
    takes a tenth of a second in which nothing else runs. Whoever calls this lets go of them afterwards."""
    held = [list(pile) for pile in piles]
    many = sum(map(len, held)) >= _MANY

    def work() -> None:
        for pile in held:
            while pile:
                del pile[-_LITTLE:]
                time.sleep(0)  # let the others go on
        if many:
            # Python keeps a few thousand tuples for later use, which keep the megabytes around them: a full collection
            # gives them up. It goes over little, for what so much was made in was set aside.
            gc.collect()
        give_back()

    threading.Thread(target=work, name="cachetop-free", daemon=True).start()


_prepared = False


def prepare() -> None:
    """Set up a process that shows the app."""
    global _prepared
    _prepared = True
    sys.setswitchinterval(_SWITCH)
    collecting.settle()  # what was imported stays
    gc.set_threshold(2000, 10, 100)  # what is gone over at once is gone over in a few milliseconds


def loaded() -> None:
    """The rest of the app was imported, which stays, too. Nothing where the process is not the app's alone."""
    if _prepared:
        collecting.settle()
