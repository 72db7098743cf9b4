"""Two system calls that Python has no function for: opening a folder of the same mount, renaming without replacing.

Standard library only, like everything that the process needs which empties the trash later.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from functools import cache

from cachetop.base.files import DIRECTORY

_NOREPLACE = 1  # linux/fs.h RENAME_NOREPLACE
_OPENAT2 = 437  # the same number on every architecture but alpha
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS = 0x01, 0x02, 0x04  # linux/openat2.h


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_FOLDER = _How(DIRECTORY, 0, _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS)
_SIZE = ctypes.sizeof(_How)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t]
    if hasattr(libc, "renameat2"):
        libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return libc


@cache
def knows_mounts() -> bool:
    """Whether this kernel has openat2 and lets this process use it."""
    if sys.platform != "linux":
        return False
    descriptor = _libc().syscall(_OPENAT2, -100, b".", _FOLDER, _SIZE)  # -100: AT_FDCWD
    if descriptor >= 0:
        os.close(descriptor)
        return True
    return ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM, errno.EINVAL)


def open_folder(name: str, at: int) -> int:
    """Open the folder `name` in the open folder `at`; returns its descriptor.

    Raises OSError: ELOOP or ENOTDIR for a symlink, EXDEV where something is mounted, be it a bind mount of the same
    file system.
    """
    if knows_mounts():
        descriptor = _libc().syscall(_OPENAT2, at, os.fsencode(name), _FOLDER, _SIZE)
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    descriptor = os.open(name, DIRECTORY, dir_fd=at)
    if _mount(descriptor) == _mount(at):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)


def _mount(descriptor: int) -> tuple[int, bytes]:
    """What tells mounts apart without openat2: the device, and the mount's number where /proc gives it."""
    number = b""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        number = next((line for line in file.read(4096).split(b"\n") if line.startswith(b"mnt_id")), b"")
    return os.fstat(descriptor).st_dev, number


def rename(name: str, at: int, new: str, to: int) -> None:
    """Rename without ever replacing something. Raises OSError; EEXIST when `new` is there."""
    if hasattr(_libc(), "renameat2"):
        if _libc().renameat2(at, os.fsencode(name), to, os.fsencode(new), _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), name)
    # no such call here, or a file system without it: look first
    with contextlib.suppress(FileNotFoundError):
        os.lstat(new, dir_fd=to)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(name, new, src_dir_fd=at, dst_dir_fd=to)
