"""What the app does with repos: warm, drop, verify, presets, on real caches and through its keys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cachetop.base.residency import resident_fd
from cachetop_tui.app import CachetopApp
from cachetop_tui.dialogs.confirm import Confirm
from cachetop_tui.model_tasks import Task
from cachetop_tui.workbench.here import here
from support import hubcache
from support.live_models import live
from support.opening import screen, until

SIZE = 4 << 20


def written(cache: Path, name: str = "org/model") -> Path:
    """A repo with one large blob that is on the disk, so that the kernel can let go of it."""
    made = hubcache.repo(cache, name)
    path = made.file("model.bin", name.encode() * (SIZE // len(name)))
    made.ref()
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return path


def in_ram(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return resident_fd(descriptor)
    finally:
        os.close(descriptor)


def shown(app: CachetopApp) -> str:
    return " ".join(screen(app).split())


async def test_drop_asks_first_and_warm_brings_it_back(cache: Path) -> None:
    path = written(cache)
    async with live() as (app, pilot):
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")  # Cancel has the focus
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert app.overview.model_task is None and in_ram(path) == path.stat().st_size
        await pilot.press("D", "left", "enter")
        await until(pilot, lambda: "Drop from RAM" in shown(app) and "ended after" in shown(app))
        if in_ram(path):
            pytest.skip("this file system does not let go of pages when asked")
        assert "org/model: 0 B of 4.19 MB in RAM, before 4.19 MB" in shown(app)
        await pilot.press("escape", "W")
        await until(pilot, lambda: "Warm Now" in shown(app) and "ended after" in shown(app))
        assert in_ram(path) == path.stat().st_size
        await pilot.press("escape")
        await until(pilot, lambda: "100%" in shown(app) or "100 %" in shown(app))


async def test_verify_all_says_what_is_damaged_and_why(cache: Path) -> None:
    hubcache.healthy(cache, "org/good")
    path = written(cache, "org/bad")
    path.write_bytes(b"x" * 100)
    async with live() as (app, pilot):
        await pilot.press("A")
        await until(pilot, lambda: "1 damaged" in shown(app))
        assert "org/bad model.bin" in shown(app) and "download the repo again" in shown(app)
        await pilot.press("escape")
        app.overview.models.set_filter("good")
        await pilot.press("C")
        await until(pilot, lambda: "checked earlier" in shown(app))
        assert "damaged" not in shown(app), "this was about one repo"


async def test_damage_is_shown_as_it_is_found_and_stays_a_problem_until_it_is_mended(cache: Path) -> None:
    made = hubcache.repo(cache, "org/huge")
    huge = made.blob(b"", "e" * 64)
    os.truncate(huge, 200 << 30)  # minutes of reading
    made.link("model.bin", f"../../blobs/{huge.name}")
    made.ref()
    path = written(cache, "org/bad")
    content = path.read_bytes()
    path.write_bytes(b"x" * 100)

    def corrupt(app: CachetopApp) -> list[tuple[str, str | None]]:
        return [(one.subject, one.fix) for one in app.overview.picture.problems if one.rule == "corrupt"]

    fix = f"hf download org/bad model.bin --revision {hubcache.COMMIT} --force-download"
    async with live((120, 30)) as (app, pilot):
        await pilot.press("A")
        await until(pilot, lambda: "org/bad model.bin" in shown(app) and fix in shown(app))
        task = app.overview.model_task
        assert task is not None and task.state.going, "it is told while the check goes on"
        await until(pilot, lambda: corrupt(app) == [("org/bad", fix)])
        await pilot.press("X")
        await until(pilot, lambda: not task.state.going)
    async with live((120, 30)) as (app, pilot):  # another start
        await until(pilot, lambda: corrupt(app) == [("org/bad", fix)])
        await pilot.press("5")
        await until(pilot, lambda: "✗ corrupt org/bad 1 file is damaged" in shown(app) and fix in shown(app))
        fresh = path.with_name("fresh")
        fresh.write_bytes(content)
        fresh.replace(path)
        await until(pilot, lambda: corrupt(app) == [])


async def test_cancel_stops_a_check_and_keeps_what_was_done(cache: Path) -> None:
    made = hubcache.repo(cache, "org/huge")
    huge = made.blob(b"", "e" * 64)
    os.truncate(huge, 200 << 30)  # minutes of reading
    made.link("model.bin", f"../../blobs/{huge.name}")
    made.ref()
    written(cache, "org/model")
    async with live() as (app, pilot):
        await pilot.press("A")
        task = app.overview.model_task
        assert task is not None
        await until(pilot, lambda: task.state.done > 0 and "cancels" in shown(app))
        assert here(app.screen).task
        await pilot.press("X")
        await until(pilot, lambda: not task.state.going)
        found = task.state.found
        assert found is not None and not found.complete and found.damaged == 0
        await until(pilot, lambda: "Cancelled" in shown(app))
        assert not here(app.screen).task


async def test_one_at_a_time(cache: Path) -> None:
    written(cache)
    async with live() as (app, pilot):
        (repo,) = app.overview.picture.models.repos if app.overview.picture.models else ()
        going = app.overview.model_task = Task("verify", [(repo, None)])
        await pilot.press("W")
        await pilot.pause()
        assert app.overview.model_task is going


async def test_read_only_has_no_warming_and_no_dropping(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
    path = written(cache)
    async with live() as (app, pilot):
        await pilot.press("D", "W")
        await pilot.pause()
        assert app.overview.model_task is None and not isinstance(app.screen, Confirm)
        await pilot.press("C")
        await until(pilot, lambda: "1 sound" in shown(app))
        assert in_ram(path) == path.stat().st_size


async def test_presets_filter_and_sort(cache: Path) -> None:
    hubcache.healthy(cache, "org/big", weights=200_000)
    old = hubcache.healthy(cache, "org/old", weights=90_000)
    old.file("config.json", b"new", commit=hubcache.OTHER)
    hubcache.healthy(cache, "org/small", weights=1000)
    hubcache.repo(cache, "org/half").partial("e" * 64, b"x" * 5000)
    now = time.time()
    for name, days in (("big", 3), ("small", 9)):
        for blob in (cache / f"models--org--{name}" / "blobs").iterdir():
            os.utime(blob, (now - days * 86_400, now - 20 * 86_400))
    async with live() as (app, pilot):

        def listed() -> list[str]:
            return [row.subject.id.removeprefix("org/") for row in app.overview.models.shown_rows if row.kind == "repo"]

        wanted = {
            "biggest": ["big", "old", "small", "half"],
            "longest unused": ["small", "big"],
            "superseded": ["old"],
            "stale partials": ["half"],
            "all": ["big", "old", "half", "small"],
        }
        for expected in wanted.values():
            await pilot.press("p")
            await pilot.pause()
            assert listed()[: len(expected)] == expected
        assert app.overview.models.view.filter == ""


async def test_a_repo_without_rows_offers_nothing_to_do(cache: Path) -> None:
    async with live() as (app, pilot):
        offered = here(app.screen)
        assert not offered.repo and not offered.repos and not offered.task
        await pilot.press("W", "C")
        await pilot.pause()
        assert app.overview.model_task is None
