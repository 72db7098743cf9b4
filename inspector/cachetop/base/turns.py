"""Long loops of a background thread, in which the other threads get their turn.

A thread that waits for the interpreter asks for it after the switch interval, but begins to wait anew whenever the
one that computes lets go for a moment, as it does in every system call. When such moments are too short to wake up in
and come more often than the switch interval, a loop that mostly computes keeps every other thread waiting for seconds
(CPython 3.11, `take_gil` in Python/ceval_gil.h: only a wait that times out makes a request).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from time import perf_counter, sleep
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TURN: Final = 0.002
"""Seconds a thread computes before it lets the others go on."""
_PAUSE: Final = 0.00005
"""Seconds it sleeps then: long enough for one that waits to wake up and take over."""
_SORTED: Final = 4096
"""Items that are sorted in one call."""
_GIVEN_UP: Final = 500
"""Items that are let go of in one call."""


def in_turns(items: Iterable[T], every: int = 1) -> Iterator[T]:
    """`items`, with a short sleep before the next one whenever the loop over them has gone on for some time.

    `every`: after so many items the clock is read, more where each takes little. The main thread never sleeps: there
    it is either alone, or the one that others must not keep waiting.
    """
    if threading.current_thread() is threading.main_thread():
        return iter(items)
    return _taking_turns(items, every)


def give_up(items: list[Any]) -> None:
    """Empty a list in turns: to let go of very many objects is one call, too."""
    for _ in in_turns(range(0, len(items), _GIVEN_UP)):
        del items[-_GIVEN_UP:]


def in_order(items: Sequence[Any]) -> Iterator[Any]:
    """`items` from the least to the greatest, in turns: sorting very many is one call in which nothing else runs."""
    return in_turns(merge(*(sorted(items[at : at + _SORTED]) for at in range(0, len(items), _SORTED))), 64)


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
