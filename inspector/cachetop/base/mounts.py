"""Which file system a path lies on, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""Kinds that take RAM and are gone after a restart."""
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "lustre", "gpfs", "ceph", "beegfs", "afs", "glusterfs", "virtiofs")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where, its file system type, and its options (mount's and superblock's)."""

    point: str
    kind: str
    options: frozenset[str]
    device: tuple[int, int]


def mounts(path: str = "/proc/self/mountinfo") -> list[Mount]:
    """Every mount of this process's namespace, in mount order; empty where /proc does not tell."""
    try:
        with open(path, "rb") as file:
            lines = file.read(4 << 20).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        left, separator, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(tail) < 3:
            continue
        major, _, minor = fields[2].partition(":")
        if major.isdigit() and minor.isdigit():
            options = frozenset(fields[5].split(",")) | frozenset(tail[2].split(","))
            found.append(Mount(_unescape(fields[4]), tail[0], options, (int(major), int(minor))))
    return found


def mount_of(path: str, table: list[Mount] | None = None) -> Mount | None:
    """The mount that `path` (or its nearest existing parent) lies on; None where that cannot be told."""
    real = os.path.realpath(path)
    best: Mount | None = None
    for mount in mounts() if table is None else table:
        inside = mount.point == "/" or real == mount.point or real.startswith(mount.point + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def filesystem(path: str) -> str | None:
    """The file system type of `path`: ext4, tmpfs, nfs4, ...; None where that cannot be told."""
    mount = mount_of(path)
    return mount.kind if mount else None


def changed_elsewhere(kind: str) -> bool:
    """Whether files of this kind of file system may change without a word to inotify, and its locks prove little.

    All of FUSE counts but a local disk's driver (fuseblk): nobody says whether a server is behind it.
    """
    return kind.startswith(_REMOTE) and kind != "fuseblk"


def keeps_access_times(path: str) -> bool | None:
    """False on a noatime mount, where an access time says nothing; None where that cannot be told."""
    mount = mount_of(path)
    return None if mount is None else not mount.options & {"noatime", "ro"}


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
