"""Pausing the cyclic garbage collector while very many records are built, none of which can be garbage yet."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later(stay: bool = False) -> Iterator[None]:
    """No cyclic collection inside; afterwards it is as it was.

    `stay`: what exists at the end stays for the life of this process, so the collector need not look at it again.
    Without that its next look holds every thread for as long as it takes: 100 ms after a scan of 5,000 repos.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if stay:
                gc.freeze()
            gc.enable()
