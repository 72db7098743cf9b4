"""Caches whose contents are not readable: what they cost, how many files, how old. Nothing is guessed.

`cuda-driver`: the driver's ComputeCache (`index` and folders of blobs, CUDA Programming Guide 5.2.2), one row
for the whole. `torch-extensions`: `py311_cu130/<extension>/` with build.ninja, objects and the shared object
(torch.utils.cpp_extension), one row per extension.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from cachetop.base.record import why
from cachetop.kernelcache import gencode
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Shelf
from cachetop.kernelcache.records import Producer
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep, open_folder
from cachetop.kernelcache.usage import tree_row

_VERSIONED = re.compile(r"py\d{2,4}_(?:cpu|cu(\d{2})(\d)|[a-z0-9.]+)\Z")


class Driver:
    """The CUDA driver's ComputeCache, as one row."""

    kind = "cuda-driver"

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
        return whole_tree(root, shelves, context, self.kind, "contents not understood")

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


class Extensions:
    """torch_extensions: a shelf per Python and CUDA version, a row per extension."""

    kind = "torch-extensions"

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, []
        for version in folders(root):
            if not _VERSIONED.match(version) or (inner := open_folder(version, root)) is None:
                continue
            try:
                changed |= _extensions(inner, version, shelves.setdefault(version, Shelf()), context)
                seen.append(version)
            except OSError as error:
                context.errors.append(f"{version} cannot be listed: {why(error)}")
            finally:
                os.close(inner)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/", 2)
        return "/".join(parts[:2]) if len(parts) > 1 and _VERSIONED.match(parts[0]) else None


def _extensions(parent: int, version: str, shelf: Shelf, context: Context) -> bool:
    """One row per extension. A build changes files below and not the folder, so all but a quick scan read them anew."""
    found = _VERSIONED.match(version)
    producer = Producer(cuda=f"{found[1]}.{found[2]}") if found and found[1] else UNKNOWN_PRODUCER
    names = folders(parent)
    changed = drop(shelf.rows, names)
    for name in names:
        if context.quick and name in shelf.rows:
            continue
        if (inner := open_folder(name, parent)) is None:
            changed |= shelf.rows.discard(name)
            continue
        try:
            sms = gencode.sms(gencode.asked(inner))
            row = tree_row(
                inner, f"{version}/{name}", context, key=name, name=name, state="opaque", producer=producer, sm=sms
            )
        finally:
            os.close(inner)
        changed |= keep(shelf.rows, name, row)
    return changed
