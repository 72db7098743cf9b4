"""The mouse on the status bar, on the tabs of the panel and on problems; and what keeps its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from cachetop.inventory.updates import WatchChanged
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.palette import Palette
from cachetop_tui.commands.quick import QuickOpen
from cachetop_tui.dialogs.keys import KeysScreen
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.prune.review import ReviewScreen
from cachetop_tui.workbench.status import Status
from support import pictures, runs
from support.opening import opened, screen, until

SIZES = [(160, 45), (120, 30), (80, 24), (60, 20)]
PANES = {"GPU": "gpus", "models": "models", "kernels": "kernels", "run": "conversion", "problems": "problems"}
"""What an item of the status bar begins or ends with -> where a click on it leads."""
DIALOGS: dict[str, type[Screen[Any]]] = {"commands": Palette, "keys": KeysScreen, "convert": StartDialog}
"""The last word of a key's item -> what a click on it opens."""


def busy() -> pictures.FakeInventory:
    """The samples with a run that goes on."""
    run = runs.running()
    return pictures.everything(jobs=runs.jobs(run), runs=(run,))


def said(app: CachetopApp) -> Iterator[str]:
    """What the app has told the person, newest last."""
    return (note.message for note in app._notifications)


@pytest.mark.parametrize("size", SIZES)
async def test_every_item_of_the_status_bar_leads_somewhere(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
    async with opened(size, busy()) as (app, pilot):
        status = app.query_one(Status)
        await until(pilot, lambda: any("run" in item.text for _, _, item in status.places))
        places = list(status.places)
        assert places[0][2].text == " gpubox " and places[0][0] == 0
        row = status.region.y
        assert all(screen(app).splitlines()[row][start:end] == item.text for start, end, item in places)
        for start, end, item in places:
            await pilot.press("2")
            await pilot.click("#status", offset=((start + end) // 2, 0))
            await pilot.pause()
            if item.text.strip() == "gpubox":
                await until(pilot, lambda: app.overview.pane == "document" and "SETTINGS" in screen(app))
                await pilot.press("w")
            elif (word := item.text.rpartition(" ")[2]) in DIALOGS:
                wanted = DIALOGS[word]
                await until(pilot, lambda wanted=wanted: isinstance(app.screen, wanted))  # type: ignore[misc]
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is app.overview)
            elif word == "filter":
                await until(pilot, lambda: app.focused is not None and app.focused.id == "filter")
                await pilot.press("escape")
            elif item.action.startswith("focus_pane"):
                pane = app.overview.pane
                assert item.action == f"focus_pane('{pane}')"
                assert pane == "problems" if "▲" in item.text else pane in PANES.values()
            elif not item.action:
                assert item.tip in said(app)
        assert "read-only" in screen(app).splitlines()[row]


async def test_a_watch_that_polls_leads_to_the_problem_and_says_why() -> None:
    source = pictures.everything()
    async with opened((80, 24), source) as (app, pilot):
        source.publish(WatchChanged("polling", "inotify: the limit of 8,192 watches is reached"))
        status = app.query_one(Status)
        await until(pilot, lambda: any(item.text == "polling" for _, _, item in status.places))
        start, _, item = next(place for place in status.places if place[2].text == "polling")
        await pilot.hover("#status", offset=(start, 0))
        assert status.tooltip == item.tip == "inotify: the limit of 8,192 watches is reached"
        await pilot.click("#status", offset=(start, 0))
        await until(pilot, lambda: app.overview.pane == "problems")


async def front(app: CachetopApp, pilot: Pilot[None], number: int) -> None:
    """Wait until a tab of the panel is in front: 4 are the problems."""
    if number == 4:
        await until(pilot, lambda: app.overview.pane == "problems" and app.overview.bottom == "problems")
    else:
        await until(pilot, lambda: app.overview.pane == "conversion" and app.overview.panel.tab == number)


@pytest.mark.parametrize("size", SIZES[:3])
async def test_the_tabs_of_the_panel_stay_where_they_are_whichever_is_in_front(size: tuple[int, int]) -> None:
    async with opened(size, busy()) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: bool(app.overview.panel.tab_places))
        places = app.overview.panel.tab_places
        for number in (1, 4, 2, 4, 3, 0):
            widget = "#problems" if app.overview.pane == "problems" else "#conversion"
            await pilot.click(widget, offset=(places[number][0] + 1, 1))
            await front(app, pilot, number)
            await pilot.pause()
            now = app.query_one("#problems" if number == 4 else "#conversion")
            assert now.tab_places == places  # type: ignore[attr-defined]
            line = screen(app).splitlines()[now.region.y + 1][now.region.x :]
            assert line[places[number][0] :].startswith(("CONVERSION", "RUNS", "EVENTS", "OUTPUT", "PROBLEMS")[number])


async def test_the_key_for_the_next_tab_goes_round_through_the_problems() -> None:
    async with opened((120, 30), busy()) as (app, pilot):
        await pilot.press("4")
        for number in (1, 2, 3, 4, 0):
            await pilot.press("v")
            await front(app, pilot, number)
        await pilot.press("V")
        await front(app, pilot, 4)
        await pilot.press("V")
        await front(app, pilot, 3)


async def test_a_second_click_on_a_problem_opens_the_review_that_mends_it() -> None:
    async with opened((120, 30)) as (app, pilot):
        await pilot.press("5")
        problems = app.query_one("#problems")
        line = next(y for y, text in enumerate(screen(app).splitlines()) if "foreign-sm" in text and "entry" in text)
        await pilot.click("#problems", offset=(20, line - problems.region.y), times=2)
        await until(
            pilot, lambda: isinstance(app.screen, ReviewScreen) or any("nothing" in one.lower() for one in said(app))
        )


@pytest.mark.parametrize("size", SIZES)
async def test_a_cursor_that_was_placed_is_seen_and_kept_while_another_pane_is_in_focus(size: tuple[int, int]) -> None:
    async with opened(size) as (app, pilot):
        for pane, view in (("1", app.overview.models), ("2", app.overview.kernels)):
            await pilot.press(pane, "down", "down", "down", "down", "down")
            placed = view.cursor
            assert placed is not None
            await pilot.press("3")
            await until(pilot, lambda: not app.overview.models.has_focus and app.overview.gpus.has_focus)
            await pilot.pause()
            grounds = [ground for _, ground, *_ in view._shown if ground]
            assert grounds in (["sel2"], []), "never as if it were the one that keys move"
            assert grounds == ["sel2"] or view.size.height <= 5
            assert "▎" not in view.texts[0]
            await pilot.press(pane)
            await until(pilot, lambda view=view: view.has_focus)  # type: ignore[misc]
            await pilot.pause()
            assert view.cursor == placed
            assert [ground for _, ground, *_ in view._shown if ground] == ["sel"]


@pytest.mark.parametrize(("pane", "rows"), [("2", 2), ("3", 1), ("4", 0)])
async def test_escape_leads_back_to_where_a_document_was_opened(pane: str, rows: int) -> None:
    run = runs.done()
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    async with opened((120, 30), source) as (app, pilot):
        await pilot.press(pane, *["down"] * rows, "enter")
        await until(pilot, lambda: app.overview.pane == "document")
        await pilot.press("escape")
        await until(pilot, lambda: app.overview.pane == {"2": "kernels", "3": "gpus", "4": "conversion"}[pane])


async def test_from_a_report_a_key_leads_to_what_the_run_wrote() -> None:
    run = runs.done()
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    async with opened((80, 24), source) as (app, pilot):
        await pilot.press("4")
        assert "e result" in screen(app) and "Enter report" in screen(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.pane == "document")
        assert "e result" in screen(app)
        await pilot.press("e")
        await until(pilot, lambda: any(tab.document.trail[-1] == "result" for tab in app.overview.tabs.tabs))
        await pilot.press("escape")
        await until(pilot, lambda: app.overview.pane == "conversion")


async def test_above_the_overview_stands_the_whole_name_of_what_is_under_the_cursor() -> None:
    async with opened((120, 30)) as (app, pilot):
        assert screen(app).splitlines()[0].startswith(" cachetop   models › Qwen/Qwen2.5-VL-7B-Instruct ")
        await pilot.press("down")
        whole = "models › mistralai/Mistral-Small-3.2-24B-Instruct-2506"
        await until(pilot, lambda: whole in screen(app).splitlines()[0])
        await pilot.press("2", "down", "down")
        await until(pilot, lambda: "kernels › inductor › sm_90 › triton_red_fused" in screen(app).splitlines()[0])
        await pilot.press("3", "down")
        await until(pilot, lambda: "gpu › GPU 0 › pid 2210" in screen(app).splitlines()[0])
        await pilot.press("4")
        await until(pilot, lambda: "runs" in screen(app).splitlines()[0])
        await pilot.press("5")
        await until(pilot, lambda: "problems › dead-partial › google/gemma-3-12b-it" in screen(app).splitlines()[0])
        await pilot.click("#top", offset=(screen(app).splitlines()[0].index("go to"), 0))
        await until(pilot, lambda: isinstance(app.screen, QuickOpen))


async def test_in_the_gpu_pane_the_cursor_stands_on_gpus_processes_and_models_alone() -> None:
    async with opened((160, 45)) as (app, pilot):
        await pilot.press("3")
        gpus = app.overview.gpus
        seen = []
        for _ in range(20):
            assert gpus.cursor is not None
            seen.append(gpus.cursor.subject.text)
            await pilot.press("down")
        assert len(set(seen)) == 10, "two GPUs, five processes, three models"
        assert [text for text in seen if text.startswith("GPU ")] == [seen[0], seen[3]]
        await pilot.press("home", *["down"] * 5)
        assert gpus.cursor is not None and "Qwen2.5-VL-7B-Instruct" in gpus.cursor.subject.text
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)
        current = app.overview.tabs.current
        assert current is not None and current.document.trail == ("models", "Qwen/Qwen2.5-VL-7B-Instruct")


async def test_a_thumb_says_which_part_of_a_long_list_is_in_sight() -> None:
    async with opened((80, 24)) as (app, pilot):
        models = app.overview.models

        def thumb() -> list[int]:
            edge = models.region.right - 1
            lines = screen(app).splitlines()[models.region.y : models.region.bottom]
            return [y for y, text in enumerate(lines) if text[edge] == "▐"]

        first = thumb()
        assert first and first[0] == 2, "below the headers"
        await pilot.press("end")
        await pilot.pause()
        assert thumb() and thumb()[-1] == models.size.height - 1
        await pilot.press("f", *"bge", "enter")
        await pilot.pause()
        assert thumb() == [], "everything is in sight"
