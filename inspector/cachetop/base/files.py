"""Reading a cache without leaving a trace in it.

The access time of a cache file is the only evidence of its last use, so files are opened with O_NOATIME
where the kernel allows it (own files, or CAP_FOWNER). Nothing here follows a symlink in the last path
component, and every read is bounded.
"""

from __future__ import annotations

import fcntl
import os
import stat

_NOATIME = getattr(os, "O_NOATIME", 0)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


STILL = ("noatime", "read-only")
"""The ways of keeping access times that keep none."""


def access_times(descriptor: int) -> str:
    """How the mount of an open file or folder keeps access times: strictatime, relatime, noatime or read-only."""
    flags = os.fstatvfs(descriptor).f_flag
    if flags & os.ST_RDONLY:
        return "read-only"
    if flags & os.ST_NOATIME:
        return "noatime"
    return "relatime" if flags & os.ST_RELATIME else "strictatime"


def leaves_a_trace(descriptor: int) -> bool:
    """Whether reading from an open file may move its access time: it belongs to somebody else."""
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & _NOATIME and access_times(descriptor) not in STILL


def open_quietly(path: str | bytes, dir_fd: int | None = None) -> int:
    """Open a file for reading without moving its access time where allowed; returns the descriptor.

    Raises OSError; ELOOP when `path` is a symlink. The caller closes the descriptor. Opening never
    blocks, so a fifo in a cache cannot hang a scan.
    """
    if _NOATIME:
        try:
            return os.open(path, _FLAGS | _NOATIME, dir_fd=dir_fd)
        except PermissionError:
            pass  # not the owner: read it with the ordinary flags, if those are allowed
    return os.open(path, _FLAGS, dir_fd=dir_fd)


def read_bounded(path: str | bytes, limit: int, dir_fd: int | None = None) -> bytes:
    """At most `limit` first bytes of a regular file. Raises OSError, and ValueError when it is no regular file."""
    fd = open_quietly(path, dir_fd)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{os.fsdecode(path)} is not a regular file")
        # one byte more than it says, to see its end; files of /proc say 0 whatever they hold
        step = min(found.st_size + 1, 1 << 20) if found.st_size else 1 << 16
        chunks = []
        while limit > 0 and (chunk := os.read(fd, min(limit, step))):
            chunks.append(chunk)
            limit -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether somebody holds the flock of the lock file at `path`; False where there is none to be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
