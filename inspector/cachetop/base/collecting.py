"""Pausing the cyclic garbage collector while very many records are built, none of which can be garbage yet."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_MANY: Final = 20_000
"""Objects that the collector would go over: from so many on it holds every other thread for longer than a frame."""

_LITTLE: Final = 500
"""Objects that are given up in one go."""

_lock = threading.Lock()
_inside = 0
_was_on = True
_stays = False


def settle() -> None:
    """Let what exists now stay for the life of this process, so that no look of the collector ever goes over it.

    What is of no use later is given back all the same unless it is part of a cycle.
    """
    global _stays
    _stays = True
    gc.freeze()


@contextmanager
def collecting_later() -> Iterator[None]:
    """No cyclic collection inside, in any thread; afterwards it is as it was, and what was built counts as old.

    Else the collector's next look, which comes at once, goes over all of it and holds every thread meanwhile: 100 ms
    after a scan of 5,000 repos. In a process that did `settle`, much that was built stays, too.
    """
    global _inside, _was_on
    with _lock:
        if not _inside:
            _was_on = gc.isenabled()
        _inside += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _stays:
                if gc.get_count()[0] > _MANY:
                    gc.freeze()
            elif not _inside and not gc.get_freeze_count():  # what others froze stays frozen
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            if _was_on and not _inside:
                gc.enable()


def give_up(pile: list[Any]) -> None:
    """Empty `pile`, which is the last to hold what is in it, a little at a time: others get their turn in between."""
    while pile:
        del pile[-_LITTLE:]
