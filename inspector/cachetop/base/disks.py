"""The file systems that paths lie on: how full each is, and whether it is memory (statvfs(3))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from cachetop.base.mounts import IN_MEMORY, mount_of, mounts


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted file system. Sizes in bytes, None where it could not be asked."""

    point: str
    """Where it is mounted."""
    kind: str
    """ext4, tmpfs, nfs4, ..."""
    total: int | None
    free: int | None
    """What this user may still write."""
    used: int | None
    paths: tuple[str, ...]
    """Those of the paths asked for that lie on it."""

    @property
    def in_memory(self) -> bool:
        """Whether it is gone after a reboot."""
        return self.kind in IN_MEMORY

    @property
    def full(self) -> float | None:
        """The share in use, from 0 to 1, of what users may use at all, as df counts; None where unknown."""
        if self.used is None or self.free is None or not self.used + self.free:
            return None
        return self.used / (self.used + self.free)


def disks(paths: Iterable[str]) -> tuple[Disk, ...]:
    """The file systems of `paths`, each once, in the order of the first path on it. A hung one holds this up.

    A path that does not exist yet counts where its nearest parent lies; one whose mount is not known is left out.
    """
    table = mounts()
    found: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for path in paths:
        mount = mount_of(path, table)
        if mount is not None:
            found.setdefault(mount.point, []).append(path)
            kinds[mount.point] = mount.kind
    return tuple(_disk(point, kinds[point], tuple(dict.fromkeys(inside))) for point, inside in found.items())


def _disk(point: str, kind: str, paths: tuple[str, ...]) -> Disk:
    try:
        asked = os.statvfs(point)
    except OSError:
        return Disk(point, kind, None, None, None, paths)
    if not asked.f_blocks:  # a pseudo file system, or a tmpfs without a limit
        return Disk(point, kind, None, None, None, paths)
    size = asked.f_frsize
    used = (asked.f_blocks - asked.f_bfree) * size
    return Disk(point, kind, asked.f_blocks * size, asked.f_bavail * size, used, paths)
