"""The file list of a revision as the Hub announced it: `trees/<commit>.json`.

Format: huggingface_hub/_tree_cache.py, format_version 1, written by snapshot_download since 1.22. It tells
offline what a revision should hold, hence what is missing and how large a running download will be. It is a
file like any other in a cache: bounded, checked, and ignored when it makes no sense.
"""

from __future__ import annotations

import os
import re
import stat
from sys import intern

import msgspec

from cachetop.base.files import open_quietly
from cachetop.hub.contents import folder

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


_DECODER = msgspec.json.Decoder(_Tree)
_FILES = msgspec.json.Decoder(dict[str, _Entry])
_LARGE = 2 << 20
"""Bytes from which on a list is read in parts, of at least so many bytes."""
_PART = 256 << 10
_HEAD = re.compile(rb'\s*\{\s*"format_version"\s*:\s*1\s*,\s*"files"\s*:\s*\{')
_NEXT = re.compile(rb'\}\s*,(?=\s*")')


class Tree:
    """What one revision should hold. Without `etags` it takes a third of the memory; the names are shared by all."""

    def __init__(self, raw: _Tree, etags: bool) -> None:
        self.sizes: dict[str, int | None] = {intern(name): entry.expected for name, entry in raw.files.items()}
        """Bytes by file name; None for a size that cannot be."""
        self.whole = etags
        self.etags: dict[str, list[str]] = {}
        """The files with this content, by the etag of its blob; none where nobody asked for them (not `whole`)."""
        if etags:
            for name, entry in raw.files.items():
                self.etags.setdefault(entry.lfs_sha256 or entry.blob_id, []).append(intern(name))


class Trees:
    """Reads file lists and keeps them while their files do not change."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, int, int], Tree | None] = {}

    def get(self, repo: int, commit: str, etags: bool = False) -> Tree | None:
        """The list for `commit` in the open repo folder, on demand with its etags; None when there is none or it
        makes no sense."""
        try:
            with folder("trees", repo) as descriptor:
                return self._read(descriptor, f"{commit}.json", etags)
        except OSError:
            return None

    def every(self, repo: int) -> list[Tree]:
        """All lists of the open repo folder, with their etags: a download may run before its revision has a folder."""
        found = []
        try:
            with folder("trees", repo) as descriptor:
                for name in sorted(os.listdir(descriptor))[:_LISTED]:
                    if name.endswith(".json") and (tree := self._read(descriptor, name, etags=True)):
                        found.append(tree)
        except OSError:
            pass
        return found

    def _read(self, folder: int, name: str, etags: bool) -> Tree | None:
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
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                with open(descriptor, "rb", closefd=False) as stream:
                    self._kept[key] = parse(stream.read(_LIMIT), etags)
            return self._kept[key]
        except OSError:
            return None
        finally:
            os.close(descriptor)


def parse(raw: bytes, etags: bool = False) -> Tree | None:
    """A file list from its JSON; None for an unknown version or anything that does not fit the format."""
    try:
        tree = (_in_parts(raw) if len(raw) > _LARGE else None) or _DECODER.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Tree(tree, etags) if tree.format_version == 1 else None


def _in_parts(raw: bytes) -> _Tree | None:
    """The same, a part at a time, so that no other thread waits long; None where that does not work out.

    A cut in the middle of a name leaves two parts that make no sense, and so does whatever is no list.
    """
    head = _HEAD.match(raw)
    if head is None:
        return None
    files: dict[str, _Entry] = {}
    start = head.end()
    try:
        while cut := _NEXT.search(raw, start + _PART):
            files |= _FILES.decode(b"{" + raw[start : cut.start() + 1] + b"}")
            start = cut.end()
        rest = raw[start:].rstrip()
        files |= _FILES.decode(b"{" + rest[:-1])
    except msgspec.MsgspecError:
        return None
    return _Tree(1, files) if rest.endswith(b"}") else None
