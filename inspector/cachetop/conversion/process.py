"""Processes of this user on this machine: identified for certain, then signalled.

A number is no identity: by the time a signal is sent, it may belong to somebody else. A process is held by a
pidfd (pidfd_open(2)), and what is known of it is checked after the descriptor was opened. A process of
another PID namespace or another machine cannot be told by its number and is never signalled.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path

from cachetop.base.hostile import clean


def here() -> dict[str, str]:
    """This machine and PID namespace: a number means a process only where `id` is the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = "?"
    return {"name": clean(socket.gethostname()), "id": f"{boot} {space}"}


class Held:
    """One process, held by descriptor. Close it, or use it in a `with`."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when there is no such process, OSError where pidfds are missing."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def opened(self, path: Path) -> bool:
        """Whether it holds the file at `path` open now."""
        try:
            wanted = path.stat()
            names = os.listdir(f"/proc/{self.pid}/fd")
        except OSError:
            return False
        for name in names:
            try:
                status = os.stat(f"/proc/{self.pid}/fd/{name}")
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
        return False

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone. Raises PermissionError for another user's."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until it ends, at most `seconds`; whether it has."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return bool(poller.poll(max(0, int(seconds * 1000))))


def memory(pid: int) -> int | None:
    """Bytes of RAM the process has now (RSS); None when that cannot be read."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
