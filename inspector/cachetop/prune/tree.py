"""Careful steps on a file system that others may change at any moment.

Folders are opened by plain names in open ones, never through a symlink and never into a mount; a path is never taken
from what a symlink says. The root of a cache may be reached through a symlink, which is the person's own choice, and
is told apart by its inode.
Standard library only: the process that empties the trash later loads little else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cachetop.base.files import DIRECTORY
from cachetop.base.mounts import mounts
from cachetop.prune.calls import open_folder

TRASH = ".cachetop-trash-"
"""How the folders begin into which items are renamed, directly below a cache root."""

_DEEPEST = 200
"""Folders within folders: each is open while those in it are looked at."""


@dataclass(slots=True)
class Measured:
    """What a set of names holds: bytes, whose it is, who uses it."""

    private: int = 0
    """Allocated bytes of inodes with one name."""
    total: int = 0
    """Allocated bytes, each inode once."""
    files: int = 0
    newest: int = 0
    """The newest modification time (ns) of a file or folder."""
    shared: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """(device, inode) -> (names counted here, names in all, allocated bytes) of inodes with several names."""
    owners: set[int] = field(default_factory=set)
    pids: set[int] = field(default_factory=set)
    foreign: str | None = None
    """A folder below that lies on another file system."""

    def add(self, found: os.stat_result, users: Mapping[tuple[int, int], Iterable[int]]) -> None:
        """Count one name that is no folder."""
        _, inode, device, links, uid, *_ = found
        self.owners.add(uid)
        if users and (pids := users.get((device, inode))):
            self.pids.update(pids)
        if found.st_mtime_ns > self.newest:
            self.newest = found.st_mtime_ns
        if not stat.S_ISREG(found.st_mode):
            return
        blocks = found.st_blocks * 512
        self.files += 1
        if links == 1:
            self.private += blocks
            self.total += blocks
            return
        here, _, _ = self.shared.get((device, inode), (0, 0, 0))
        self.shared[device, inode] = (here + 1, links, blocks)
        self.total += 0 if here else blocks

    def reclaimed(self) -> int:
        """Bytes given back when every name counted here goes."""
        return self.private + sum(blocks for here, links, blocks in self.shared.values() if here >= links)


def together(parts: Iterable[Measured]) -> int:
    """Bytes given back when everything in `parts` goes: an inode counts when all its names are among them."""
    freed = 0
    names: dict[tuple[int, int], list[int]] = {}
    for part in parts:
        freed += part.private
        for inode, (here, links, blocks) in part.shared.items():
            counted = names.setdefault(inode, [0, links, blocks])
            counted[0] += here
            counted[1] = links
    return freed + sum(blocks for here, links, blocks in names.values() if here >= links)


def open_root(path: str) -> int:
    """Open a cache root. Raises OSError."""
    return os.open(path, DIRECTORY & ~os.O_NOFOLLOW)


@contextmanager
def opened(names: Iterable[str], at: int) -> Iterator[int]:
    """The folder that lies at `names` below the open folder `at`, no step of which is a symlink. Raises OSError."""
    names = tuple(names)
    if not names:
        yield at
        return
    here = os.dup(at)
    try:
        for name in names:
            outer, here = here, open_folder(plain(name), here)
            os.close(outer)
        yield here
    finally:
        os.close(here)


def plain(name: str) -> str:
    """`name`, if it is one plain file name. Raises OSError (EINVAL) for anything that leads elsewhere."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    return name


def lstat(name: str, at: int) -> os.stat_result:
    """`os.lstat` of a name in an open folder."""
    return os.stat(name, dir_fd=at, follow_symlinks=False)


def measure(
    name: str,
    at: int,
    users: Mapping[tuple[int, int], Iterable[int]],
    into: Measured | None = None,
    found: os.stat_result | None = None,
) -> Measured:
    """What lies at `name` in the open folder `at`, all the way down. Raises OSError for what cannot be looked at.

    `found`: what lstat has just said of it.
    """
    into = Measured() if into is None else into
    found = lstat(name, at) if found is None else found
    if stat.S_ISDIR(found.st_mode):
        _measure_folder(name, at, found, users, into)
    else:
        into.add(found, users)
    return into


def _measure_folder(
    name: str,
    at: int,
    found: os.stat_result,
    users: Mapping[tuple[int, int], Iterable[int]],
    into: Measured,
    depth: int = 0,
) -> None:
    if depth > _DEEPEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
    into.owners.add(found.st_uid)
    into.newest = max(into.newest, found.st_mtime_ns)
    try:
        inner = open_folder(name, at)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        into.foreign = into.foreign or name
        return
    try:
        blocks = files = newest = 0
        owners = into.owners
        for one in os.listdir(inner):
            try:
                status = os.lstat(one, dir_fd=inner)
            except FileNotFoundError:
                continue
            mode, inode, device, links, uid, *_ = status
            if mode & 0o170000 == stat.S_IFDIR:
                _measure_folder(one, inner, status, users, into, depth + 1)
            elif links == 1 and mode & 0o170000 == stat.S_IFREG and (device, inode) not in users:
                blocks += status.st_blocks  # what nearly every file is: counted here, without a call
                files += 1
                owners.add(uid)
                newest = max(newest, status.st_mtime_ns)
            else:
                into.add(status, users)
        into.private += blocks * 512
        into.total += blocks * 512
        into.files += files
        into.newest = max(into.newest, newest)
    finally:
        os.close(inner)


def mounted_below(path: str) -> list[str]:
    """Mount points at or below `path`, bind mounts of the same file system included."""
    real = os.path.realpath(path)
    return [mount.point for mount in mounts() if mount.point == real or mount.point.startswith(real.rstrip("/") + "/")]
