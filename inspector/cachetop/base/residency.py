"""How much of a file is in the page cache: the difference between a cold and a warm start.

`cachestat(2)` on Linux 6.5 or newer, else `mincore(2)`, but only where it tells the truth: for a file that
one neither owns nor may write, mincore reports every page resident. Neither call faults a page in, and the
file is opened without moving its access time. Standard library only and valid on Python 3.10: the
conversion worker loads this file under whatever interpreter it runs.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys

_PAGE = mmap.PAGESIZE
WINDOWS: set[int] = set()
"""Addresses at which files are mapped only to look which pages are in RAM: no use of these files."""
_CACHESTAT = 451  # the same number on every architecture (include/uapi/asm-generic/unistd.h)
_WINDOW = 1 << 30  # mincore needs a byte per page: a sparse file of a petabyte goes piecewise
_ODD = bytes(number & 1 for number in range(256))  # mincore: the lowest bit says resident, the others are reserved


class _Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _Stat(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted")]


def _libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
    ]  # fmt: skip
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return libc


_LIBC = _libc()


def resident(path: str) -> int | None:
    """Bytes of the file at `path` that are in RAM now, at most its size; None where that cannot be told.

    A symlink is followed: callers pass a blob's own path. Never raises OSError.
    """
    if _LIBC is None:
        return None
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            descriptor = os.open(path, flags)
    except OSError:
        return None
    try:
        return resident_fd(descriptor)
    finally:
        os.close(descriptor)


def resident_fd(descriptor: int) -> int | None:
    """`resident` for an open descriptor."""
    if _LIBC is None:
        return None
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    if status.st_size == 0:
        return 0
    whole, found = _Range(0, 0), _Stat()
    if not _LIBC.syscall(_CACHESTAT, descriptor, ctypes.byref(whole), ctypes.byref(found), 0):
        return min(int(found.cache) * _PAGE, status.st_size)
    if ctypes.get_errno() not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL):
        return None
    # mincore answers "all resident" to everybody but the owner, a writer and root
    if os.geteuid() not in (0, status.st_uid):
        return None
    return mincore(descriptor, status.st_size)


def mincore(descriptor: int, size: int) -> int | None:
    """Bytes in RAM by mincore(2), which older kernels have; only the file's owner and root get the truth."""
    if _LIBC is None:
        return None
    pages = 0
    for offset in range(0, size, _WINDOW):
        length = min(_WINDOW, size - offset)
        address = _LIBC.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, offset)
        if address in (None, ctypes.c_void_p(-1).value):
            return None
        WINDOWS.add(address)
        try:
            vector = ctypes.create_string_buffer(-(-length // _PAGE))
            if _LIBC.mincore(address, length, vector):
                return None
            pages += vector.raw.translate(_ODD).count(1)
        finally:
            _LIBC.munmap(address, length)
            WINDOWS.discard(address)
    return min(pages * _PAGE, size)
