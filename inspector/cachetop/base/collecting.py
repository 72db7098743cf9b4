"""Pausing the cyclic garbage collector while very many records are built, none of which can be garbage yet."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_stayed = False


@contextmanager
def collecting_later(stay: bool = False) -> Iterator[None]:
    """No cyclic collection inside; afterwards it is as it was, and what was built counts as old.

    Else the collector's next look, which comes at once, goes over all of it and holds every thread meanwhile: 100 ms
    after a scan of 5,000 repos. `stay`: what exists at the end stays for the life of this process, so that no look
    ever goes over it.
    """
    global _stayed
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if stay:
                gc.freeze()
                _stayed = True
            elif not _stayed and not gc.get_freeze_count():  # what others froze stays frozen
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            gc.enable()
