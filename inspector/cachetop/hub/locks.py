"""Is a download alive? huggingface_hub holds an flock on `.locks/<repo folder>/<etag>.lock` while it runs.

`/proc/locks` names the holder without touching the lock. Where that shows nothing (another pid namespace,
a file system whose device number differs there), a shared lock is tried without waiting and given back at
once; the downloader retries for longer than that. On network file systems a lock may be granted to
everybody, so there a free one proves nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterable

from cachetop.base.files import open_quietly
from cachetop.base.mounts import changed_elsewhere, filesystem
from cachetop.hub.contents import folder

_LINE = re.compile(r"\d+:\s+FLOCK\s+\S+\s+\S+\s+(\d+)\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s")
_SURELY_DEAD = 3600.0
"""Seconds without a write after which a partial on a network file system counts as left behind."""


class Locks:
    """The flocks of this moment, by (major, minor, inode)."""

    def __init__(self) -> None:
        self._holders = _table()

    def holder(self, root: int, repo: str, etag: str, probe: bool = True) -> tuple[bool | None, int | None]:
        """(held, pid) of the lock of one download in the open cache root; None for what cannot be told."""
        try:
            with folder(".locks", root) as locks, folder(repo, locks) as mine:
                status = os.stat(f"{etag}.lock", dir_fd=mine, follow_symlinks=False)
                if (pid := self._pid(status)) is not None:  # also where only its owner may open it
                    return True, pid or None
                if not probe:
                    return None, None
                descriptor = open_quietly(f"{etag}.lock", mine)
        except FileNotFoundError:
            return False, None
        except OSError:
            return None, None
        try:
            held = _try(descriptor)
        except OSError:
            held = None
        finally:
            os.close(descriptor)
        if held:
            self._holders = _table()  # it was taken since, or the table does not know it
            return True, self._pid(status) or None
        return held, None

    def _pid(self, status: os.stat_result) -> int | None:
        """Who took the lock, None for nobody; 0 where that is a process of another pid namespace, or one that ended
        and left the lock to its children."""
        pid = self._holders.get((os.major(status.st_dev), os.minor(status.st_dev), status.st_ino))
        if pid is None:
            return None
        return pid if pid > 0 and _runs(pid) else 0


def _table() -> dict[tuple[int, int, int], int]:
    found: dict[tuple[int, int, int], int] = {}
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if match := _LINE.match(line):
                    pid, major, minor, inode = match.groups()
                    found[int(major, 16), int(minor, 16), int(inode)] = int(pid)
    except OSError:
        pass
    return found


def _runs(pid: int) -> bool:
    try:
        os.close(os.pidfd_open(pid))
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def _try(descriptor: int) -> bool | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno == errno.EWOULDBLOCK else None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def has_open(pid: int, inodes: Iterable[tuple[int, int]]) -> set[tuple[int, int]] | None:
    """Which of the (st_dev, st_ino) the process has open; None when it cannot be inspected."""
    wanted, found = set(inodes), set()
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                status = os.stat(f"/proc/{pid}/fd/{number}")
            except OSError:
                continue
            found.add((status.st_dev, status.st_ino))
    except OSError:
        return None
    return wanted & found


def proves_nothing(path: str, written: float) -> bool:
    """Whether a free lock leaves it open if the partial at `path` is still being written (last at `written`)."""
    return time.time() - written < _SURELY_DEAD and changed_elsewhere(filesystem(path) or "")
