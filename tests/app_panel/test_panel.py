"""The conversion panel in a running app: which run it shows, tabs, keys, and what it sends to the terminal."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from cachetop.conversion.records import Jobs, Run
from cachetop_tui.panel.acting import CancelRequested, RunWanted, UnloadRequested
from cachetop_tui.panel.conversion import ConversionPanel
from support import runs
from support.stage_app import StageApp, screen_lines, until

NOW = runs.T0 + 24.6


def panel() -> ConversionPanel:
    return ConversionPanel(id="conversion", clock=lambda: NOW)


def later(run: Run, seconds: float, tail: str) -> Run:
    """The same run, started later, under another id."""
    job = runs.job(run.job.state, tail, started=runs.T0 + seconds, seconds=run.job.seconds)
    return Run(job=job, status=run.status, finished=run.finished, phases=run.phases, pages=run.pages)


@pytest.mark.parametrize("size", [(160, 15), (120, 8), (80, 11), (80, 3), (60, 3)])
@pytest.mark.parametrize("look", ["cachetop-dark", "cachetop-light", "cachetop-ansi"])
async def test_the_run_is_readable_at_every_size(size: tuple[int, int], look: str) -> None:
    app = StageApp(panel(), look)
    async with app.run_test(size=size) as pilot:
        app.query_one(ConversionPanel).show(runs.jobs(runs.running()), (runs.running(),), NOW)
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "annual-" in text and "2025" in text and "page 17 of 40" in text and "left" in text


async def test_without_a_run_it_says_how_to_start_one() -> None:
    app = StageApp(panel())
    async with app.run_test(size=(80, 8)) as pilot:
        app.query_one(ConversionPanel).show(None, (), NOW)
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "No conversion yet" in text and "cachetop convert FILE" in text and "n starts one" in text


async def test_the_running_run_comes_first_and_brackets_step_through_the_others() -> None:
    app = StageApp(panel())
    live, newer, oldest = runs.running(), later(runs.native(), 50, "beef"), later(runs.failed(), -500, "dead")
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(runs.jobs(live, newer, oldest), (oldest, newer, live), NOW)
        shown.focus()
        await pilot.pause()
        assert shown.selected_run is live, "the one that goes on, though another was started later"
        await pilot.press("left_square_bracket")
        assert shown.selected_run is oldest
        assert any("run dead" in line for line in shown.texts)
        await pilot.press("left_square_bracket")
        assert shown.selected_run is oldest, "there is none before the oldest"
        await pilot.press("right", "right")
        assert shown.selected_run is newer
        await pilot.press("right_square_bracket")
        assert shown.selected_run is live, "one step beyond the newest follows the run that goes on again"


async def test_a_picked_run_stays_when_another_starts() -> None:
    app = StageApp(panel())
    done, fresh = runs.native(), later(runs.running(), 99, "0001")
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (done, later(runs.failed(), -9, "dead")), NOW)
        shown.focus()
        await pilot.press("left")
        shown.show(None, (fresh, done, later(runs.failed(), -9, "dead")), NOW)
        assert shown.selected_run is not None and shown.selected_run.job.id.endswith("dead")


async def test_cancel_asks_only_for_a_run_that_goes_on() -> None:
    app = StageApp(panel())
    heard: list[object] = []
    async with app.run_test(size=(120, 15), message_hook=heard.append) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (runs.native(),), NOW)
        shown.focus()
        await pilot.press("x")
        assert not [one for one in heard if isinstance(one, CancelRequested)]
        shown.show(None, (runs.running(),), NOW)
        await pilot.press("x")
        asked = [one for one in heard if isinstance(one, CancelRequested)]
        assert asked and asked[0].job_id == runs.running().job.id
        await until(pilot, lambda: bool(app._notifications))
        assert "was not cancelled" in next(iter(app._notifications)).message, "there is no such job on the disk"


async def test_unload_asks_only_when_there_is_a_worker() -> None:
    app = StageApp(panel())
    heard: list[object] = []
    async with app.run_test(size=(120, 15), message_hook=heard.append) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(Jobs(), (runs.native(),), NOW)
        shown.focus()
        await pilot.press("u")
        assert not [one for one in heard if isinstance(one, UnloadRequested)]
        shown.show(runs.jobs(runs.native()), (runs.native(),), NOW)
        await pilot.press("u")
        assert [one for one in heard if isinstance(one, UnloadRequested)]
        await until(pilot, lambda: bool(app._notifications))
        assert next(iter(app._notifications)).message == "no worker unloaded"


async def test_tabs_by_key_and_mouse() -> None:
    app = StageApp(panel())
    async with app.run_test(size=(120, 12)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(runs.jobs(runs.failed(), runs.native()), (runs.failed(), runs.native()), NOW)
        shown.focus()
        await pilot.press("v")
        assert any("run dead" in line and "failed" in line for line in shown.texts)
        assert any("resident worker, pid 41877" in line for line in shown.texts)
        await pilot.press("v")
        text = "\n".join(shown.texts)
        assert "is not in the cache" in text and "OCR is off" in text and "failed after 6.0 s" in text
        await pilot.click(ConversionPanel, offset=(4, 1))
        assert shown.tab == 0


async def test_a_run_is_opened_from_the_list_and_read_when_it_is_old() -> None:
    app = StageApp(panel())
    heard: list[object] = []
    old = runs.job("done", "feed", started=runs.T0 - 9999, seconds=3.0)
    async with app.run_test(size=(120, 12), message_hook=heard.append) as pilot:
        shown = app.query_one(ConversionPanel)
        jobs = Jobs(jobs=(runs.native().job, old))
        shown.show(jobs, (runs.native(),), NOW)
        shown.focus()
        await pilot.press("v", "down", "enter")
        wanted = [one for one in heard if isinstance(one, RunWanted)]
        assert {one.job_id for one in wanted} == {old.id}
        shown.add(Run(job=old, status="success"))
        assert shown.tab == 0 and shown.selected_run is not None and shown.selected_run.job is old
        shown.show(jobs, (runs.native(),), NOW)
        assert shown.selected_run is not None and shown.selected_run.job is old, "it stays over updates"


async def test_nothing_is_sent_when_nothing_changed() -> None:
    app = StageApp(panel())
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (runs.running(),), NOW)
        await pilot.pause()
        with patch.object(shown, "refresh") as refresh:
            shown.show(None, (runs.running(),), NOW)
            assert not refresh.called


async def test_only_lines_that_changed_are_sent() -> None:
    moment = [NOW]
    app = StageApp(ConversionPanel(id="conversion", clock=lambda: moment[0]))
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (runs.running(),), NOW)
        await pilot.pause()
        moment[0] += 0.5
        with patch.object(shown, "refresh") as refresh:
            shown.repaint()
            rows = {region.y for region in refresh.call_args.args}
        assert rows and rows < set(range(15)) and 1 not in rows, "the tabs did not change"


async def test_a_clock_alone_sends_nothing_between_its_steps() -> None:
    moment = [NOW]
    app = StageApp(ConversionPanel(id="conversion", clock=lambda: moment[0]))
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (runs.running(),), NOW)
        await pilot.pause()
        moment[0] += 0.2
        with patch.object(shown, "refresh") as refresh:
            shown.repaint()
            assert not refresh.called


async def test_a_click_opens_the_run_under_it_in_a_scrolled_list() -> None:
    app = StageApp(panel())
    many = tuple(later(runs.native(), -float(i), f"{i:04d}") for i in range(30))
    async with app.run_test(size=(120, 12)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(runs.jobs(*many), many, NOW)
        shown.focus()
        await pilot.press("v", *["down"] * 20)
        row = next(y for y, line in enumerate(shown.texts) if "run 0017" in line)
        await pilot.click(ConversionPanel, offset=(40, row))
        assert shown.selected_run is not None and shown.selected_run.job.id.endswith("0017")


async def test_the_theme_can_change_under_it() -> None:
    app = StageApp(panel())
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(None, (runs.running(),), NOW)
        await pilot.pause()
        dark = shown.render_line(5)
        app.theme = "cachetop-light"
        await pilot.pause()
        assert shown.render_line(5) != dark and shown.render_line(5).text == dark.text


async def test_ascii_and_hostile_names() -> None:
    app = StageApp(panel(), ascii_only=True)
    async with app.run_test(size=(120, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(runs.jobs(runs.hostile()), (runs.hostile(),), NOW)
        for _ in range(3):
            shown.action_tab(1)
            await pilot.pause()
            assert all("\x1b" not in line and "\x07" not in line for line in screen_lines(app))
            assert "".join(shown.texts).isascii()


async def test_resizing_through_every_size() -> None:
    app = StageApp(panel())
    async with app.run_test(size=(160, 15)) as pilot:
        shown = app.query_one(ConversionPanel)
        shown.show(runs.jobs(runs.running()), (runs.running(),), NOW)
        for size in ((80, 3), (120, 8), (40, 2), (10, 5), (160, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert len(shown.texts) == size[1]
            assert any("RUN A3F2" in line or "CONVERSION" in line for line in shown.texts) or size[0] < 12
