"""What the app does to its terminal beyond painting: title, bell, clipboard; and a conversion that outlives it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachetop.conversion import folder
from cachetop_tui import app as app_module
from support import pictures, vt
from support.wire import TESTS, Wire

BELL = re.compile(rb"(?<!\x1b\]0;)\x07")


@contextlib.contextmanager
def app(home: Path, *words: str, **more: str) -> Iterator[Wire]:
    """The real app, or a script, on a pty in a world of its own."""
    names = ("HOME", "TMPDIR", "PATH", "CACHETOP_STATE_DIR", "XDG_RUNTIME_DIR")
    env = {name: os.environ[name] for name in names}
    env |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(TESTS), **more}
    one = Wire([sys.executable, *(words or ("-m", "cachetop_tui"))], env)
    try:
        yield one
    finally:
        one.close()


class Job:
    """A conversion that this process works on, as its lock says."""

    def __init__(self) -> None:
        self._made = folder.create({"files": ["/papers/annual.pdf"], "pipeline": "native", "device": "cpu"})
        self._lock = (self._made.path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        self._count = 0
        self.tell(event="job-started", files=["/papers/annual.pdf"], pipeline="native", device="cpu", start="cold")
        self.tell(event="phase-started", phase="convert")

    def tell(self, **event: Any) -> None:
        """Write an event."""
        self._count += 1
        with self._made.events.open("a") as file:
            file.write(
                json.dumps({"seq": self._count, "time": time.time(), "job": self._made.path.name, **event}) + "\n"
            )

    def page(self, number: int) -> None:
        """One page of nine is through."""
        self.tell(event="page-finished", file="/papers/annual.pdf", page=number, pages=9, seconds=0.1, success=True)

    def finish(self) -> None:
        """Say so and let the lock go."""
        self.tell(event="job-finished", status="success", seconds=1.0, start="cold", phases={"convert": 1.0})
        self._lock.close()


def test_a_lost_line_kills_no_conversion_and_the_next_start_finds_it(world: Path) -> None:
    """A login ends (SIGHUP), a new one shows the run where it is by then; title and bell tell its end."""
    job = Job()
    job.page(1)
    with app(world) as first:
        first.until(b"page 1 of 9")
        first.until(b"\x1b]0;cachetop: 1 conversion running\x07")
        os.kill(first.pid, signal.SIGHUP)
        assert first.end() == 128 + signal.SIGHUP
        assert first.clean()
    job.page(2)
    job.page(3)
    with app(world) as second:
        second.until(b"page 3 of 9")
        assert b"annual.pdf" in second.seen
        rung = len(BELL.findall(without_titles(second.seen)))
        job.finish()
        second.until(b"\x1b]0;cachetop: annual.pdf done\x07")
        second.read(0.2)
        assert len(BELL.findall(without_titles(second.seen))) == rung + 1
        second.send(b"q")
        assert second.end() == 0 and second.clean()


def without_titles(seen: bytes) -> bytes:
    """What was written but for control strings, which end with the bell's byte too."""
    return re.sub(rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)", b"", seen)


def test_copying_goes_through_the_terminal_and_past_tmux(world: Path) -> None:
    with app(world, str(TESTS / "support" / "wire_app.py"), "idle", TMUX="/tmp/tmux,1,0") as one:
        one.until(b"inotify")
        one.read(0.3)
        one.send(b"y")
        copied = b"]52;c;" + base64.b64encode(b"Qwen/Qwen2.5-VL-7B-Instruct") + b"\x07"
        one.until(b"\x1bPtmux;\x1b\x1b" + copied + b"\x1b\\")
        assert one.seen.count(copied) == 2


@pytest.mark.parametrize("flags", [b"", b"\x1b[?0u"], ids=["without kitty's protocol", "with it"])
def test_the_probe_says_which_command_each_key_runs(world: Path, flags: bytes) -> None:
    with app(world, "-m", "cachetop_tui", "keys") as one:
        one.until(b"\x1b[c", step=0.01)
        one.send(flags + b"\x1b[?62c")
        one.until(b"Press keys")
        for sent, said in (
            (b"\x1bk", b"Kernels: Focus"),
            (b"n", b"Conversion: New"),
            (b"\x1b[27;6;80~", b"View: Commands"),
        ):
            one.send(sent)
            one.until(said)
        assert (b"\x1b[>25u" in one.seen, b"\x1b[>4;2m" in one.seen) == (bool(flags), not flags), "as the app asks"
        one.send(b"\x1b[113;;113u" if flags else b"q")
        assert one.end() == 0 and one.clean()


def test_the_probe_gives_the_terminal_back_when_it_is_ended(world: Path) -> None:
    with app(world, "-m", "cachetop_tui", "keys") as one:
        one.until(b"\x1b[c", step=0.01)
        one.send(b"\x1b[?62c")
        one.until(b"\x1b[>4;2m")
        os.kill(one.pid, signal.SIGTERM)
        assert one.end() == 128 + signal.SIGTERM and one.clean()


@pytest.mark.parametrize("keys", [b"q", b"\x1bq"])
def test_it_leaves_at_once_also_before_the_first_frame(world: Path, keys: bytes) -> None:
    with app(world) as one:
        one.send(keys)
        assert one.end() == 0
        assert one.clean() and b"crashed" not in one.seen


def test_a_signal_before_the_first_frame_leaves_the_terminal_clean(world: Path) -> None:
    with app(world) as one:
        one.until(b"\x1b[?1049h", step=0.001)
        os.kill(one.pid, signal.SIGTERM)
        assert one.end() == 128 + signal.SIGTERM
        assert one.clean()


def test_what_goes_wrong_before_there_is_a_screen_is_reported_too(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"token hf_{'A' * 34}")

    monkeypatch.setattr(app_module, "CachetopApp", fail)
    assert app_module.run_source(pictures.everything()) == 1
    said = capsys.readouterr().err
    (report,) = (world / "state" / "crashes").iterdir()
    assert "cachetop crashed: RuntimeError" in said and str(report) in said
    assert "AAAA" not in report.read_text() and "Traceback" in report.read_text()


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_a_terminal_that_closes_ends_the_app(world: Path, kind: str) -> None:
    """The kernel sends SIGHUP and SIGCONT then, and everything written fails."""
    with app(world, str(TESTS / "support" / "wire_app.py"), kind) as one:
        one.until(b"inotify")
        one.read(0.5)
        assert one.hang_up() == 128 + signal.SIGHUP
        assert not (world / "state" / "crashes").exists()


def test_suspended_it_gives_the_terminal_back_and_takes_it_again(world: Path) -> None:
    with app(world, str(TESTS / "support" / "wire_app.py"), "idle") as one:
        one.until(b"inotify")
        one.read(0.3)
        os.kill(one.pid, signal.SIGTSTP)
        one.until(b"\x1b[?1004l")
        one.read(0.2)
        assert one.clean()
        mark = len(one.seen)
        os.kill(one.pid, signal.SIGCONT)
        one.read(1.0)
        shown = vt.Terminal(120, 40).feed(one.seen[mark:].decode()).text
        assert "MODELS" in shown and b"\x1b[>4;2m" in one.seen[mark:] and b"\x1b]0;cachetop" in one.seen[mark:]
        one.send(b"q")
        assert one.end() == 0 and one.clean()


def test_no_mouse_asks_for_no_mouse(world: Path) -> None:
    with app(world, "-m", "cachetop_tui", "--no-mouse") as one:
        one.until(b"commands")
        one.send(b"q")
        assert one.end() == 0 and one.clean()
        assert re.findall(rb"\x1b\[\?10(?:00|02|03|06|15)h", one.seen) == []


def test_the_lite_profile_sends_less_by_itself_over_ssh(world: Path) -> None:
    """It moves the clocks of a run every other second, and shows one row of VRAM history instead of two."""
    sent = {}
    for name, more in {"full": {}, "lite": {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}}.items():
        with app(world, str(TESTS / "support" / "wire_app.py"), "busy", **more) as one:
            one.until(b"inotify")
            one.send(b"4z")  # the run alone
            one.read(1.5)
            sent[name] = len(one.read(4.0))
    assert 0 < sent["lite"] < 0.8 * sent["full"], sent
