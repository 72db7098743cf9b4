"""What a repo folder holds, by its names on disk, and the careful steps to get at it.

Folders are opened by plain names in open ones, never through a symlink and without moving their access time.
A mark is a path with the time of its last change: with the marks of all folders and refs of a repo, a handful of
stat calls tells that nothing changed.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from cachetop.base import files
from cachetop.hub.names import Names
from cachetop.hub.problems import Complaints
from cachetop.hub.records import File

_NOATIME_DIRECTORY = files.DIRECTORY | getattr(os, "O_NOATIME", 0)

Mark = tuple[str, int, float]
"""A path below the cache root, its st_ctime in nanoseconds (0: it is not there) and its st_mtime in seconds.

Nobody can set the first: unlike the second it also moves when rights change or a copy takes the place."""


class Blob(msgspec.Struct, eq=False, gc=False, array_like=True):
    """One inode: the same object wherever a repo names it, hence compared and hashed by identity.

    `links` is the inode's number of names, `stored` its path in the shared store if it lies there.
    """

    device: int
    inode: int
    size: int
    disk: int
    links: int
    accessed: float
    modified: float
    stored: str | None = None


class Place(msgspec.Struct, eq=False, gc=False):
    """What the repos of one cache root have in common while they are read."""

    root: int
    """The open cache root."""
    store: Mapping[str, Blob]
    """The shared store's payloads by `<2 hex>/<hash>`."""
    roots: tuple[str, ...]
    """The root's absolute spellings."""
    names: Names
    most: int = sys.maxsize
    """Blobs of a repo, or names in one folder, beyond which it is not read, but `Unwieldy` raised."""


class Unwieldy(Exception):
    """There is more in a repo, or in a part of one, than wanted."""


class Snapshot(msgspec.Struct, eq=False, gc=False):
    """One folder below `snapshots`, by its name on disk."""

    commit: str
    files: list[File]
    blobs: list[Blob]
    """The inodes of `files`, one for each, in no order."""
    kept: dict[str, Blob]
    """The inodes of real files, those that are no link to a blob, by `File.name`."""
    lost: list[str]
    """Names of links whose blob is not there."""


class Contents(msgspec.Struct, eq=False, gc=False):
    """What lies in one repo folder."""

    marks: list[Mark]
    refs: dict[str, str]
    snapshots: list[Snapshot]
    blobs: dict[str, Blob]
    """By name on disk."""
    partials: dict[str, Blob]
    unnamed: list[str]
    """The names in `blobs` that no link in a revision leads to."""
    foreign: set[str]
    """Names in `blobs` that are symlinks to somewhere else; what lies there is nobody's business here."""
    names: dict[str, str]
    """How a file's name that is not safe to show is spelled on disk."""
    keys: dict[str, str]
    """The same for blobs' names."""
    complaints: Complaints
    modified: float = 0.0
    plain: bool = True
    """No inode here can have a name outside this repo."""


def nothing() -> Contents:
    """The `Contents` of a repo folder before anything was read."""
    return Contents([], {}, [], {}, {}, [], set(), {}, {}, Complaints())


def open_folder(name: str, at: int) -> int:
    """Open a folder by its plain name in an open one, never through a symlink, keeping its access time."""
    try:
        return os.open(name, _NOATIME_DIRECTORY, dir_fd=at)
    except PermissionError:
        return os.open(name, files.DIRECTORY, dir_fd=at)


def open_root(path: str) -> int:
    """Open a cache root, which may be a symlink: it is the person's own choice. Raises OSError."""
    try:
        return os.open(path, _NOATIME_DIRECTORY & ~os.O_NOFOLLOW)
    except PermissionError:
        return os.open(path, files.DIRECTORY & ~os.O_NOFOLLOW)


@contextmanager
def folder(name: str, at: int) -> Iterator[int]:
    """`open_folder` as a context that closes it."""
    descriptor = open_folder(name, at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def inode(status: os.stat_result, stored: str | None = None) -> Blob:
    """A Blob out of what stat said."""
    _, number, device, links, _, _, size, _, _, _ = status  # unpacking costs a fraction of reading the attributes
    return Blob(device, number, size, status.st_blocks * 512, links, status.st_atime, status.st_mtime, stored)


def mark(path: str, descriptor: int) -> Mark:
    """The mark of an open folder or file; take it before reading, so that a later change shows."""
    status = os.fstat(descriptor)
    return path, status.st_ctime_ns, status.st_mtime


def only_asked_for(contents: Contents, name: str, top: int) -> bool:
    """Whether nothing of a repo without revisions was ever here, by what else lies in its open folder `top`, `name`.

    Of a file that does not exist on the Hub huggingface_hub keeps an empty one in `.no_exist/<commit>/` and the ref, so
    as not to ask again. That folder gets a mark.
    """
    if contents.blobs or contents.partials:
        return False
    try:
        status = os.lstat(".no_exist", dir_fd=top)
    except OSError:
        contents.marks.append((f"{name}/.no_exist", 0, 0.0))
        return False
    contents.marks.append((f"{name}/.no_exist", status.st_ctime_ns, status.st_mtime))
    return stat.S_ISDIR(status.st_mode)


def told(contents: Contents, name: str, top: int) -> tuple[str, str]:
    """What the Hub told of a repo of which no file ever came, in words, and a ref of it; empty where it told nothing.

    huggingface_hub writes the ref and `trees/` before it asks for the first file, and makes `blobs` only when the Hub
    has said that it will send one. Where it refuses (a gated repo), those two are all that is left (seen with 1.33 and
    2.4). `top` is the open folder `name`; `trees` gets a mark.
    """
    if not contents.refs:
        return "", ""
    try:
        status = os.lstat("trees", dir_fd=top)
    except OSError:
        listed, changed, written = False, 0, 0.0
    else:
        listed, changed, written = stat.S_ISDIR(status.st_mode), status.st_ctime_ns, status.st_mtime
    contents.marks.append((f"{name}/trees", changed, written))
    ref = "main" if "main" in contents.refs else min(contents.refs)
    return "its revision and the list of its files" if listed else "its revision", ref


def moved_before(root: int, path: str, when: float) -> bool:
    """Whether `path` below the open cache root changed before `when` for the last time, or is gone."""
    try:
        return os.lstat(path, dir_fd=root).st_ctime < when
    except OSError:
        return True


def moved(root: int, marks: list[Mark]) -> bool:
    """Whether anything behind the marks changed since they were taken. `root` is the open cache root."""
    look = os.lstat
    for path, changed, _ in marks:
        try:
            if look(path, dir_fd=root).st_ctime_ns != changed:
                return True
        except FileNotFoundError:
            if changed:
                return True
        except OSError:
            return True  # what it lay in is no folder any more, or cannot be read
    return False
