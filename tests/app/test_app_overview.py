"""The app in a terminal of every size, driven by keys, fed by an inventory that touches no disk."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time

import pytest
from rich.segment import Segment
from textual import events
from textual.color import Color
from textual.command import CommandList, CommandPalette
from textual.renderables.background_screen import BackgroundScreen
from textual.style import Style
from textual.visual import RenderOptions

from cachetop.inventory.updates import GpusChanged, KernelsChanged, ModelsChanged, RunsChanged, WatchChanged
from cachetop_tui import ahead
from cachetop_tui.app import CachetopApp
from cachetop_tui.arrivals import ModelsArrived
from cachetop_tui.dialogs.dialog import Dimmed
from cachetop_tui.dialogs.keys import KeysScreen
from cachetop_tui.dialogs.start import StartDialog
from support import pictures, runs
from support.opening import opened, screen, until

SIZES = [(160, 45), (120, 30), (80, 24), (60, 20)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_repos_are_in_sight_at_every_size(size: tuple[int, int]) -> None:
    async with opened(size) as (app, _):
        text = screen(app)
        assert "Qwen2.5-VL-7B-Instruct" in text
        assert "docling-models" in text
        assert "docling-layout-heron" in text
        assert "MODELS" in text and "KERNELS" in text and "GPU VRAM" in text
        assert "gpubox" in text.splitlines()[-1]
        assert len(text.splitlines()) == size[1]


@pytest.mark.parametrize("size", [(160, 45), (120, 30)])
async def test_sm_groups_are_in_sight_where_there_is_room(size: tuple[int, int]) -> None:
    async with opened(size) as (app, _):
        text = screen(app)
        assert {"sm_90", "sm_86", "sm_75"} <= set(re.findall(r"sm_\d+", text))
        assert "building" in text


@pytest.mark.parametrize("pane", ["1", "2", "3", "4"])
@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_the_pane_in_focus_grows_and_the_others_stay_in_sight(size: tuple[int, int], pane: str) -> None:
    async with opened(size) as (app, pilot):
        await pilot.press(pane)
        await pilot.pause()
        text = screen(app)
        assert "MODELS" in text and "KERNELS" in text and "GPU VRAM" in text
        heights = {name: app.query_one(f"#{name}").size.height for name in ("models", "kernels", "gpus", "conversion")}
        assert max(heights, key=lambda name: heights[name]) == app.overview.pane
        assert sum(heights.values()) + 2 == size[1]


async def test_tab_goes_round_and_back() -> None:
    async with opened() as (app, pilot):
        seen = []
        for _ in range(4):
            await pilot.press("tab")
            await pilot.pause()
            seen.append(app.overview.pane)
        assert seen == ["kernels", "gpus", "conversion", "models"]
        await pilot.press("shift+tab")
        await pilot.pause()
        assert app.overview.pane == "conversion"


async def test_right_unfolds_and_enters_left_folds_and_leaves() -> None:
    async with opened() as (app, pilot):
        models = app.overview.models
        await pilot.press("right")
        assert models.cursor is not None and models.cursor.open
        assert any("main" in line for line in models.texts)
        await pilot.press("right", "right")
        assert models.cursor.kind == "file"
        await pilot.press("left")
        assert models.cursor.kind == "revision"
        await pilot.press("left", "left", "left")
        assert models.cursor.kind == "repo" and models.cursor.open is False


async def test_the_cursor_stays_on_its_row_when_rows_come_and_go() -> None:
    async with opened() as (app, pilot):
        await pilot.press("down", "down", "down")
        models = app.overview.models
        before = models.cursor
        assert before is not None
        bigger = pictures.plain("zzz/enormous", 900e9, 0.0, 5)
        app.feed._source.publish(ModelsChanged(pictures.models(bigger)))  # type: ignore[attr-defined]
        await until(pilot, lambda: any("enormous" in line for line in models.texts) or len(models._rows) > 14)
        assert models.cursor is not None and models.cursor.key == before.key
        order = [row.key for row in models._rows if row.kind == "repo"]
        assert order[:4] == [key for key in order[:4] if "zzz" not in key]


async def test_the_end_is_reached_and_the_first_row_again() -> None:
    async with opened((80, 24)) as (app, pilot):
        await pilot.press("end")
        assert "all-MiniLM-L6-v2" in screen(app)
        await pilot.press("home")
        await pilot.pause()
        assert "Qwen2.5-VL-7B-Instruct" in screen(app)


async def test_a_click_selects_and_a_click_on_the_twisty_unfolds() -> None:
    async with opened() as (app, pilot):
        await pilot.click("#kernels", offset=(12, 3))
        await pilot.pause()
        assert app.overview.pane == "kernels"
        assert app.overview.kernels.cursor is not None and app.overview.kernels.cursor.kind == "sm"
        await pilot.click("#models", offset=(1, 2))
        await pilot.pause()
        assert any("main" in line for line in app.overview.models.texts)


async def test_a_new_kernel_is_marked_and_the_mark_goes() -> None:
    source = pictures.everything()
    async with opened((80, 24), source) as (app, pilot):
        kernels = app.overview.kernels
        await until(pilot, lambda: kernels.shown is not None)
        entry = pictures.entry("triton", "flash_fwd_new", "sm_75", age=0)
        source.publish(KernelsChanged(pictures.kernels(entry), frozenset({(entry.cache, entry.path)})))
        await until(pilot, lambda: "flash_fwd_new" in screen(app))
        assert "● flash_fwd_new new" in kernels.texts[0]
        kernels._fresh = {key: (born - 60, name) for key, (born, name) in kernels._fresh.items()}
        kernels.view.fresh = kernels._fresh
        kernels._fade()
        await pilot.pause()
        assert "flash_fwd_new new" not in kernels.texts[0]


@pytest.mark.parametrize("size", SIZES)
async def test_without_a_driver_everything_else_works(size: tuple[int, int]) -> None:
    async with opened(size, pictures.everything(gpus=pictures.NO_DRIVER)) as (app, pilot):
        await until(pilot, lambda: "no GPU" in screen(app))
        await pilot.press("3")
        await pilot.pause()
        text = " ".join(screen(app).replace("│", " ").split())
        assert "There is no NVIDIA driver here" in text
        assert "13 repos" in text and "20 entries" in text
        assert "Mistral-Small" in text or size == (60, 20)


async def test_before_the_first_look_it_says_that_it_looks() -> None:
    async with opened((120, 30), pictures.FakeInventory()) as (app, _):
        assert "scanning …" in screen(app)
        assert "0 repos" not in screen(app)


@pytest.mark.parametrize("size", [(120, 30), (80, 24)])
async def test_hostile_names_are_drawn_literally(size: tuple[int, int]) -> None:
    repo = pictures.plain("[red]evil[/]/\x1b[2Jboo漢字", 999e9, 0.5, 1)
    source = pictures.everything(models=pictures.models(repo))
    async with opened(size, source) as (app, pilot):
        await pilot.press("r", "f", *"boo")
        await pilot.pause()
        text = screen(app)
        assert "boo漢字" in text and "[2J" in text
        assert "\x1b" not in text


async def test_quitting_is_one_key_and_exit_code_0() -> None:
    source = pictures.everything()
    app = CachetopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: source.running)
        await pilot.press("q")
    assert app.return_code == 0
    assert not source.running and not source.listeners


@pytest.mark.parametrize("key", ["f1", "colon"])
async def test_the_palette_runs_a_command(key: str) -> None:
    async with opened() as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"kernels: focus")
        found = app.screen.query_one(CommandList)
        await until(pilot, lambda: found.option_count == 1 and found.highlighted == 0)
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.pane == "kernels")


async def test_help_lists_the_keys() -> None:
    async with opened() as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))
        assert "Esc closes" in screen(app) and "Repos, revisions and files" in screen(app)
        for _ in range(30):
            if "Show the run before this one" in screen(app):
                break
            await pilot.press("pagedown")
        assert "Show the run before this one" in screen(app)


async def test_what_a_key_may_need_is_imported_once_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[threading.Thread] = []
    monkeypatch.setattr(ahead, "AFTER", 0.01)
    monkeypatch.setattr(ahead, "load", lambda: where.append(threading.current_thread()))
    async with opened() as (app, pilot):
        await until(pilot, lambda: bool(where))
        app.overview.take(ModelsArrived(pictures.models()))
        await pilot.pause(0.1)
    assert len(where) == 1 and where[0] is not threading.main_thread()


async def test_what_is_behind_a_dialog_is_dimmed_as_textual_does_it() -> None:
    async with opened((80, 24)) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))
        behind = BackgroundScreen(app.overview, Color.parse("#101020").with_alpha(0.6))
        rendered = app.console.render(behind, app.console_options)
        theirs = Segment.split_and_crop_lines(rendered, 80, include_new_lines=False)
        ours = Dimmed(behind).render_strips(80, 24, Style.null(), RenderOptions(lambda _: Style.null(), {}))
        assert [list(Segment.simplify(strip)) for strip in ours] == [list(Segment.simplify(line)) for line in theirs]
        assert len(ours) == 24 and "MODELS" in "".join(strip.text for strip in ours)


def test_whatever_a_key_opens_is_imported_ahead() -> None:
    program = (
        "import pkgutil, sys, cachetop_tui.app, cachetop_tui\n"
        "from cachetop_tui import ahead, dialogs, documents, prune\n"
        "ahead._PAUSE = 0\n"
        "ahead.load()\n"
        "rooms = [dialogs, documents, prune]\n"
        "names = [m.name for r in rooms for m in pkgutil.iter_modules(r.__path__, r.__name__ + '.')]\n"
        "print(len(names), *[name for name in names if name not in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *lacking = done.stdout.split()
    assert int(count) > 25 and lacking == []


async def test_n_asks_what_to_convert() -> None:
    async with opened() as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, StartDialog))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)


async def test_the_filter_narrows_stays_and_goes() -> None:
    async with opened() as (app, pilot):
        models = app.overview.models
        await pilot.press("f", *"doclingq")
        await pilot.press("backspace", "enter")
        await pilot.pause()
        assert [row.kind for row in models.rows(80, 20)].count("repo") == 3
        assert models.has_focus and "filter: docling" in screen(app)
        await pilot.press("f", "escape")
        await pilot.pause()
        assert [row.kind for row in models.rows(80, 20)].count("repo") == 13


async def test_maximise_gives_a_pane_everything_and_shares_again() -> None:
    async with opened() as (app, pilot):
        await pilot.press("2", "z")
        await pilot.pause()
        assert app.overview.kernels.size.height == 28 and "GPU VRAM" not in screen(app)
        await pilot.press("z")
        await pilot.pause()
        assert "GPU VRAM" in screen(app) and "MODELS" in screen(app)


async def test_rescan_asks_the_inventory() -> None:
    source = pictures.everything()
    async with opened((80, 24), source) as (_, pilot):
        await pilot.press("r")
        await until(pilot, lambda: source.scans == 1)


async def test_themes_change_the_colours_and_nothing_else() -> None:
    async with opened() as (app, pilot):
        app.theme = "cachetop-dark"
        await pilot.pause()
        texts, colours = [], []
        for _ in range(3):
            texts.append(screen(app))
            strips = app.screen._compositor.render_strips()
            colours.append({str(segment.style.bgcolor) for strip in strips for segment in strip if segment.style})
            await pilot.press("t")
            await pilot.pause()
        assert len({frozenset(one) for one in colours}) == 3
        assert texts[0].replace("▉", "█") == texts[1].replace("▉", "█")


async def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened() as (app, pilot):
        for key in ("f1", "escape", "n"):
            strips = app.screen._compositor.render_strips()
            styles = {segment.style for strip in strips for segment in strip if segment.style}
            colours = {color for style in styles for color in (style.color, style.bgcolor) if color is not None}
            assert all(color.is_default for color in colours), (key, colours)
            assert any(style.reverse for style in styles)
            await pilot.press(key)
            await pilot.pause(0.1)


async def test_ascii_means_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHETOP_ASCII", "1")
    run = runs.running()
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    for size in SIZES:
        async with opened(size, source) as (app, pilot):
            await until(pilot, lambda: "17 of 40" in screen(app))
            assert screen(app).isascii()
            assert "aaaaaa" in screen(app) or size == (60, 20)  # thin bars there, without letters
            await pilot.press("f1")
            await until(pilot, lambda: "Kernels: Focus" in screen(app))
            assert screen(app).isascii()


async def test_a_terminal_may_grow_and_shrink() -> None:
    async with opened((160, 45)) as (app, pilot):
        for size in [(80, 24), (60, 20), (120, 30), (50, 10), (160, 45), (80, 24)]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            text = screen(app)
            assert len(text.splitlines()) == size[1]
            if size == (50, 10):
                assert "needs 56 columns and 16 rows" in " ".join(text.split())
            else:
                assert "Qwen2.5-VL-7B-Instruct" in text


async def test_nothing_is_sent_when_nothing_changed() -> None:
    source = pictures.everything()
    async with opened((160, 45), source) as (app, pilot):
        await until(pilot, lambda: "inotify" in screen(app))
        painted: list[object] = []
        for pane in (app.overview.models, app.overview.kernels, app.overview.gpus):
            pane.refresh = lambda *regions, **_: painted.append(regions)  # type: ignore[method-assign, assignment]
        source.publish(GpusChanged(pictures.gpus()))
        source.publish(ModelsChanged(pictures.models()))
        source.publish(KernelsChanged(pictures.kernels()))
        await pilot.pause(0.1)
        assert painted == []
        source.publish(GpusChanged(pictures.gpus(busy=62)))
        await until(pilot, lambda: bool(painted))
        assert [len(regions) for regions in painted] == [1]  # type: ignore[arg-type]


async def test_the_status_bar_says_how_changes_are_noticed_and_what_runs() -> None:
    run = runs.running()
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    async with opened((160, 45), source) as (app, pilot):
        source.publish(WatchChanged("polling", "the folder is on a network file system"))
        await until(pilot, lambda: "watch polling" in screen(app))
        assert "1 run" in screen(app).splitlines()[-1]
        bar = [text[:6].strip() for text in screen(app).splitlines()]
        assert bar[bar.index("4 R") + 1] == "1", "the activity bar counts it"
        source.publish(RunsChanged(runs.jobs(runs.done()), (runs.done(),)))
        await until(pilot, lambda: "1 run" not in screen(app).splitlines()[-1])


async def test_thousands_of_rows_stay_quick() -> None:
    many = tuple(pictures.plain(f"org/model-{i:05}", 1e9 - i, 0.5, i) for i in range(5000))
    entries = tuple(pictures.entry("triton", f"kernel_{i}", f"sm_{80 + i % 10}", age=i) for i in range(20000))
    source = pictures.everything(models=pictures.models(*many), kernels=pictures.kernels(*entries))
    async with opened((120, 30), source) as (app, pilot):
        await until(pilot, lambda: "5,013 repos" in screen(app))
        start = time.process_time()
        app.overview.kernels.update_lines()
        app.overview.models.update_lines()
        assert time.process_time() - start < 0.5
        await pilot.press("end")
        await pilot.pause()
        cursor = app.overview.models.cursor
        assert cursor is not None and cursor.key == app.overview.models._rows[-1].key


async def test_keys_typed_at_once_go_where_the_first_of_them_leads() -> None:
    async with opened((160, 45)) as (app, pilot):
        models, kernels = app.overview.models, app.overview.kernels
        there, begin = models.cursor, kernels.cursor
        for key in ("2", "down", "down", "down", "enter"):  # all in the queue before the first one is looked at
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.overview.pane == "kernels")
        await pilot.pause()
        assert models.cursor == there and kernels.cursor != begin
        assert not [one for one in app.overview.tabs.tabs if one.document.key.startswith("repo")]


async def test_every_total_of_the_models_is_the_same_number() -> None:
    async with opened((160, 45)) as (app, _):
        text = screen(app)
        header = re.search(r"repos   (\S+ \S+) on disk", text)
        status = re.search(r"models (\S+ \S+)", text.splitlines()[-1])
        assert header and status and header[1] == status[1]
