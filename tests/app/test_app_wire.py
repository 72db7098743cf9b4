"""What goes over the wire, measured on a pty: bytes when idle, live and at first, colours, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import vt
from support.wire import TESTS, Wire

SCRIPT = TESTS / "support" / "wire_app.py"
COLOUR = re.compile(rb"\x1b\[[0-9;]*(?<![0-9])(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?![0-9])[0-9;]*m")
PAINTED = b"inotify"


@contextlib.contextmanager
def wire(
    kind: str, home: Path, more: dict[str, str] | None = None, size: tuple[int, int] = (120, 40)
) -> Iterator[Wire]:
    """The app on a pty, nothing of this machine in its environment."""
    env = {
        "HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8",
        "PYTHONPATH": str(TESTS), "CACHETOP_STATE_DIR": str(home / "state"), **(more or {}),
    }  # fmt: skip
    one = Wire([sys.executable, str(SCRIPT), kind], env, size)
    try:
        yield one
    finally:
        one.close()


def settled(one: Wire) -> None:
    """Wait until nothing has come for a while."""
    one.until(PAINTED)
    for _ in range(50):
        if not one.read(0.5):
            return


def shown(one: Wire, width: int = 120, height: int = 40) -> vt.Terminal:
    """What a terminal shows after all that was sent."""
    return vt.Terminal(width, height).feed(one.seen.decode())


def test_first_paint_and_idle(tmp_path: Path) -> None:
    """All bytes until everything is known and painted, in sixteen colours of the terminal; then silence."""
    with wire("idle", tmp_path, {"TEXTUAL_THEME": "cachetop-ansi"}) as one:
        settled(one)
        assert len(one.seen) <= 35_000, f"it took {len(one.seen):,} bytes until all was painted"
        found = re.findall(rb"\x1b\[(?:[0-9;]*;)?[34]8;[0-9;]*m", one.seen)
        assert found == [], "the terminal's own colours, not copies of them"
        assert one.read(3.0) == b"", "idle, nothing is sent"
        painted = shown(one).text
        assert "docling-layout-heron" in painted and "matmul_kernel" in painted and "GPU 1" in painted
        one.send(b"q")
        assert one.end() == 0 and one.clean()


def test_live_at_one_hertz_and_nothing_while_another_window_has_the_focus(tmp_path: Path) -> None:
    with wire("live", tmp_path, {"COLORTERM": "truecolor"}) as one:
        one.until(PAINTED)
        assert len(one.seen) <= 35_000, f"it took {len(one.seen):,} bytes until all was painted"
        one.read(2.0)
        rate = len(one.read(3.0)) / 3.0
        assert 0 < rate <= 5_000, f"{rate:,.0f} bytes a second"
        one.send(b"\x1b[O")
        one.until(b"paused")
        one.read(0.5)
        assert one.read(2.5) == b"", "unfocused, nothing is sent"
        before = shown(one)
        assert "paused: not in focus" in before.text
        one.send(b"\x1b[I")
        one.read(1.5)
        now = shown(one).text
        assert "paused" not in now and now != before.text


LOOKS: dict[str, tuple[dict[str, str], bytes, bytes]] = {
    "truecolour": ({"COLORTERM": "truecolor"}, rb"\x1b\[[0-9;]*38;2;", rb"\x1b\[[0-9;]*[34]8;5;"),
    "256 colours": ({}, rb"\x1b\[[0-9;]*38;5;", rb"\x1b\[[0-9;]*[34]8;2;"),
    "16 colours": ({"TERM": "screen"}, rb"\x1b\[[0-9;]*9[0-7]", rb"\x1b\[[0-9;]*[34]8;[25];"),
    "no colour": ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, rb"\x1b\[1m|\x1b\[7m", COLOUR.pattern),
    "ASCII": ({"LANG": "C"}, rb"MODELS", rb"[\x80-\xff]"),
    "no mouse": ({"WIRE_MOUSE": "0"}, rb"MODELS", rb"\x1b\[\?10(?:00|03|06|15)h"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_the_terminal_cannot_show_is_not_sent(tmp_path: Path, look: str) -> None:
    more, wanted, never = LOOKS[look]
    with wire("idle", tmp_path, more) as one:
        settled(one)
        assert re.search(wanted, one.seen), wanted
        found = re.findall(never, one.seen)
        assert found == [], found[:5]


def test_much_at_once_stays_within_the_budget(tmp_path: Path) -> None:
    """8 GPUs with 40 processes each, a conversion of three pages a second; with and without somebody at the keys."""
    with wire("busy", tmp_path, {"COLORTERM": "truecolor"}) as one:
        one.until(PAINTED)
        assert len(one.seen) <= 35_000, f"it took {len(one.seen):,} bytes until all was painted"
        one.read(1.0)
        full = len(one.read(3.0)) / 3.0
        assert 0 < full <= 5_000, f"{full:,.0f} bytes a second"
        one.send(b"3")
        one.read(0.5)
        for key in (b"\x1b[B", b"\x1b[6~", b"\x1b[A", b"\x1b[F"):
            one.send(key)
            sent = len(one.read(0.25))
            assert 0 < sent <= 6_000, f"{sent:,} bytes for {key!r}"
        one.send(b"\x1b[O")
        one.until(b"paused")
        one.read(0.5)
        assert one.read(1.5) == b"", "unfocused, nothing is sent, whatever runs"


SIZES = ((20, 5), (160, 45), (1, 1), (60, 20), (300, 3), (44, 12), (120, 30), (2, 60), (56, 16), (55, 15), (80, 24))


@pytest.mark.parametrize("size", [(1, 1), (120, 40)])
def test_it_outlives_a_window_that_is_pulled_about_from_the_start(tmp_path: Path, size: tuple[int, int]) -> None:
    """Ten sizes a second, below the smallest among them, with keys between, while a conversion goes on."""
    with wire("busy", tmp_path, size=size) as one:
        for n in range(33):
            one.resize(*SIZES[n % len(SIZES)])
            one.send((b"", b"g", b",", b"m", b"z", b"4", b"?", b"n", b"b", b"/", b"\x1b[B")[n * 7 % len(SIZES)])
            one.read(0.1 if n % 3 else 0.02)
        for _ in range(3):
            one.send(b"\x1b")
            one.read(0.3)
        one.resize(80, 24)
        one.read(0.3)
        mark = len(one.seen)
        one.send(b"r")
        one.until(b"keys", 10)
        one.read(0.3)
        rows = vt.Terminal(80, 24).feed(one.seen[mark:].decode()).text.split("\n")
        assert rows[0].startswith(" cachetop") and "commands" in rows[23], rows
        one.send(b"q")
        assert one.end() == 0 and one.clean()


def test_other_sizes_while_it_is_busy(tmp_path: Path) -> None:
    """Every layout on one terminal whose window is pulled about while samples come in."""
    with wire("live", tmp_path, size=(160, 45)) as one:
        settled_once = [(160, 45), (60, 20), (44, 12), (80, 24), (120, 30)]
        one.until(PAINTED)
        for width, height in settled_once:
            one.resize(width, height)
            one.read(0.15)
        one.resize(80, 24)
        mark = len(one.seen)
        one.read(2.5)
        painted = vt.Terminal(80, 24).feed(one.seen[mark:].decode()).text
        rows = painted.split("\n")
        assert rows[0].startswith(" cachetop") and "commands" in rows[23] and "GPU 1" in painted
        one.resize(50, 14)
        one.until(b"needs 56 columns and 16 rows")
        one.send(b"q")
        assert one.end() == 0 and one.clean()


def test_sigterm_leaves_the_terminal_clean(tmp_path: Path) -> None:
    with wire("idle", tmp_path) as one:
        settled(one)
        os.kill(one.pid, signal.SIGTERM)
        assert one.end() == 128 + signal.SIGTERM
        assert one.clean()


def test_a_crash_leaves_a_report_and_a_clean_terminal(tmp_path: Path) -> None:
    with wire("crash", tmp_path) as one:
        settled(one)
        one.send(b"r")
        assert one.end() == 1
        assert one.clean()
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
