"""Which files below some folders are opened, and whether by this process: fanotify(7), else inotify(7).

fanotify tells the pid of an event; without privileges it tells this process's own pid and 0 for all others
(Linux 5.13). That is all that is needed, for files opened by Python and by native code alike. Containers often
forbid it: there inotify says that a file was opened, but not by whom. Nothing is intercepted or slowed down.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cachetop.base.hostile import clean

MOST_FOLDERS = 4000
"""Folders watched at most: each is a watch of the system's, of which a user has a limited number."""
_OPEN, _CLOEXEC, _NONBLOCK = 0x20, 0x1, 0x2
_ON_CHILD, _OVERFLOW = 0x0800_0000, 0x4000
_DIR_NAME = 0x400 | 0x800
"""FAN_REPORT_DFID_NAME: each event carries the folder's handle and the file's name."""
_INOTIFY_OVERFLOW = 0x4000
_HANDLE_MOST = 128
_BUFFER = 1 << 16


class Opened(NamedTuple):
    """A file was opened: by this process (True), by another (False), or nobody knows (None)."""

    path: str
    here: bool | None


class Opens:
    """The files opened below watched folders since the last `read`. One thread at a time.

    `how` is fanotify, inotify, or None where the system allows neither, with `reason`. `lost` becomes True when
    the system dropped events.
    """

    def __init__(self) -> None:
        self.how: str | None = None
        self.reason: str | None = None
        self.lost = False
        self._folders: dict[bytes | int, str] = {}
        self._watched: set[str] = set()
        self._pid = os.getpid()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._fanotify()
        if self._fd >= 0:
            self.how = "fanotify"
        else:
            self._fd = self._inotify()
            if self._fd >= 0:
                self.how = "inotify"

    def close(self) -> None:
        """Stop watching. The system takes some milliseconds for that: nobody waits for it."""
        if self._fd >= 0:
            threading.Thread(target=os.close, args=(self._fd,), daemon=True).start()
            self._fd = -1

    def watch(self, folders: Iterable[str]) -> None:
        """Watch the files directly in these folders too. One that cannot be watched is passed over."""
        for folder in folders:
            if folder in self._watched or self._fd < 0:
                continue
            if len(self._watched) >= MOST_FOLDERS:
                self.reason = f"only {MOST_FOLDERS} folders are watched"
                return
            if self._add(folder):
                self._watched.add(folder)

    def wait(self, seconds: float, *also: int) -> None:
        """Return when something was opened, a descriptor of `also` is readable, or after `seconds`."""
        poll = select.poll()
        for fd in (self._fd, *also):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        poll.poll(seconds * 1000)

    def read(self) -> list[Opened]:
        """What was opened since the last call."""
        found: list[Opened] = []
        while self._fd >= 0:
            try:
                raw = os.read(self._fd, _BUFFER)
            except OSError:  # nothing left, or a file vanished under its event
                break
            if not raw:
                break
            found.extend(self._fanotify_events(raw) if self.how == "fanotify" else self._inotify_events(raw))
        return found

    def _fanotify(self) -> int:
        try:
            self._libc.fanotify_mark.argtypes = [
                ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p,
            ]  # fmt: skip
            return int(self._libc.fanotify_init(_CLOEXEC | _NONBLOCK | _DIR_NAME, os.O_RDONLY))
        except AttributeError:
            return -1

    def _inotify(self) -> int:
        try:
            fd = int(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        except AttributeError:
            self.reason = "this system has no inotify"
            return -1
        if fd < 0:
            self.reason = f"inotify is not available ({os.strerror(ctypes.get_errno())})"
        return fd

    def _add(self, folder: str) -> bool:
        path = os.fsencode(folder)
        if self.how == "fanotify":
            handle = self._handle(path)
            if handle is not None and not self._libc.fanotify_mark(self._fd, 1, _OPEN | _ON_CHILD, -100, path):
                self._folders[handle] = folder
                return True
            if self._watched:
                self._say_unwatched(folder)
                return False
            # this file system has no handles: start again with what needs none
            os.close(self._fd)
            self._fd, self.how = self._inotify(), "inotify"
            if self._fd < 0:
                self.how = None
                return False
        number = int(self._libc.inotify_add_watch(self._fd, path, _OPEN))
        if number < 0:
            if ctypes.get_errno() == errno.ENOSPC:
                self.reason = "the user's inotify watches are used up (fs.inotify.max_user_watches)"
            else:
                self._say_unwatched(folder)
            return False
        self._folders[number] = folder
        return True

    def _say_unwatched(self, folder: str) -> None:
        """Say that reads in a folder that is there will be missed."""
        if os.path.isdir(folder):
            self.reason = f"{clean(folder)} cannot be watched"

    def _handle(self, path: bytes) -> bytes | None:
        """The folder's file handle, type and bytes, as fanotify reports it."""
        buffer = ctypes.create_string_buffer(8 + _HANDLE_MOST)
        struct.pack_into("=Ii", buffer, 0, _HANDLE_MOST, 0)
        mount = ctypes.c_int()
        try:
            if self._libc.name_to_handle_at(-100, path, buffer, ctypes.byref(mount), 0):
                return None
        except AttributeError:
            return None
        length, kind = struct.unpack_from("=Ii", buffer, 0)
        return struct.pack("=i", kind) + buffer.raw[8 : 8 + length]

    def _fanotify_events(self, raw: bytes) -> Iterator[Opened]:
        at = 0
        while at + 24 <= len(raw):
            length, _, _, header, mask, _, pid = struct.unpack_from("=IBBHQii", raw, at)
            if mask & _OVERFLOW:
                self.lost = True
            info, end = at + header, at + length
            if info + 20 <= end:
                _, _, size = struct.unpack_from("=BBH", raw, info)
                handle_bytes, kind = struct.unpack_from("=Ii", raw, info + 12)
                begin = info + 20
                handle = struct.pack("=i", kind) + raw[begin : begin + handle_bytes]
                name = raw[begin + handle_bytes : info + size].split(b"\0", 1)[0]
                folder = self._folders.get(handle)
                if folder is not None and name not in (b"", b"."):
                    yield Opened(os.path.join(folder, os.fsdecode(name)), pid == self._pid)
            at += max(length, 24)

    def _inotify_events(self, raw: bytes) -> Iterator[Opened]:
        at = 0
        while at + 16 <= len(raw):
            watch, mask, _, length = struct.unpack_from("=iIII", raw, at)
            if mask & _INOTIFY_OVERFLOW:
                self.lost = True
            name = raw[at + 16 : at + 16 + length].split(b"\0", 1)[0]
            if name and watch in self._folders:
                yield Opened(os.path.join(self._folders[watch], os.fsdecode(name)), None)
            at += 16 + length
