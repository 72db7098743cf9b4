"""A program on a pty of its own: what it writes, what is typed into it, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]


class Wire:
    """The app on a pty of 120x40. `seen` is everything it wrote."""

    def __init__(self, words: list[str], env: dict[str, str], size: tuple[int, int] = (120, 40)) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.chdir(TESTS)
            os.execve(words[0], words, env)
        self.seen = b""
        self.code: int | None = None

    def read(self, seconds: float) -> bytes:
        """What arrives within so many seconds."""
        before, until = len(self.seen), time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                try:
                    piece = os.read(self._terminal, 65536)
                except OSError:
                    break
                if not piece:
                    break
                self.seen += piece
        return self.seen[before:]

    def until(self, marker: bytes, seconds: float = 30, step: float = 0.1) -> None:
        """Wait for `marker`, looking every `step` seconds."""
        end = time.monotonic() + seconds
        while marker not in self.seen:
            assert time.monotonic() < end, (marker, self.seen[-400:])
            self.read(step)

    def resize(self, width: int, height: int) -> None:
        """Pull the window to another size."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self._terminal, keys)

    def end(self) -> int:
        """Wait for its end; returns the exit code."""
        until = time.monotonic() + 20
        while self.code is None:
            self.read(0.1)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < until, "it does not end"
        with contextlib.suppress(OSError):
            self.read(0.1)
        return self.code

    def close(self) -> None:
        """End it if it still runs."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


def clean_end(seen: bytes) -> bool:
    """Whether the alternate screen, the mouse and the cursor were given back."""
    return seen.rfind(b"\x1b[?1049l") > seen.rfind(b"\x1b[?1049h") and seen.rfind(b"\x1b[?25h") > seen.rfind(
        b"\x1b[?25l"
    )
