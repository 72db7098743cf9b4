"""What hands do in the app: finding by typing, the menu, and keys typed ahead over a slow line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual import events
from textual.command import CommandPalette
from textual.events import Key
from textual.geometry import Size
from textual.widgets import Input

from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.registry import COMMANDS, Here, named
from cachetop_tui.dialogs.confirm import Confirm
from cachetop_tui.dialogs.fields import Press
from cachetop_tui.dialogs.menu import ContextMenu, MenuList, wanted
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.keyboard import Parser
from cachetop_tui.workbench.here import focused, here
from cachetop_tui.workbench.overview import Overview
from support import pictures, runs
from support.opening import opened, screen, until


def parsed(sequence: str) -> list[Key]:
    """What the app's parser makes of what came in one read."""
    parser = Parser()
    found = list(parser.feed(sequence))
    time.sleep(0.12)  # the time after which Escape is no longer the start of something
    return [event for event in (*found, *parser.tick()) if isinstance(event, Key)]


def under(app: CachetopApp) -> object:
    view = focused(app.overview)
    assert view is not None and view.cursor is not None
    return view.cursor.subject


# Finding


async def test_typing_goes_to_the_row_and_up_and_down_to_the_next_one() -> None:
    async with opened((120, 40)) as (app, pilot):
        models = app.overview.models
        await pilot.press("apostrophe", *"docling")
        await until(pilot, lambda: models.cursor is not None and "docling" in models.cursor.subject.id)
        assert "find docling" in screen(app)
        seen = set()
        for _ in range(4):
            assert models.cursor is not None
            seen.add(models.cursor.subject.id)
            await pilot.press("down")
        assert seen == {repo.id for repo in pictures.models().repos if "docling" in repo.id}
        here = under(app)
        await pilot.press("enter")
        await until(pilot, lambda: models.find is None and "find docling" not in screen(app))
        assert app.overview.tabs.current is None and under(app) == here
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)


async def test_escape_gives_it_up_and_what_is_nowhere_is_said() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("down", "down")
        before = under(app)
        await pilot.press("apostrophe", *"whisper")
        await until(pilot, lambda: under(app) is not before)
        await pilot.press(*"zz")
        await until(pilot, lambda: "in no row" in screen(app))
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: "in no row" not in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: under(app) == before)
        assert "find whisper" not in screen(app)


async def test_in_the_side_bar_letters_find_and_commands_keep_their_other_keys() -> None:
    async with opened((120, 30)) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: app.overview.pane == "side")
        await pilot.press(*"qwen")
        view = focused(app.overview)
        assert view is not None
        await until(pilot, lambda: view.cursor is not None and "Qwen2.5" in str(view.cursor.subject[0]))
        assert app.is_running, "q is a letter here"
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)
        await pilot.press("1")
        await until(pilot, lambda: app.overview.pane == "models")
        await pilot.press("b", "b")
        await until(pilot, lambda: app.overview.pane == "side")
        await pilot.press("b")
        await until(pilot, lambda: app.overview.pane == "models" and not app.query_one("#aside").display)


async def test_folding_all_leaves_the_caches_alone() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("2", "minus")
        kernels = app.overview.kernels
        await until(pilot, lambda: {row.kind for row in kernels.shown_rows} == {"cache"})
        await pilot.press("right")
        await until(pilot, lambda: any(row.kind == "sm" for row in kernels.shown_rows))


async def test_the_side_bar_of_the_settings_changes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("comma", "b")
        await until(pilot, lambda: app.overview.pane == "side" and "[app]" in screen(app))
        await pilot.press(*"title", "enter")
        await until(pilot, lambda: file.is_file() and "title = false" in file.read_text())
        await until(pilot, lambda: app.told.value("title", True) is False)


# The menu


async def test_the_right_button_opens_the_menu_of_what_it_points_at() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.click("#models", offset=(12, 4), button=3)
        await until(pilot, lambda: isinstance(app.screen, ContextMenu))
        chosen = app.overview.models.cursor
        assert chosen is not None and "Mistral" in chosen.subject.id, "the download belongs to the repo above it"
        menu = app.screen.query_one(MenuList)
        assert menu.region.x == 18 and menu.region.right <= 120 and menu.region.bottom <= 40
        await pilot.press(*["down"] * 2, "up", "enter")  # the second: mark
        await until(pilot, lambda: len(app.overview.models.marked) == 1)


@pytest.mark.parametrize("size", [(160, 45), (80, 24), (60, 20)])
async def test_the_menu_stays_within_the_terminal(size: tuple[int, int]) -> None:
    async with opened(size) as (app, pilot):
        for pane, last in (("models", "1"), ("kernels", "2"), ("gpus", "3"), ("conversion", "4")):
            await pilot.press(last, "end", "m")
            await until(pilot, lambda: isinstance(app.screen, ContextMenu))
            menu = app.screen.query_one(MenuList)
            assert menu.region.x >= 0 and menu.region.right <= size[0], pane
            assert menu.region.y >= 0 and menu.region.bottom <= size[1], pane
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.overview)


async def test_a_click_on_the_menus_edge_picks_nothing() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ContextMenu))
        menu = app.screen.query_one(MenuList)
        for edge in (0, menu.region.height - 1):
            await pilot.click(MenuList, offset=(4, edge))
            assert isinstance(app.screen, ContextMenu)
        await pilot.click(MenuList, offset=(4, 2))  # the second: mark
        await until(pilot, lambda: len(app.overview.models.marked) == 1)


async def test_a_commands_own_key_picks_it_and_a_click_beside_leaves() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ContextMenu))
        await pilot.press("z")
        await until(pilot, lambda: app.overview.maximised)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ContextMenu))
        await pilot.click(offset=(118, 38))
        await until(pilot, lambda: app.screen is app.overview)


async def test_only_what_applies_is_offered() -> None:
    run, done = runs.running(), runs.done()
    for shown, going in ((run, True), (done, False)):
        source = pictures.everything(jobs=runs.jobs(shown), runs=(shown,))
        async with opened((120, 40), source) as (app, pilot):
            await until(pilot, lambda app=app: app.overview.panel.selected_run is not None)  # type: ignore[misc]
            await pilot.press("4")
            offered = {command.id for command in wanted(here(app.overview))}
            assert ("runs.cancel" in offered) == going
            assert "runs.unload" in offered and "list.mark" not in offered and "tab.close" not in offered


def test_every_condition_of_a_command_is_one_of_here() -> None:
    fields = set(Here.__dataclass_fields__)
    assert {command.when for command in COMMANDS if command.when} <= fields
    everything = Here("models")
    assert named("list.open").enabled(everything) and not named("list.open").enabled(Here("models", row=False))


# Keys typed ahead


@pytest.mark.parametrize("sign", ["1", "5", "0", "/", ":", "?", ",", "[", "-", " ", "\r", "\t"])
def test_escape_and_what_is_no_letter_in_one_read_are_two_keys(sign: str) -> None:
    escape, key = parsed(f"\x1b{sign}")
    assert escape.key == "escape" and key.key == parsed(sign)[0].key


def test_alt_with_a_letter_and_longer_sequences_stay_what_they_are() -> None:
    assert [key.key for key in parsed("\x1bm")] == ["alt+m"]
    assert [key.key for key in parsed("\x1b\x7f")] == ["ctrl+w"]
    assert [key.key for key in parsed("\x1b[A")] == ["up"]
    assert [key.key for key in parsed("\x1bP\x1bO\x1bX\x1b[A")] == ["alt+shift+p", "alt+shift+o", "alt+shift+x", "up"]
    assert [key.key for key in parsed("\x1bm\x1bk\x1b[B")] == ["alt+m", "alt+k", "down"]
    assert [key.key for key in parsed("\x1bOQ\x1bH")] == ["f2", "alt+shift+h"]
    assert [key.key for key in parsed("\x1b2q")] == ["escape", "2", "q"]


@pytest.mark.parametrize("sequence", ["\x1b[27;6;80~", "\x1b[80;6u", "\x1b[112;6u"])
def test_a_chord_has_one_name_however_it_is_said(sequence: str) -> None:
    assert [key.key for key in parsed(sequence)] == ["ctrl+shift+p"]
    alt = sequence.replace("6", "4", 1)
    assert [(key.key, key.character) for key in parsed(alt)] == [("alt+shift+p", None)], "no doubt about Escape"


def test_what_is_typed_with_shift_is_text_and_no_chord() -> None:
    found = parsed("\x1b[27;2;65~\x1b[27;2;32~\x1b[63;2u\x1b[29~")
    assert [(key.key, key.character) for key in found] == [
        ("A", "A"), ("space", " "), ("question_mark", "?"), ("menu", None),
    ]  # fmt: skip
    assert parsed("\x1b[27;5;111~")[0].character is None, "Ctrl+O types nothing"


async def at_once(app: CachetopApp, sequence: str) -> None:
    """All keys of one read in the queue before the first is looked at."""
    for event in parsed(sequence):
        app.post_message(events.Key(event.key, event.character))


async def test_escape_and_a_digit_in_one_read_leave_the_document_and_go_there() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("comma")
        await until(pilot, lambda: app.overview.pane == "document")
        await at_once(app, "\x1b2")
        await until(pilot, lambda: app.overview.pane == "kernels" and app.overview.tabs.front == -1)


@pytest.mark.parametrize("after", ["2", "k"])
async def test_escape_closes_a_dialog_and_the_key_after_it_goes_to_what_was_below(after: str) -> None:
    """In a dialog Alt+K is no chord, so that it must have been Escape and k."""
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("down", "down", "n")
        await until(pilot, lambda: isinstance(app.screen, StartDialog))
        before = under(app)
        await at_once(app, f"\x1b{after}")
        await until(pilot, lambda: app.screen is app.overview)
        await until(pilot, lambda: app.overview.pane == "kernels" if after == "2" else under(app) != before)


async def test_a_command_and_its_text_in_one_read_end_up_in_the_line_that_it_opens() -> None:
    async with opened((120, 40)) as (app, pilot):
        await at_once(app, "/@whisper")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await until(pilot, lambda: "openai/whisper-large-v3-turbo" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)
        await at_once(app, "fgranite\r2")
        await until(pilot, lambda: app.overview.pane == "kernels")
        assert app.overview.models.view.filter == "granite"


async def test_a_key_is_sent_once_however_often_the_one_before_it_is_said_to_be_done() -> None:
    """The one before it is done with when it has been seen, and at the latest after a while: both may come at once."""
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("f")
        line = app.query_one("#filter", Input)
        await until(pilot, lambda: line.has_focus)
        before, held = Key("x", "x"), Key("a", "a")
        app._under_way, app._sent_from = before, app.screen
        await app.on_event(held)
        for _ in range(2):
            app._dealt_with(before)
        await until(pilot, lambda: line.value == "a" and app._under_way is None)


async def test_a_dialog_is_left_once() -> None:
    """A double click would answer twice, and start two conversions."""
    said: list[bool | None] = []
    async with opened((80, 24)) as (app, pilot):
        app.push_screen(Confirm("Really?", (), "Yes"), said.append)
        await until(pilot, lambda: bool(app.screen.query("#yes")))
        await pilot.pause()
        for _ in range(2):
            app.screen.query_one("#yes", Press).action_press()
        await until(pilot, lambda: app.screen is app.overview)
        await pilot.pause()
        assert said == [True]


async def test_two_sizes_at_once_do_not_call_each_other_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[Size] = []
    usual = Overview.on_resize

    def note(self: Overview, event: events.Resize) -> None:
        laid.append(event.size)
        usual(self, event)

    monkeypatch.setattr(Overview, "on_resize", note)
    async with opened((120, 40)) as (app, pilot):
        for size in ((120, 40), (100, 30)):
            await pilot.resize_terminal(*size)
            app.overview.post_message(events.Resize(Size(60, 20), Size(60, 20)))
        await pilot.pause(0.3)
        laid.clear()
        await pilot.pause(0.3)
        assert laid == [] and app.overview.size == (100, 30)


async def test_many_letters_at_once_arrive_in_order_and_without_waiting() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("f")
        text = "the quick brown fox jumps over the lazy dog"
        await at_once(app, text)
        line = app.query_one("#filter")
        await until(pilot, lambda: getattr(line, "value", "") == text)
