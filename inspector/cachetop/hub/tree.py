"""The file list of a revision as the Hub announced it: `trees/<commit>.json`.

Format: huggingface_hub/_tree_cache.py, format_version 1, written by snapshot_download since 1.22. It tells
offline what a revision should hold, hence what is missing and how large a running download will be. It is a
file like any other in a cache: bounded, checked, and ignored when it makes no sense.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from sys import intern

import msgspec

from cachetop.base.files import open_quietly
from cachetop.base.turns import in_turns
from cachetop.hub.contents import folder
from cachetop.hub.members import OBJECTS, in_parts

_LIMIT = 64 << 20
_KEPT = 20_000
_LISTED = 1000


class _Entry(msgspec.Struct, gc=False):
    size: int
    blob_id: str
    lfs_sha256: str | None = None
    lfs_size: int | None = None

    @property
    def expected(self) -> int | None:
        size = self.size if self.lfs_size is None else self.lfs_size
        return size if 0 <= size < 1 << 63 else None


class _Tree(msgspec.Struct):
    format_version: int
    files: dict[str, _Entry]


_WHOLE = msgspec.json.Decoder(_Tree)
_FILES = msgspec.json.Decoder(dict[str, _Entry])
_LARGE = 2 << 20
"""Bytes from which on a list is read in parts, laid out as huggingface_hub does."""
_HEAD = re.compile(rb'\s*\{\s*"format_version"\s*:\s*1\s*,\s*"files"\s*:\s*\{')
_TAIL = re.compile(rb"\}\s*\}\s*\Z")
_AROUND = 4096
"""Bytes at the beginning and the end in which that is looked for."""


class Tree:
    """What one revision should hold. Without `etags` it takes a third of the memory; the names are shared by all."""

    def __init__(self, etags: bool) -> None:
        self.sizes: dict[str, int | None] = {}
        """Bytes by file name; None for a size that cannot be."""
        self.whole = etags
        self.etags: dict[str, list[str]] = {}
        """The files with this content, by the etag of its blob; none where nobody asked for them (not `whole`)."""

    def add(self, files: dict[str, _Entry]) -> None:
        """Note files of the list."""
        for name, entry in in_turns(files.items(), 64):
            name = intern(name)
            self.sizes[name] = entry.expected
            if self.whole:
                self.etags.setdefault(entry.lfs_sha256 or entry.blob_id, []).append(name)


_Key = tuple[int, int, int, int]
"""Of the file: st_dev, st_ino, st_mtime in nanoseconds, st_size."""


class Trees:
    """Reads file lists and keeps them while their files do not change."""

    def __init__(self) -> None:
        self._kept: dict[_Key, Tree | None] = {}
        self._without: dict[_Key, set[str]] = {}
        """Etags that a list does not have, where it was not read for them."""

    def get(self, repo: int, commit: str, etags: bool = False) -> Tree | None:
        """The list for `commit` in the open repo folder, on demand with its etags; None when there is none or it
        makes no sense."""
        try:
            with folder("trees", repo) as descriptor:
                return self._read(descriptor, f"{commit}.json", etags)
        except OSError:
            return None

    def naming(self, repo: int, etags: Iterable[str]) -> dict[str, Tree]:
        """For each of the etags the newest list of the open repo folder that has it, if one has.

        A download may run before its revision has a folder, hence before anything says which list is its.
        """
        left, found = set(etags), dict[str, Tree]()
        try:
            with folder("trees", repo) as descriptor:
                for name in _newest_first(descriptor):
                    if left and (tree := self._read(descriptor, name, True, left)):
                        found |= {etag: tree for etag in left if etag in tree.etags}
                        left -= found.keys()
        except OSError:
            pass
        return found

    def _read(self, folder: int, name: str, etags: bool, sought: Collection[str] = ()) -> Tree | None:
        """The list; also None where it has none of the etags that are `sought`."""
        try:
            descriptor = open_quietly(name, folder)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LIMIT:
                return None
            key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._kept.get(key)
            if key not in self._kept or (etags and known is not None and not known.whole):
                without = self._without.get(key, set())
                if sought and without.issuperset(sought):
                    return None
                with open(descriptor, "rb", closefd=False) as stream:
                    raw = stream.read(_LIMIT)
                if sought and not any(os.fsencode(etag) in raw for etag in sought):  # a long list takes a second
                    self._without[key] = without.union(sought) if len(without) < _KEPT else set(sought)
                    return None
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                    self._without.clear()
                self._kept[key] = parse(raw, etags)
            return self._kept[key]
        except OSError:
            return None
        finally:
            os.close(descriptor)


def _newest_first(folder: int) -> list[str]:
    """The names of the lists in the open folder."""
    found = []
    for name in os.listdir(folder)[:_LISTED]:
        if name.endswith(".json"):
            with suppress(OSError):
                found.append((os.lstat(name, dir_fd=folder).st_mtime_ns, name))
    return [name for _, name in sorted(found, reverse=True)]


def parse(raw: bytes, etags: bool = False) -> Tree | None:
    """A file list from its JSON; None for an unknown version or anything that does not fit the format."""
    tree = Tree(etags)
    try:
        for files in in_turns(_in_parts(raw) if len(raw) > _LARGE else (_whole(raw),)):
            tree.add(files)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return tree


def _whole(raw: bytes) -> dict[str, _Entry]:
    tree = _WHOLE.decode(raw)
    if tree.format_version != 1:
        raise ValueError("an unknown version")
    return tree.files


def _in_parts(raw: bytes) -> Iterator[dict[str, _Entry]]:
    """The same, a part at a time, so that no other thread waits long."""
    head, tail = _HEAD.match(raw, 0, _AROUND), _TAIL.search(raw, len(raw) - _AROUND)
    if head is None or tail is None:
        raise ValueError("it is not laid out as huggingface_hub does")
    yield from in_parts(lambda at, count: raw[at : at + count], head.end(), tail.start(), OBJECTS, _FILES.decode)
