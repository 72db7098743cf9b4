"""Numba's cache of functions compiled for the CPU (`@njit(cache=True)`), where NUMBA_CACHE_DIR or the user's folder
holds it (numba/core/caching.py; seen with 0.68).

A folder per source folder (`<name>_<sha1>`); in it, per function, an index `<module>.<function>-<line>.py311.nbi` and
a data file `<same>.<n>.nbc` per signature, written as `<name>.tmp.<16 hex>` and renamed. One row per index. The index
is two pickles, of Numba's release and of the rest; both are searched for byte patterns and never loaded.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from cachetop.base.files import read_bounded
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Facts, Row, Shelf
from cachetop.kernelcache.records import NOT_UNDERSTOOD, Producer
from cachetop.kernelcache.shelves import drop_missing, folders, listing, regroup
from cachetop.kernelcache.usage import group_row

_NAME = re.compile(
    r"(?P<stem>.+-\d{1,9}\.py\d{2,4}[a-z]{0,2})\.(?:nbi|\d{1,6}\.nbc)(?:\.tmp\.[0-9a-f]{16})?", re.DOTALL
)
_STEM = re.compile(r"(?P<name>.+)-\d{1,9}\.py\d{2,4}[a-z]{0,2}\Z", re.DOTALL)
_INDEX_MOST = 1 << 19
_RELEASE = re.compile(rb"\x80.(?:\x95.{8})?\x8c.(\d{1,3}\.\d{1,3}[0-9A-Za-z.+]{0,30})\x94?\.", re.DOTALL)
_TARGET = re.compile(
    rb"\x8c.[a-z0-9_]{2,20}-[a-z0-9_]{2,20}-[a-z0-9_-]{2,40}\x94\x8c.([A-Za-z0-9_.-]{1,60})\x94", re.DOTALL
)


class Numba:
    """A Numba cache: a shelf per folder of sources."""

    kind = "numba"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, []
        for name in folders(root):
            if name.startswith("."):
                continue
            with listing(name, root, context) as inner:
                if inner is not None:
                    changed |= regroup(inner, name, shelves.setdefault(name, Shelf()), _stem, _row, context)
                    seen.append(name)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        return f"{parts[0]}/{_stem(parts[1])}" if len(parts) > 1 else None


def facts(folder: int, name: str) -> Facts:
    """What an index says: the release that made it, which no other one reads, and the CPU that its code is for.

    It is read on a hit, and replaced when something is added.
    """
    if not _STEM.match(name):
        return Facts()
    raw = _index(folder, name)
    release = _RELEASE.match(raw)
    found = _TARGET.search(raw) if release else None
    return Facts(
        producer=Producer(package=f"numba {release[1].decode()}") if release else UNKNOWN_PRODUCER,
        witness=f"{name}.nbi",
        code_sm=found[1].decode() if found else None,
    )


def _index(folder: int, name: str) -> bytes:
    try:
        return read_bounded(f"{name}.nbi", _INDEX_MOST, folder)
    except (OSError, ValueError):
        return b""


def _stem(name: str) -> str:
    found = _NAME.fullmatch(name)
    return found["stem"] if found else name


def _row(folder: int, path: str, stem: str, names: list[str], context: Context) -> Row:
    found = _STEM.match(stem)
    place = f"{path}/{stem}"
    if found is None or names == [stem]:
        return group_row(folder, place, stem, names, context, state="opaque", part=NOT_UNDERSTOOD)
    state = "complete" if f"{stem}.nbi" in names else "compiling"
    return group_row(folder, place, stem, names, context, state=state, part="function", name=found["name"])
