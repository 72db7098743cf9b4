"""Something happens right before a certain system call of the pruner: a kill, a swapped folder, a mount, an error.

What a file system holds changes only in system calls, so `every call in turn` is every moment there is.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cachetop.prune import calls

CHANGING = ("mkdir", "rmdir", "unlink", "write", "fsync", "link", "rename", "utime", "open", "flock")
"""Calls between which a kill leaves different things behind."""
RESOLVING = ("mkdir", "rmdir", "unlink", "link", "rename", "open", "lstat", "stat", "readlink", "open_folder")
"""Calls that look a name up, so between which it matters what somebody else has put there."""


def _places(name: str) -> list[tuple[Any, str]]:
    """Where the pruner finds a call: in `os`, and its own ones in each module that took them from `calls`."""
    found: list[tuple[Any, str]] = [(os, name)] if hasattr(os, name) else []
    if name == "flock":
        found = [(fcntl, name)]
    if hasattr(calls, name):
        ours = [module for path, module in sorted(sys.modules.items()) if path.startswith("cachetop.prune.")]
        found += [(module, name) for module in ours if hasattr(module, name) and module is not calls]
    return found


@contextmanager
def told(names: tuple[str, ...], tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts `tell` is called with the call's name right before each of these calls, by whatever thread."""
    before: list[tuple[Any, str, Any]] = []

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            tell(name)
            return real(*args, **more)

        return call

    try:
        for name in names:
            for where, attribute in _places(name):
                real = getattr(where, attribute)
                before.append((where, attribute, real))
                setattr(where, attribute, wrap(name, real))
        yield
    finally:
        for where, attribute, real in reversed(before):
            setattr(where, attribute, real)


@contextmanager
def happening(number: int, act: Callable[[], Any], names: tuple[str, ...] = RESOLVING) -> Iterator[list[str]]:
    """`act` happens right before the `number`th call (from 1). Yields a list that names that call once it came."""
    lock, count = threading.Lock(), 0
    came: list[str] = []
    acting = threading.local()

    def tell(name: str) -> None:
        nonlocal count
        if getattr(acting, "now", False):
            return  # the calls of `act` itself
        with lock:
            count += 1
            if count != number:
                return
            came.append(name)
        acting.now = True
        try:
            act()
        finally:
            acting.now = False

    with told(names, tell):
        yield came
