"""JAX's persistent compilation cache (jax/_src/lru_cache.py, compilation_cache.py; seen with 0.10).

A flat folder: `<module>-<sha256>-cache`, and `-atime` beside it where a size limit is set. A file is compressed by
zlib, or by zstd where that is installed, and begins with the compile's seconds (4 bytes, big-endian); the executable
after it is XLA's, searched here for the CPU it names and for nothing else. One row per executable, one for any other
file or folder (XLA keeps its autotuning there).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection

from cachetop.base.files import read_bounded
from cachetop.kernelcache.formats import Context, Facts, Row, Shelf
from cachetop.kernelcache.records import NOT_UNDERSTOOD
from cachetop.kernelcache.shelves import regroup
from cachetop.kernelcache.usage import group_row

_NAME = re.compile(r"(?P<stem>(?P<module>.+)-[0-9a-f]{64})-(?:cache|atime)", re.DOTALL)
_STEM = re.compile(r"(?P<module>.+)-[0-9a-f]{64}\Z", re.DOTALL)
_READ_MOST = 1 << 20
_UNPACKED_MOST = 4 << 20
_TARGET = re.compile(rb"\n.[a-z0-9_]{2,20}-[a-z0-9_]{2,20}-[a-z0-9_-]{2,40}\x12.([A-Za-z0-9_.-]{1,60})\x1a", re.DOTALL)


class Jax:
    """A JAX cache: one shelf, the root itself."""

    kind = "jax"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        return regroup(root, ".", shelves.setdefault(".", Shelf()), _stem, _row, context)

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        return _stem(path.partition("/")[0])


def facts(folder: int, name: str) -> Facts:
    """What an executable's file says, of its first megabyte. A hit reads it; writing does not."""
    if not _STEM.match(name):
        return Facts()
    target = seconds = None
    try:
        raw = read_bounded(f"{name}-cache", _READ_MOST, folder)
        plain = zlib.decompressobj().decompress(raw, _UNPACKED_MOST)
    except (OSError, ValueError, zlib.error):
        plain = b""  # zstd, or damaged: not read
    if len(plain) > 4:
        seconds = int.from_bytes(plain[:4], "big")
        found = _TARGET.search(plain)
        target = found[1].decode() if found else None
    return Facts(
        witness=f"{name}-cache",
        code_sm=target,
        build_milliseconds=seconds * 1000.0 if seconds else None,  # whole seconds: 0 is anything below one
    )


def _stem(name: str) -> str:
    found = _NAME.fullmatch(name)
    return found["stem"] if found else name


def _row(folder: int, path: str, stem: str, names: list[str], context: Context) -> Row | None:
    if stem.startswith("."):
        return None  # the lock
    found = _STEM.match(stem)
    if found is None or f"{stem}-cache" not in names:
        return group_row(folder, stem, stem, names, context, state="opaque", part=NOT_UNDERSTOOD)
    return group_row(folder, stem, stem, names, context, state="complete", part="executable", name=found["module"])
