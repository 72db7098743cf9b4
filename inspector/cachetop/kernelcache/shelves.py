"""Keeping shelves up to date at the cost of what changed.

A folder whose mtime stands still has the entries it had; entries that are open are looked at every time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from cachetop.base.files import DIRECTORY
from cachetop.base.record import why
from cachetop.kernelcache.formats import Context, Row, Shelf

RACY = 2_000_000_000
"""Nanoseconds: a folder changed less than this before it was listed may change again within its time stamp."""

Reader = Callable[[int, str, Context], Row | None]
"""(folder's descriptor, raw name, context) -> a row, None when there is no entry (any more)."""


def open_folder(name: str, dir_fd: int | None = None) -> int | None:
    """Open a folder without following a symlink; None when it is gone, no folder, or not allowed."""
    try:
        return os.open(name, DIRECTORY, dir_fd=dir_fd)
    except OSError:
        return None


def refresh(folder: int, shelf: Shelf, wanted: Callable[[str], bool], read: Reader, context: Context) -> bool:
    """Bring one shelf up to date. Lists it only when its mtime moved; reads only what changed."""
    try:
        stamp = os.fstat(folder).st_mtime_ns
        trusted = stamp == shelf.stamp and stamp < shelf.listed - RACY
        if trusted:
            names: Iterable[str] = [name for name, row in shelf.rows.items() if not row.settled]
        else:
            listed = time.time_ns()
            names = [name for name in os.listdir(folder) if wanted(name)]
    except OSError as error:
        context.errors.append(f"a folder of this cache cannot be listed: {why(error)}")
        return False
    changed = False
    if not trusted:
        changed = drop(shelf.rows, names)
        shelf.stamp, shelf.listed = stamp, listed
    for name in names:
        changed |= reread(folder, name, shelf.rows, read, context)
    return changed


def reread(folder: int, name: str, rows: dict[str, Row], read: Reader, context: Context) -> bool:
    """Bring one row up to date; an entry that reads the same stays the same object. Returns whether it changed."""
    old = rows.get(name)
    if old is not None and not old.open:
        try:
            if os.lstat(name, dir_fd=folder).st_mtime_ns == old.stamp:
                return False
        except OSError:
            pass  # gone, which the reader will find too
    row = read(folder, name, context)
    if row is None:
        return rows.pop(name, None) is not None
    return keep(rows, name, row)


def keep(rows: dict[str, Row], name: str, row: Row) -> bool:
    """Put a row that was read; an entry that reads the same stays the same object. Returns whether it changed."""
    old = rows.get(name)
    rows[name] = row
    if old is not None and old.entry == row.entry:
        row.entry, row.detailed = old.entry, old.detailed
        return False
    return True


def drop(rows: dict[str, Row], present: Iterable[str]) -> bool:
    """Forget the rows that are not among `present`; returns whether there were any."""
    gone = rows.keys() - set(present)
    for name in gone:
        del rows[name]
    return bool(gone)


def folders(parent: int) -> list[str]:
    """The names of the subfolders, symlinks left out. Raises OSError."""
    with os.scandir(parent) as found:
        return [one.name for one in found if one.is_dir(follow_symlinks=False)]


def drop_missing(shelves: dict[str, Shelf], seen: Iterable[str]) -> bool:
    """Forget the shelves that are not among `seen`; returns whether rows went with them."""
    gone = [shelves.pop(path) for path in shelves.keys() - set(seen)]
    return any(shelf.rows for shelf in gone)
