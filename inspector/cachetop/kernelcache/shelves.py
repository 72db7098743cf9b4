"""Keeping shelves up to date at the cost of what changed.

A folder whose mtime stands still has the entries it had; entries that are open are looked at every time.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cachetop.base.files import DIRECTORY
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.base.turns import in_turns
from cachetop.kernelcache.formats import Context, Row, Rows, Shelf

_SOME = 256
"""Entries between two calls of `Context.progress`."""
_PIECE = 4096
"""Names that are looked up in one go: nothing else runs meanwhile."""
RACY = 2_000_000_000
"""Nanoseconds: a folder changed less than this before it was listed may change again within its time stamp."""

Reader = Callable[[int, str, Context], Row | None]
"""(folder's descriptor, raw name, context) -> a row, None when there is no entry (any more)."""

GroupReader = Callable[[int, str, str, list[str], Context], Row | None]
"""(folder's descriptor, its path below the root, stem, its names there, context) -> a row, None for no entry."""


def open_folder(name: str, dir_fd: int | None = None) -> int | None:
    """Open a folder without following a symlink; None when it is gone, no folder, or not allowed."""
    try:
        return os.open(name, DIRECTORY, dir_fd=dir_fd)
    except OSError:
        return None


@contextmanager
def opened(root: str, path: str) -> Iterator[int | None]:
    """The folder `path` below `root`, opened step by step without following a symlink; None when that fails."""
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        with opened_below(handle, path) as found:
            yield found
    finally:
        os.close(handle)


@contextmanager
def opened_below(root: int, path: str) -> Iterator[int | None]:
    """As `opened`, below the folder that is open as `root`."""
    handle: int | None = os.dup(root)
    for part in path.split("/"):
        if handle is not None and part != ".":
            outer, handle = handle, open_folder(part, handle)
            os.close(outer)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def listing(name: str, parent: int, context: Context) -> Iterator[int | None]:
    """The folder `name` in the open `parent`, to be listed; None when it is gone, no folder, or not allowed.

    An OSError in the block ends only that block, with a sentence in `context.errors`: the folders beside it are looked
    at all the same.
    """
    inner = open_folder(name, parent)
    try:
        yield inner
    except OSError as error:
        context.errors.append(f"{clean(name)} cannot be listed: {why(error)}")
    finally:
        if inner is not None:
            os.close(inner)


def refresh(folder: int, shelf: Shelf, wanted: Callable[[str], bool], read: Reader, context: Context) -> bool:
    """Bring one shelf up to date. Lists it only when its mtime moved; reads only what changed."""
    try:
        stamp = os.fstat(folder).st_mtime_ns
        trusted = stamp == shelf.stamp and stamp < shelf.listed - RACY
        if trusted:
            names: Iterable[str] = list(shelf.rows.unsettled)
        else:
            listed = time.time_ns()
            present = os.listdir(folder)
            fresh = [name for name in present if name not in shelf.rows and wanted(name)]
    except OSError as error:
        context.errors.append(f"a folder of this cache cannot be listed: {why(error)}")
        return False
    changed = False
    if not trusted:
        changed = drop(shelf.rows, present)
        shelf.stamp, shelf.listed = stamp, listed
        names = [*(shelf.rows.unsettled if context.quick else shelf.rows), *fresh]
    for count, name in enumerate(in_turns(names, 8), 1):
        changed |= reread(folder, name, shelf.rows, read, context)
        if context.progress is not None and not count % _SOME:
            context.progress()
    return changed


def reread(folder: int, name: str, rows: Rows, read: Reader, context: Context) -> bool:
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
        return rows.discard(name)
    return keep(rows, name, row)


def keep(rows: Rows, name: str, row: Row) -> bool:
    """Put a row that was read; an entry that reads the same stays the same object. Returns whether it changed."""
    old = rows.get(name)
    same = old is not None and old.reads_as(row.entry)
    if old is not None and same:
        row.entry, row.named = old.entry, old.named
    rows[name] = row
    return not same


def keep_tree(rows: Rows, name: str, parent: int, context: Context, read: Callable[[int], Row | None]) -> bool:
    """Bring the row for the whole folder `name` in the open `parent` up to date by `read`, which gets that folder open.

    A quick scan leaves a row that is not in flight. Returns whether it changed. Raises OSError.
    """
    if context.quick and name in rows and name not in rows.flying:
        return False
    inner = open_folder(name, parent)
    if inner is None:
        return rows.discard(name)
    try:
        row = read(inner)
    finally:
        os.close(inner)
    return rows.discard(name) if row is None else keep(rows, name, row)


def regroup(
    folder: int, path: str, shelf: Shelf, stem: Callable[[str], str], read: GroupReader, context: Context
) -> bool:
    """Bring a flat folder at `path` up to date, where the files of one `stem` are one entry. Raises OSError."""
    stamp = os.fstat(folder).st_mtime_ns
    if stamp == shelf.stamp and stamp < shelf.listed - RACY and not shelf.rows.unsettled:
        return False
    listed = time.time_ns()
    groups: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        groups.setdefault(stem(name), []).append(name)
    changed = drop(shelf.rows, groups)
    for one, names in groups.items():
        row = read(folder, path, one, sorted(names), context)
        changed |= shelf.rows.discard(one) if row is None else keep(shelf.rows, one, row)
    shelf.stamp, shelf.listed = stamp, listed
    return changed


def drop(rows: Rows, present: Iterable[str]) -> bool:
    """Forget the rows that are not among `present`; returns whether there were any."""
    there = in_pieces(present)
    gone = [name for name in rows if name not in there]
    for name in gone:
        del rows[name]
    return bool(gone)


def in_pieces(names: Iterable[str]) -> set[str]:
    """As `set(names)`, but other threads get their turn meanwhile."""
    made: set[str] = set()
    some = iter(names)
    while piece := list(itertools.islice(some, _PIECE)):
        made.update(piece)
    return made


def folders(parent: int) -> list[str]:
    """The names of the subfolders, symlinks left out. Raises OSError."""
    with os.scandir(parent) as found:
        return [one.name for one in found if one.is_dir(follow_symlinks=False)]


def drop_missing(shelves: dict[str, Shelf], seen: Iterable[str]) -> bool:
    """Forget the shelves that are not among `seen`; returns whether rows went with them."""
    gone = [shelves.pop(path) for path in shelves.keys() - set(seen)]
    return any(shelf.rows for shelf in gone)
