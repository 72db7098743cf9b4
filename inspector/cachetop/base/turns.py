"""Long loops of a background thread, in which the other threads get their turn.

A thread that waits for the interpreter asks for it after the switch interval, but begins to wait anew whenever the
one that computes lets go for a moment, as it does in every system call. When such moments are too short to wake up in
and come more often than the switch interval, a loop that mostly computes keeps every other thread waiting for seconds
(CPython 3.11, `take_gil` in Python/ceval_gil.h: only a wait that times out makes a request).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from time import perf_counter, sleep
from typing import Final, TypeVar

T = TypeVar("T")

_TURN: Final = 0.002
"""Seconds a thread computes before it lets the others go on."""
_PAUSE: Final = 0.00005
"""Seconds it sleeps then: long enough for one that waits to wake up and take over."""


def in_turns(items: Iterable[T], every: int = 1) -> Iterator[T]:
    """`items`, with a short sleep before the next one whenever the loop over them has gone on for some time.

    `every`: after so many items the clock is read, more where each takes little. The main thread never sleeps: there
    it is either alone, or the one that others must not keep waiting.
    """
    if threading.current_thread() is threading.main_thread():
        return iter(items)
    return _taking_turns(items, every)


def _taking_turns(items: Iterable[T], every: int) -> Iterator[T]:
    began = perf_counter()
    left = every
    for item in items:
        yield item
        left -= 1
        if not left:
            left = every
            if perf_counter() - began > _TURN:
                sleep(_PAUSE)
                began = perf_counter()
