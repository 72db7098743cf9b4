"""What a tree costs on disk, walked so that nothing in it can mislead the walker."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field

from msgspec.structs import replace

from cachetop.base.hostile import clean
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Row
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import open_folder

YOUNG = 600.0
"""Seconds for which an incomplete entry counts as being compiled."""


@dataclass(slots=True)
class Usage:
    """What a tree costs: allocated bytes of regular files (each inode once), their number, their times (ns)."""

    size_on_disk: int = 0
    files: int = 0
    oldest: int = 0
    newest: int = 0
    links: list[tuple[int, int, int]] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, found: os.stat_result) -> None:
        """Count one regular file; anything else is ignored."""
        if not stat.S_ISREG(found.st_mode):
            return
        blocks = found.st_blocks * 512
        if found.st_nlink > 1:
            inode = (found.st_dev, found.st_ino)
            if inode in self._seen:
                return
            self._seen.add(inode)
            self.links.append((*inode, blocks))
        self.size_on_disk += blocks
        self.files += 1
        moment = found.st_mtime_ns
        self.newest = max(self.newest, moment)
        self.oldest = min(self.oldest or moment, moment)


def usage(
    folder: int,
    total: Usage | None = None,
    depth: int = 24,
    device: int | None = None,
    but: tuple[str, ...] = (),
) -> Usage:
    """Walk the tree open as `folder`: never through a symlink, never onto another device, `depth` levels deep, and
    not into folders named as in `but`."""
    total = Usage() if total is None else total
    try:
        device = os.fstat(folder).st_dev if device is None else device
        names = os.listdir(folder)
    except OSError:
        return total
    for name in names:
        try:
            found = os.lstat(name, dir_fd=folder)
        except OSError:
            continue
        if not stat.S_ISDIR(found.st_mode):
            total.add(found)
        elif (
            depth > 0
            and name not in but
            and found.st_dev == device
            and (inner := open_folder(name, folder)) is not None
        ):
            try:
                usage(inner, total, depth - 1, device, but)
            finally:
                os.close(inner)
    return total


def young(newest: int, now: float) -> bool:
    """Whether a time stamp (ns) lies within the last ten minutes. One far in the future is not young."""
    return abs(now - newest / 1e9) < YOUNG


def runs(pid: int, made: float) -> bool:
    """Whether the process that made something at `made` runs: a younger process has only inherited the number."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as status:
            ticks = int(status.read(4096).rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return False
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    return started <= made + 2


def tree_row(
    folder: int,
    path: str,
    context: Context,
    *,
    key: str,
    state: str,
    name: str | None = None,
    part: str | None = None,
    producer: Producer = UNKNOWN_PRODUCER,
    sm: tuple[str, ...] = (),
    but: tuple[str, ...] = (),
) -> Row:
    """One row for the whole tree open as `folder`. Never settled: its mtime says nothing of what is deeper."""
    total = usage(folder, but=but)
    stamp = os.fstat(folder).st_mtime_ns
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=clean(key),
        name=clean(name) if name else None,
        sm=sm,
        size_on_disk=total.size_on_disk,
        files=total.files,
        created=(total.oldest or stamp) / 1e9,
        last_used=None,
        state=state,
        producer=producer,
        path=clean(context.prefix + path),
        part=part,
    )
    return Row(entry, max(stamp, total.newest), False, True, tuple(total.links))


def unfinished(row: Row, now: float) -> Row:
    """The row of an entry that is not whole: being compiled while something of it is young, else an orphan."""
    row.entry = replace(row.entry, state="compiling" if young(row.stamp, now) else "orphan")
    return row


def group_row(
    folder: int,
    path: str,
    key: str,
    names: list[str],
    context: Context,
    *,
    state: str,
    part: str,
    name: str | None = None,
) -> Row:
    """One row for the files and subfolders `names` in the open `folder`. Settled once nothing in it is young."""
    total, whole = Usage(), True
    stamp = 0
    for one in names:
        try:
            found = os.lstat(one, dir_fd=folder)
        except OSError:
            continue
        stamp = max(stamp, found.st_mtime_ns)
        if not stat.S_ISDIR(found.st_mode):
            total.add(found)
        elif (inner := open_folder(one, folder)) is not None:
            whole = False
            try:
                usage(inner, total, depth=8)
            finally:
                os.close(inner)
    fresh = young(max(stamp, total.newest), context.now)
    if state == "compiling" and not fresh:
        state = "orphan"
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=clean(key),
        name=clean(name, 1024) if name else None,
        sm=(),
        size_on_disk=total.size_on_disk,
        files=total.files,
        created=(total.oldest or stamp) / 1e9,
        last_used=None,
        state=state,
        producer=UNKNOWN_PRODUCER,
        path=clean(context.prefix + path),
        part=part,
    )
    return Row(entry, max(stamp, total.newest), whole and not fresh, fresh or not whole, tuple(total.links))
