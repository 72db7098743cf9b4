"""Signals reach the process that was seen, or none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cachetop.gpu import signals
from cachetop.gpu.processes import start_ticks
from cachetop.gpu.records import Gpu, Process
from cachetop_tui.dialogs.fields import Choice, Sentence
from cachetop_tui.dialogs.signal import SignalDialog
from support.gpu_process import GpuProcess, write_safetensors
from support.stage_app import StageApp

GPU = Gpu(
    index=0, uuid="GPU-0", name="one", sm=None, memory=None, utilization=None, temperature=None, power=None,
    processes=(), unattributed=None,
)  # fmt: skip


def cuda_user(tmp_path: Path) -> GpuProcess:
    """A process that a container, too, believes to use a GPU."""
    library = tmp_path / "libcuda.so.1"
    write_safetensors(library)
    child = GpuProcess()
    child.map(library)
    return child


@pytest.mark.parametrize(("name", "number"), [("INT", signal.SIGINT), ("TERM", signal.SIGTERM), ("KILL", 9)])
def test_the_signal_arrives(tmp_path: Path, name: str, number: int) -> None:
    with cuda_user(tmp_path) as child:
        assert signals.refusal(child.row()) is None
        signals.send(child.row(), name)
        assert child.wait() == -number


def test_a_pid_that_was_reused_is_not_signalled(tmp_path: Path) -> None:
    with cuda_user(tmp_path) as child:
        ticks = start_ticks(child.pid)
        assert ticks is not None
        with pytest.raises(signals.NotSent, match="another one now"):
            signals.send(child.row(ticks=ticks - 1), "KILL")
        child.map(tmp_path / "libcuda.so.1")  # it lives and answers


def test_a_process_that_ended_is_said_so(tmp_path: Path) -> None:
    with cuda_user(tmp_path) as child:
        row = child.row()
    with pytest.raises(signals.NotSent, match="has ended"):
        signals.send(row, "TERM")


def test_who_is_never_signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cuda_user(tmp_path) as child:
        assert "host" in str(signals.refusal(child.row(host_pid=True)))
        assert "simulated" in str(signals.refusal(child.row(), simulated=True))
        assert "read-only" in str(signals.refusal(child.row(), read_only=True))
        assert "started" in str(signals.refusal(child.row(ticks=None)))
        own = Process(pid=os.getpid(), user=None, command=None, memory=1, ticks=start_ticks(os.getpid()))
        assert "itself" in str(signals.refusal(own))
        monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
        with pytest.raises(signals.NotSent, match="read-only"):
            signals.send(child.row(), "KILL")
        monkeypatch.delenv("CACHETOP_READ_ONLY")
        with pytest.raises(signals.NotSent, match="host"):
            signals.send(child.row(host_pid=True), "KILL")
        child.map(tmp_path / "libcuda.so.1")


async def test_the_dialog_asks_and_enter_alone_sends_nothing(tmp_path: Path) -> None:
    answers: list[str | None] = []
    with cuda_user(tmp_path) as child:
        async with StageApp().run_test(size=(80, 24)) as pilot:
            await pilot.app.push_screen(SignalDialog(GPU, child.row()), answers.append)
            await pilot.press("enter")
            assert answers == [None]
            child.map(tmp_path / "libcuda.so.1")
            dialog = SignalDialog(GPU, child.row())
            await pilot.app.push_screen(dialog, answers.append)
            assert dialog.query_one("#signal", Choice).value == "TERM"
            await pilot.press("left", "enter")
            for _ in range(200):
                if len(answers) == 2:
                    break
                await pilot.pause(0.02)
        assert answers == [None, "TERM"] and child.wait() == -signal.SIGTERM


async def test_the_dialog_says_why_nothing_was_sent(tmp_path: Path) -> None:
    with cuda_user(tmp_path) as child:
        row = child.row()
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog = SignalDialog(GPU, row)
        await pilot.app.push_screen(dialog)
        await pilot.press("left", "enter")
        for _ in range(200):
            if dialog.query_one("#problem", Sentence).text:
                break
            await pilot.pause(0.02)
        assert "has ended" in dialog.query_one("#problem", Sentence).text
