"""The six things a person does at 80x24 by keyboard alone, and many things at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from textual.widgets import Input

from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.prune.review import ReviewScreen
from support import pictures, runs
from support.opening import opened, screen, until

SMALL = (80, 24)


async def test_see_how_full_each_cache_is() -> None:
    async with opened(SMALL) as (app, pilot):
        assert "101 GB on disk" in screen(app)
        await pilot.press("2")
        await until(pilot, lambda: "1.58 GB" in screen(app) and "318 MB" in screen(app))


async def test_find_the_biggest_repo_and_its_revisions() -> None:
    async with opened(SMALL) as (app, pilot):
        await pilot.press("slash")
        await pilot.press(*"llama")
        await pilot.press("escape")
        await pilot.press("f", *"llama", "enter", "right")
        await until(pilot, lambda: "32.1 GB" in screen(app) and "main" in screen(app))
        await pilot.press("right", "enter")
        await until(pilot, lambda: "AGAINST" in screen(app))


async def test_find_the_stale_kernels_and_why() -> None:
    async with opened(SMALL) as (app, pilot):
        await pilot.press("2", "f", *"sm_86", "enter")
        await until(pilot, lambda: "foreign-sm" in screen(app) and "no GPU here" in screen(app))


async def test_see_who_holds_vram() -> None:
    async with opened(SMALL) as (app, pilot):
        await pilot.press("3", "z")
        await until(pilot, lambda: "vllm serve" in screen(app) and "62.4 GiB" in screen(app))
        assert "Qwen2.5-VL-7B-Instruct" in screen(app)


async def test_convert_a_file_and_read_the_result(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n")
    async with opened(SMALL) as (app, pilot):
        await pilot.press("slash")
        await pilot.press(*str(tmp_path / "pa"))
        await until(pilot, lambda: "page.md" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StartDialog))
        await until(pilot, lambda: app.screen.query_one("#path", Input).value == str(page))
        await pilot.press("escape")
    run = runs.done()
    async with opened(SMALL, pictures.everything(jobs=runs.jobs(run), runs=(run,))) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "done" in screen(app))


async def test_prune_and_undo_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_CACHE", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("CACHETOP_STATE_DIR", str(tmp_path / "state"))
    async with opened(SMALL) as (app, pilot):
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("escape")
        await pilot.press("U")
        await until(pilot, lambda: any("No plan was executed" in str(toast.message) for toast in app._notifications))


async def test_with_many_things_the_loop_is_never_blocked_for_long() -> None:
    many = tuple(pictures.plain(f"org/model-{i:05}", 1e9 - i, 0.5, i) for i in range(5000))
    entries = tuple(pictures.entry("triton", f"kernel_{i}", f"sm_{80 + i % 10}", age=i) for i in range(20000))
    source = pictures.everything(models=pictures.models(*many), kernels=pictures.kernels(*entries))
    async with opened((120, 30), source) as (app, pilot):
        await until(pilot, lambda: "5,013 repos" in screen(app) and "20,020 entries" in screen(app))
        worst = 0.0
        stop = False

        async def beat() -> None:
            nonlocal worst
            while not stop:
                began = time.perf_counter()
                await asyncio.sleep(0.005)
                worst = max(worst, time.perf_counter() - began - 0.005)

        task = asyncio.create_task(beat())
        for key in ("down", "pagedown", "end", "home", "2", "end", "pageup", "right", "left", "1"):
            await pilot.press(key)
        stop = True
        await task
        assert worst < 0.5, f"the event loop was blocked for {worst * 1000:.0f} ms"
