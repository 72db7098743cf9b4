"""From the panel to a real job and back: started, drawn, cancelled; and what is said when that fails."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cachetop.conversion.folder import folders
from cachetop.conversion.history import picture
from cachetop.demo.paper import write_pdf
from cachetop.inventory import Inventory
from cachetop_tui.app import CachetopApp
from cachetop_tui.background import in_background
from cachetop_tui.dialogs.fields import Choice
from cachetop_tui.dialogs.launching import NotStarted, StartRequest, start
from cachetop_tui.dialogs.picker import FilePicker
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.panel.conversion import ConversionPanel
from support.stage_app import StageApp, until


async def look(pilot: Pilot[None], panel: ConversionPanel) -> str:
    """Feed the panel with the newest job on the disk; returns its state."""
    newest = next(folders(), None)
    if newest is None:
        await asyncio.sleep(0.05)
        return ""
    run = picture(newest)
    panel.show(None, (run,), time.time())
    await pilot.pause(0.05)
    return run.job.state


async def test_a_real_run_is_started_and_drawn_to_its_end(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", 3)
    panel = ConversionPanel(id="conversion")
    async with StageApp(panel).run_test(size=(120, 15)) as pilot:
        panel.begin(StartRequest((str(tmp_path / "report.pdf"),), pipeline="native", output=str(tmp_path / "out")))
        deadline = time.monotonic() + 60
        while await look(pilot, panel) not in ("done", "failed", "lost") and time.monotonic() < deadline:
            pass
        text = "\n".join(panel.texts)
        assert "✓ done" in text and "3 pages" in text and "native pipeline" in text, text
        assert "CPU run: no GPU kernels" in text
        assert (tmp_path / "out" / "report.md").is_file() and "out/report.md" in text


async def test_what_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    panel = ConversionPanel(id="conversion")
    app = StageApp(panel)
    async with app.run_test(size=(120, 15)) as pilot:
        panel.begin(StartRequest((str(tmp_path / "a.pdf"),), python="/no/python"))
        await until(pilot, lambda: bool(app._notifications))
        told = next(iter(app._notifications))
        assert "is no Python interpreter" in told.message and told.severity == "error"
        panel.action_tab(2)
        assert any("is no Python interpreter" in line for line in panel.texts), "the events keep it"


def test_a_state_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("CACHETOP_STATE_DIR", str(blocked / "below"))
    with pytest.raises(NotStarted, match="could not be started"):
        start(StartRequest((str(tmp_path / "a.pdf"),), pipeline="native"))


async def test_cancel_from_the_panel_ends_the_run(tmp_path: Path) -> None:
    write_pdf(tmp_path / "long.pdf", 400)
    panel = ConversionPanel(id="conversion")
    async with StageApp(panel).run_test(size=(120, 15)) as pilot:
        panel.begin(StartRequest((str(tmp_path / "long.pdf"),), pipeline="native"))
        deadline = time.monotonic() + 60
        while await look(pilot, panel) != "running" and time.monotonic() < deadline:
            pass
        panel.focus()
        await pilot.press("x")
        while (state := await look(pilot, panel)) in ("running", "queued") and time.monotonic() < deadline:
            pass
        assert state == "cancelled"
        assert any("– cancelled" in line for line in panel.texts)


async def test_background_returns_and_raises() -> None:
    assert await in_background(sorted, [2, 1]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        await in_background(lambda: 1 // 0)


async def test_background_threads_hold_nobody_back() -> None:
    gate = threading.Event()
    waiting = asyncio.ensure_future(in_background(gate.wait))
    await asyncio.sleep(0)
    assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread() and t.name == "wait")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()


@pytest.mark.parametrize("early", [False, True], ids=["", "before-the-rest-has-come"])
async def test_from_n_to_the_result_in_the_whole_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    write_pdf(tmp_path / "report.pdf", 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")
    app = CachetopApp(Inventory())
    rest = app._begin
    if early:
        monkeypatch.setattr(app, "_begin", lambda: None)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("n")
        if early:
            assert app.screen is app.overview, "a key waits until what it could be meant for is there"
            await rest()
        await until(pilot, lambda: isinstance(app.screen, StartDialog))
        picker = app.screen.query_one(FilePicker)
        await until(pilot, lambda: picker.row is not None and picker.row.name == "report.pdf")
        app.screen.query_one("#pipeline", Choice).choose("native")
        await pilot.press("enter", "enter")
        panel = app.overview.panel
        await until(pilot, lambda: any("✓ done" in line for line in panel.texts), 60)
        text = "\n".join(panel.texts)
        assert "report.pdf" in text and "outputs/report.md" in text, text
    assert app.return_code in (None, 0)
