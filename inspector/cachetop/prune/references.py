"""Who names which blob, read from the links themselves at the moment of asking.

Used when a plan is made and again right before a blob moves. A link counts by its text alone: it is never followed.
"""

from __future__ import annotations

import os
import stat
import time

from cachetop.base.files import read_bounded
from cachetop.hub import layout
from cachetop.prune.tree import lstat, opened
from cachetop.prune.work import Mark

_DEPTH = 32
_MANIFEST_MOST = 16 << 20
_TICK = 20_000_000
"""Nanoseconds within which a folder may change twice and show one time only."""
Stamp = tuple[tuple[str, ...], int, int, int]
"""A folder below a repo: its path, inode, modification time (ns), and when it was looked at (ns)."""


def spellings(root: str) -> tuple[str, ...]:
    """The ways an absolute link may spell a cache root."""
    return tuple({os.path.abspath(root), os.path.realpath(root)})


def snapshots(repo: int) -> list[str]:
    """The revisions' folders in an open repo folder. Raises OSError."""
    try:
        with opened(("snapshots",), repo) as at, os.scandir(at) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def named_blobs(
    repo: int, folder: str, commit: str, roots: tuple[str, ...], stamps: list[Stamp] | None = None
) -> set[str]:
    """The names of the blobs that one revision of the open repo folder links to. Raises OSError.

    `folder` is the repo's folder name below the cache root. `stamps` gets every folder that was listed.
    """
    found: set[str] = set()

    def walk(inside: tuple[str, ...], depth: int) -> None:
        with opened(inside, repo) as at:
            if stamps is not None:
                stamps.append(_stamp(inside, at))
            for name in os.listdir(at):
                try:
                    status = lstat(name, at)
                    if stat.S_ISLNK(status.st_mode):
                        blob = layout.own_blob(os.readlink(name, dir_fd=at), folder, "/".join(inside) + "/", roots)
                        if blob is not None:
                            found.add(blob)
                    elif stat.S_ISDIR(status.st_mode) and depth < _DEPTH:
                        walk((*inside, name), depth + 1)
                except FileNotFoundError:
                    continue

    walk(("snapshots", commit), 0)
    return found


class Naming:
    """Which revision names a blob of a repo, read again only when a folder of the repo's snapshots has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[Stamp], dict[str, str]]] = {}

    def by(self, repo: int, folder: str, roots: tuple[str, ...]) -> dict[str, str]:
        """Blob -> a revision of the open repo folder that links to it, as of now. Raises OSError."""
        if (known := self._known.get(folder)) is not None and _stand(repo, known[0]):
            return known[1]
        stamps: list[Stamp] = []
        with opened(("snapshots",), repo) as at:
            stamps.append(_stamp(("snapshots",), at))
        names: dict[str, str] = {}
        for commit in snapshots(repo):
            names |= dict.fromkeys(named_blobs(repo, folder, commit, roots, stamps), commit)
        if all(seen - modified > _TICK for _, _, modified, seen in stamps):
            self._known[folder] = stamps, names
        return names


def _stamp(path: tuple[str, ...], at: int) -> Stamp:
    seen, status = time.time_ns(), os.fstat(at)
    return path, status.st_ino, status.st_mtime_ns, seen


def _stand(repo: int, stamps: list[Stamp]) -> bool:
    """Whether all these folders are what they were and have got and lost nothing; only looked at, never entered."""
    try:
        for path, inode, modified, _ in stamps:
            status = os.stat("/".join(path), dir_fd=repo, follow_symlinks=False)
            if (status.st_ino, status.st_mtime_ns) != (inode, modified):
                return False
    except OSError:
        return False
    return True


def refs_to(repo: int, commit: str) -> list[tuple[str, ...]]:
    """The refs of an open repo folder that name `commit`, as paths below it. Raises OSError."""
    found: list[tuple[str, ...]] = []

    def walk(inside: tuple[str, ...], depth: int) -> None:
        with opened(inside, repo) as at:
            for name in sorted(os.listdir(at)):
                status = lstat(name, at)
                if stat.S_ISDIR(status.st_mode) and depth < _DEPTH:
                    walk((*inside, name), depth + 1)
                elif stat.S_ISREG(status.st_mode) and read_bounded(name, 256, at).strip() == os.fsencode(commit):
                    found.append((*inside, name))

    try:
        walk(("refs",), 0)
    except FileNotFoundError:
        return []
    return found


def still_used(payload: str, root: int, roots: tuple[str, ...], known: tuple[str, ...]) -> str | None:
    """A blob of some repo that still links to the payload `<2 hex>/<hash>`, of its manifest or `known`; None for none.

    Raises OSError when the manifest is there and cannot be read: then nobody knows who uses the payload.
    """
    prefix, name = payload.split("/")
    listed: list[str] = list(known)
    try:
        with opened((layout.STORE, prefix), root) as at:
            raw = read_bounded(f"{name}.refs", _MANIFEST_MOST, at)
        listed += raw.decode("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        pass
    for line in dict.fromkeys(listed):
        parts = line.split("/")
        if len(parts) != 3 or parts[1] != "blobs" or layout.identity(parts[0]) is None:
            continue
        try:
            with opened(parts[:2], root) as at:
                if layout.stored_payload(os.readlink(parts[2], dir_fd=at), parts[0], roots) == payload:
                    return line
        except OSError:
            continue
    return None


def marks(root: int, folder: str) -> tuple[Mark, ...]:
    """The folders of a repo whose times move when a download adds something: itself, blobs, refs, snapshots."""
    paths: list[tuple[str, ...]] = [(folder,), (folder, "blobs"), (folder, "refs"), (folder, "snapshots")]
    try:
        with opened((folder,), root) as repo:
            paths += [(folder, "snapshots", commit) for commit in snapshots(repo)]
    except OSError:
        pass
    found: list[Mark] = []
    for path in paths:
        try:
            with opened(path, root) as at:
                status = os.fstat(at)
            found.append((path, status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append((path, 0, 0))
    return tuple(found)
