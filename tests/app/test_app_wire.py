"""What goes over the wire, measured on a pty: bytes when idle, live and at first, colours, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS / "support" / "wire_app.py"
COLOUR = re.compile(rb"\x1b\[[0-9;]*(?<![0-9])(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?![0-9])[0-9;]*m")
PAINTED = b"inotify"


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


@contextlib.contextmanager
def wire(kind: str, home: Path, **more: str) -> Iterator[Wire]:
    """The app on a pty, nothing of this machine in its environment."""
    env = {
        "HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8",
        "PYTHONPATH": str(TESTS), "CACHETOP_STATE_DIR": str(home / "state"), **more,
    }  # fmt: skip
    one = Wire([sys.executable, str(SCRIPT), kind], env)
    try:
        yield one
    finally:
        one.close()


def settled(one: Wire) -> None:
    """Wait until nothing has come for a second."""
    one.until(PAINTED)
    for _ in range(20):
        if not one.read(1.0):
            return


def clean_end(seen: bytes) -> bool:
    """Whether the alternate screen, the mouse and the cursor were given back."""
    return seen.rfind(b"\x1b[?1049l") > seen.rfind(b"\x1b[?1049h") and seen.rfind(b"\x1b[?25h") > seen.rfind(
        b"\x1b[?25l"
    )


def test_first_paint_and_idle(tmp_path: Path) -> None:
    """The first frame; all bytes until everything is known and painted; then silence."""
    with wire("idle", tmp_path, TEXTUAL_THEME="cachetop-ansi") as one:
        one.until(b"KERNELS", step=0.005)
        assert len(one.seen) <= 35_000, f"the first frame took {len(one.seen):,} bytes"
        settled(one)
        assert len(one.seen) <= 85_000, f"it took {len(one.seen):,} bytes until all was painted"
        assert one.read(3.0) == b"", "idle, nothing is sent"
        one.send(b"q")
        assert one.end() == 0 and clean_end(one.seen)


def test_live_at_one_hertz(tmp_path: Path) -> None:
    with wire("live", tmp_path, COLORTERM="truecolor") as one:
        one.until(PAINTED)
        one.read(2.0)
        rate = len(one.read(5.0)) / 5.0
        assert 0 < rate <= 5_000, f"{rate:,.0f} bytes a second"


def test_no_color_sends_no_colour(tmp_path: Path) -> None:
    with wire("idle", tmp_path, NO_COLOR="1") as one:
        settled(one)
        found = COLOUR.findall(one.seen)
        assert found == [], found[:5]
        assert b"\x1b[" in one.seen


def test_sigterm_leaves_the_terminal_clean(tmp_path: Path) -> None:
    with wire("idle", tmp_path) as one:
        settled(one)
        os.kill(one.pid, signal.SIGTERM)
        assert one.end() == 128 + signal.SIGTERM
        assert clean_end(one.seen)


def test_a_crash_leaves_a_report_and_a_clean_terminal(tmp_path: Path) -> None:
    with wire("crash", tmp_path) as one:
        settled(one)
        one.send(b"r")
        assert one.end() == 1
        assert clean_end(one.seen)
        (report,) = (tmp_path / "state" / "crashes").iterdir()
        text = report.read_text()
        assert "RuntimeError" in text and "AAAA" not in text
        assert report.stat().st_mode & 0o077 == 0
        said = one.seen[one.seen.rfind(b"\x1b[?1049l") :].decode(errors="replace")
        assert "cachetop crashed: RuntimeError" in said and report.name in "".join(said.split())


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_gets_the_report(tmp_path: Path, term: str) -> None:
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": term, "LANG": "C.UTF-8"}
    one = Wire([sys.executable, "-m", "cachetop_tui"], env)
    try:
        assert one.end() == 0
        assert b"\x1b[" not in one.seen and b"models" in one.seen.lower()
    finally:
        one.close()
