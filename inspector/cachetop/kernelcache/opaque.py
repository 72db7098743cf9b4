"""Caches whose contents are not readable: what they cost, how many files, how old. Nothing is guessed.

`cuda-driver`: the driver's ComputeCache (`index` and folders of blobs, CUDA Programming Guide 5.2.2), one row
for the whole.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from cachetop.kernelcache.formats import Context, Shelf
from cachetop.kernelcache.records import NOT_UNDERSTOOD
from cachetop.kernelcache.shelves import keep
from cachetop.kernelcache.usage import tree_row


class Driver:
    """The CUDA driver's ComputeCache, as one row."""

    kind = "cuda-driver"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        return whole_tree(root, shelves, context, "ComputeCache", None)

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        return "."


class NotUnderstood:
    """A cache of a format that is not read: one row with its size, files and age, which says so."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        return whole_tree(root, shelves, context, self.kind, NOT_UNDERSTOOD)

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        return "."


def whole_tree(root: int, shelves: dict[str, Shelf], context: Context, key: str, part: str | None) -> bool:
    """One row for everything below a root, none for an empty one. A quick scan walks it only when its root changed."""
    shelf = shelves.setdefault(".", Shelf())
    stamp = os.fstat(root).st_mtime_ns
    if context.quick and stamp == shelf.stamp:
        return False
    row = tree_row(root, ".", context, key=key, state="opaque", part=part)
    shelf.stamp = stamp
    return keep(shelf.rows, ".", row) if row.entry.files else shelf.rows.discard(".")
