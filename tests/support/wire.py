"""A program on a pty of its own: what it writes, what is typed into it, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
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
        self._before = termios.tcgetattr(self._terminal)
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

    def hang_up(self) -> int:
        """Close the terminal, as a dropped line does; returns the exit code."""
        os.close(self._terminal)
        self._terminal = os.open(os.devnull, os.O_RDWR)
        return self.end()

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

    def clean(self) -> bool:
        """Whether the terminal is as it was: modes, keys, title, style, and what `stty` shows. Says what is not."""
        left = _left(self.seen)
        if termios.tcgetattr(self._terminal) != self._before:
            left.append("stty")
        assert left == [], f"not given back: {left}; it ended with {self.seen[-300:]!r}"
        return True

    def close(self) -> None:
        """End it if it still runs."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


def _left(seen: bytes) -> list[str]:
    """What a program has changed in the terminal and not given back."""
    modes = {int(n): on == b"h" for n, on in re.findall(rb"\x1b\[\?(\d+)([hl])", seen)}
    out = [f"mode {n}" for n, on in modes.items() if on != (n in (7, 25))]  # lines wrap, and the cursor is seen
    for name, begin, end in (
        ("kitty's keys", rb"\x1b\[>\d+u", rb"\x1b\[<u"),
        ("title", rb"\x1b\[22;0t", rb"\x1b\[23;0t"),
        ("modified keys", rb"\x1b\[>4;\dm", rb"\x1b\[>4m"),
    ):
        if len(re.findall(begin, seen)) != len(re.findall(end, seen)):
            out.append(name)
    written = seen[: seen.rfind(b"\x1b[?1049l")]
    styles = re.findall(rb"\x1b\[([\d;]*)m", written)
    return out + ([f"style {styles[-1].decode()}"] if styles and styles[-1] not in (b"", b"0") else [])
