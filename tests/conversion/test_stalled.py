"""What is said of a run that goes on and is not heard of: stand-ins that are stuck, a hub that hardly answers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cachetop.conversion import launch, stalled
from cachetop.conversion.launch import JobHandle, convert
from cachetop.conversion.records import Phase, Run
from cachetop.conversion.report import job as report_on
from cachetop.inventory.run_feed import RunFeed
from cachetop.inventory.updates import RunsChanged, Update
from cachetop_tui.panel import figures, result, words
from support import runs
from support.slow_hub import FILES, slow_hub
from support.standin import STANDIN, until


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[JobHandle]]:
    """Put the handles of stand-ins in here: they are killed in the end, with whom they have begotten."""
    monkeypatch.setattr(launch, "WORKER", STANDIN)
    made: list[JobHandle] = []
    yield made
    for handle in made:
        if pid := handle.job().pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def test_an_import_that_hangs_is_named_with_its_library(stuck: list[JobHandle]) -> None:
    handle = convert("import.pdf")
    stuck.append(handle)
    until(lambda: handle.run().step)
    heard = handle.run().heard
    found = stalled.look(handle.run(), 60 + (heard or 0)).stalled
    assert found is not None and heard is not None
    assert (found.phase, found.doing, found.since) == ("import", "importing torch", heard)
    assert found.pid == handle.job().pid and found.read is not None
    until(lambda: "sleeps" in str(stalled.process(handle.job().pid or 0)))
    os.kill(found.pid or 0, signal.SIGSTOP)
    until(lambda: "stopped by a signal" in str(stalled.process(found.pid or 0)))

    [verdict] = [one for one in report_on(handle.id).verdict if one.cause == "stalled"]
    assert verdict.seconds is not None and verdict.seconds >= 60
    assert "while importing torch; its process is stopped by a signal" in verdict.message

    seen: list[Update] = []
    RunFeed(seen.append).look()
    [update] = seen
    assert isinstance(update, RunsChanged) and update.runs[0].stalled is not None
    drawn = figures.read(update.runs[0], heard + 75)
    assert words.imports(drawn).texts[0] == "no news for 1 min 15 s: importing torch"
    assert words.load(drawn).texts == () and "stopped by a signal" in "".join(result.tail(drawn, 200)[0])


def test_a_load_that_waits_for_a_disk_is_told_in_the_terminal(stuck: list[JobHandle]) -> None:
    handle = convert("load.pdf")
    stuck.append(handle)
    until(lambda: handle.run().loads)
    until(lambda: "waits for a disk" in str(stalled.process(handle.job().pid or 0)))
    command = [sys.executable, "-m", "cachetop", "jobs", "attach", handle.id]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as attached:
        assert attached.stderr is not None
        said = next(line for line in attached.stderr if "no news" in line)
        attached.send_signal(signal.SIGINT)
        assert attached.wait(20) == 130
    assert "while reading org/large, 4.00 GB; its process waits for a disk or a network file system (pid " in said


def test_a_download_that_hangs_is_told_with_its_bytes(
    stuck: list[JobHandle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with slow_hub(rate=2_000) as endpoint:
        handle = convert("fetch.pdf", env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"})
        stuck.append(handle)
        until(lambda: handle.run().step)
        asked = handle.run()
        if not asked.downloads:
            told = stalled.look(asked, 60 + (asked.heard or 0)).stalled
            assert told is not None and told.doing == "asking the hub for org/slow"
        until(lambda: any(one.bytes for one in handle.run().downloads))
        run = handle.run()
        found = stalled.look(run, 60 + (run.heard or 0)).stalled
    whole = sum(map(len, FILES.values()))
    assert found is not None and found.doing == "downloading org/slow" and found.process is not None
    assert found.bytes is not None and 0 < found.bytes < whole
    assert f"while downloading org/slow, {found.bytes / 1000:.1f} KB of " in stalled.sentence(found, found.since + 60)


def loading(**changes: object) -> Run:
    phase = Phase(name="load", spans=((runs.T0 + 5, None),))
    run = msgspec.structs.replace(runs.running(), phases=(phase,), loads=(), downloads=(), heard=runs.T0 + 5)
    return msgspec.structs.replace(run, **changes)


@pytest.mark.parametrize(
    "run",
    [
        loading(heard=None),
        loading(heard=runs.T0 + 50),
        loading(finished=runs.T0 + 20),
        loading(phases=(Phase(name="convert", spans=((runs.T0, None),)),)),
        loading(phases=(Phase(name="load", spans=((runs.T0, runs.T0 + 5),)),)),
    ],
)
def test_what_is_heard_of_or_over_is_not_stalled(run: Run) -> None:
    assert stalled.quiet(loading(), runs.T0 + 60) is not None
    assert stalled.look(run, runs.T0 + 60) is run


def test_samples_of_vram_are_no_news() -> None:
    from cachetop.conversion.fold import Fold

    fold = Fold(runs.running().job)
    fold.feed({"event": "phase-started", "phase": "load", "time": runs.T0})
    fold.feed({"event": "vram", "gpu": 0, "used": 1, "time": runs.T0 + 40})
    assert fold.run().heard == runs.T0


def test_a_process_that_is_gone_tells_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert stalled.process(gone.pid) is None and stalled.read(gone.pid) is None
