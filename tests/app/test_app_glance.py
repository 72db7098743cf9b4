"""Below the tree of the side bar: the chosen cache's facts, what could go, the last runs, the disks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from cachetop.base.disks import Disk
from cachetop.conversion.records import Notice
from cachetop.inventory.updates import ModelsChanged, RunsChanged
from cachetop.prune.records import Plan
from cachetop.prune.selection import Selection
from cachetop.prune.work import Draft
from cachetop_tui.app import CachetopApp
from cachetop_tui.prune import opening
from cachetop_tui.prune.review import ReviewScreen
from cachetop_tui.workbench.glance import Glance
from support import pictures, runs
from support.opening import opened, until

FULL = (160, 45)


async def known(pilot: Pilot[None], app: CachetopApp) -> Glance:
    """The sections, once everything in them is known."""
    await until(pilot, lambda: app.overview.picture.outlook is not None and len(app.query_one(Glance).shown_rows) > 8)
    await pilot.pause()
    return app.query_one(Glance)


async def to(pilot: Pilot[None], glance: Glance, key: str) -> None:
    """Put the cursor there and stand on a row."""
    await pilot.press("B")
    glance._go(next(i for i, row in enumerate(glance.shown_rows) if row.key.startswith(key)))
    await pilot.pause()


async def test_what_could_go_is_counted_and_what_is_unknown_says_so() -> None:
    source = pictures.FakeInventory()
    async with opened(FULL, source) as (app, pilot):
        glance = app.query_one(Glance)
        await until(pilot, lambda: any("? stale kernels" in line for line in glance.texts))
        assert [line for line in glance.texts if "detached" in line or "partials" in line or "unused" in line] == [
            "▲  ? detached revs  ?", "✗  ? dead partials  ?", "○  ? unused > 30 d  ?",
        ]  # fmt: skip
        source.publish(ModelsChanged(pictures.models()))
        await until(pilot, lambda: any("1 detached rev  16.1 GB" in line for line in glance.texts))
        assert any("1 dead partial  2.21 GB" in line for line in glance.texts)
        assert any("3 unused > 30 d" in line for line in glance.texts)
        assert any("? stale kernels" in line for line in glance.texts)


async def test_the_disks_say_how_full_they_are_and_which_is_memory() -> None:
    async with opened(FULL) as (app, pilot):
        glance = await known(pilot, app)
        lines = [" ".join(line.split()) for line in glance.texts]
        assert "/home 81 % 342 GB" in lines and "/tmp tmpfs 10 % 30.3 GB" in lines


async def test_the_facts_follow_the_cursor_of_the_tree() -> None:
    async with opened(FULL) as (app, pilot):
        glance = await known(pilot, app)
        assert any("huggingface/hub" in line for line in glance.texts)
        assert "default: no variable set" in glance.texts and "ext4 on /home" in glance.texts
        await pilot.press("2", "b", "b")
        await until(pilot, lambda: any("inductor_ana" in line for line in glance.texts))
        assert "tmpfs: gone after reboot" in glance.texts
        side = app.query_one("#side")
        await until(pilot, lambda: app.focused is side)
        await pilot.press("down", "down")
        await until(pilot, lambda: any("triton/cache" in line for line in glance.texts))


async def test_enter_filters_the_pane_and_the_filter_shows_what_was_counted() -> None:
    async with opened(FULL) as (app, pilot):
        glance = await known(pilot, app)
        await to(pilot, glance, "can\0stale")
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.pane == "kernels")
        kernels = app.overview.kernels
        assert kernels.view.filter == "stale"
        entries = [row.subject for row in kernels.shown_rows if row.kind == "entry"]
        assert len(entries) == 3 and all(entry.stale for entry in entries)
        for name, wanted in (("detached", 1), ("partials", 1), ("unused", 3)):
            await to(pilot, glance, f"can\0{name}")
            await pilot.press("enter")
            await until(pilot, lambda: app.overview.pane == "models")
            assert sum(row.kind == "repo" for row in app.overview.models.shown_rows) == wanted


@pytest.mark.parametrize("name", ["stale", "detached"])
async def test_del_opens_the_review_of_its_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Selection] = []

    def plan(selections: tuple[Selection, ...], **_: object) -> Draft:
        planned.extend(selections)
        return Draft(Plan(id="0" * 12, items=(), frees=0, blocked=()), [], {}, False, 0)

    monkeypatch.setattr(opening, "plan", plan)
    async with opened(FULL) as (app, pilot):
        glance = await known(pilot, app)
        await to(pilot, glance, f"can\0{name}")
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
    assert [(one.what, one.stale, one.detached) for one in planned] == [
        ("kernels", True, False) if name == "stale" else ("models", False, True)
    ]


async def test_runs_say_how_they_stand_and_enter_opens_the_report() -> None:
    run, before = runs.running(), runs.done()
    before = replace(before, job=replace(before.job, id="20261123-135520-9c1d"))
    why = (Notice(level="error", message="encrypted", hint=None, time=runs.T0),)
    broken = replace(before, job=replace(before.job, id="20261123-101010-0bad", state="failed"), notices=why)
    three = (run, before, broken)
    source = pictures.everything(jobs=runs.jobs(*three), runs=three)
    async with opened(FULL, source) as (app, pilot):
        glance = await known(pilot, app)
        await until(pilot, lambda: any("encrypted" in line for line in glance.texts))
        assert [line.split("  ")[0] for line in glance.texts if "annual" in line] == ["○", "✓", "✗"]
        assert any("17 of 40" in line for line in glance.texts) and "RUNS  3 of 3" in " ".join(glance.texts)
        await to(pilot, glance, "run\x0020261123-1355")
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)
        tab = app.overview.tabs.current
        assert tab is not None and tab.document.key.endswith("9c1d")
        source.publish(RunsChanged(runs.jobs(before), (before,)))
        await until(pilot, lambda: any("1 of 1" in line for line in glance.texts))


async def test_the_arrows_lead_from_the_tree_into_the_sections_and_back() -> None:
    async with opened(FULL) as (app, pilot):
        glance = await known(pilot, app)
        await pilot.press("b", "b")
        await until(pilot, lambda: app.overview.pane == "side")
        await pilot.press("end", "down")
        await until(pilot, lambda: app.focused is glance)
        assert app.overview.pane == "glance"
        await pilot.press("up")
        await until(pilot, lambda: app.overview.pane == "side")


@pytest.mark.parametrize("size", [(120, 30), (80, 24), (60, 20)])
async def test_only_whole_sections_that_fit_are_shown(size: tuple[int, int]) -> None:
    async with opened(size) as (app, pilot):
        await until(pilot, lambda: app.overview.picture.outlook is not None)
        await pilot.press("b")
        side = app.query_one("#side")
        await until(pilot, lambda: side.size.height > 0)
        await pilot.pause()
        glance = app.query_one(Glance)
        room = side.parent.size.height  # type: ignore[union-attr]
        assert side.size.height >= min(16, room)
        shown = {row.key for row in glance.shown_rows} if glance.display else set()
        for section, last in (("CAN GO", "can\0unused"), ("DISK", "disk\0/tmp")):
            assert (section in shown) == (last in shown)


async def test_where_there_is_no_room_it_says_so() -> None:
    async with opened((80, 24)) as (app, pilot):
        await until(pilot, lambda: app.overview.picture.outlook is not None)
        await pilot.press("B")
        await until(pilot, lambda: any("no room below the tree" in one.message for one in app._notifications))
        assert app.overview.pane != "glance"


async def test_a_disk_that_hangs_holds_back_neither_numbers_nor_leaving() -> None:
    hangs = threading.Event()

    class Hung(pictures.FakeInventory):
        def disks(self) -> tuple[Disk, ...]:
            hangs.wait(60)
            return ()

    source = Hung(pictures.models(), pictures.kernels(), pictures.gpus())
    async with opened(FULL, source) as (app, pilot):
        await until(pilot, lambda: any("1 detached rev" in line for line in app.query_one(Glance).texts))
        before = time.monotonic()
    assert time.monotonic() - before < 30
    hangs.set()


async def test_names_from_a_disk_reach_the_screen_clean(tmp_path: Path) -> None:
    class Hostile(pictures.FakeInventory):
        def disks(self) -> tuple[Disk, ...]:
            return (Disk("/mnt/\x1b]0;x\x07[red]", "fuse\x1b[2J", 10**9, 10**6, 10**9 - 10**6, (pictures.HUB,)),)

    source = Hostile(pictures.models(), pictures.kernels(), pictures.gpus())
    async with opened(FULL, source) as (app, pilot):
        glance = app.query_one(Glance)
        await until(pilot, lambda: any("/mnt/" in line for line in glance.texts))
        assert not any("\x1b" in line or "\x07" in line for line in glance.texts)
