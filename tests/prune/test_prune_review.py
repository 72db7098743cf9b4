"""The review screen: what it shows, that nothing goes before it is confirmed, and what it says afterwards."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path

import pytest
from textual.widgets import Input

from cachetop.base.disks import Disk
from cachetop.prune import confirm
from cachetop.prune.records import Item, Plan
from cachetop.prune.undo import undo
from cachetop_tui.dialogs.fields import Press
from cachetop_tui.prune import opening
from cachetop_tui.prune.disk import Disks, share
from cachetop_tui.prune.opening import marked, told
from cachetop_tui.prune.review import PlanView, ReviewScreen
from support.hubcache import OTHER, repo, settle
from support.pruning import picture, plan_kernels, plan_models, state
from support.stage_app import StageApp, screen_lines, until
from support.triton_cache import backdate, synthetic


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = synthetic(tmp_path / "cache", 7)
    backdate(made, 60)
    return made


@pytest.mark.parametrize("size", [(160, 45), (80, 24), (60, 20)])
async def test_it_shows_what_goes_and_touches_nothing(root: Path, size: tuple[int, int]) -> None:
    before = picture(root)
    draft = plan_kernels(root, sm="80")
    app = StageApp()
    async with app.run_test(size=size) as pilot:
        await app.push_screen(ReviewScreen(draft, 900))
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        for words in (
            "WILL GO",
            "To get it back: only kernels",
            "nothing is deleted yet",
            "Move to trash",
            "Keep all",
            "[√]",
        ):
            assert words in text
        await pilot.press("escape")
    assert picture(root) == before


async def test_a_plan_that_was_left_is_let_go_at_once(root: Path) -> None:
    draft = plan_kernels(root, all=True)
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        before = sys.getrefcount(draft), sys.getrefcount(draft.plan)
        gc.disable()  # a plan for very many entries must not wait for the collector
        try:
            screen = ReviewScreen(draft, 900)
            await app.push_screen(screen)
            await pilot.press("right", "down", "space")  # every row was drawn, and a part of the plan made
            await until(pilot, lambda: len(screen.query_one(PlanView).shown.items) < len(draft.plan.items))
            assert (sys.getrefcount(draft), sys.getrefcount(draft.plan)) > before
            await pilot.press("escape")
            await until(pilot, lambda: (sys.getrefcount(draft), sys.getrefcount(draft.plan)) == before)
        finally:
            gc.enable()


async def test_a_group_unfolds_into_rows_that_can_be_taken_out_one_by_one(tmp_path: Path) -> None:
    root = synthetic(tmp_path / "many", 300)
    backdate(root, 60)
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await app.push_screen(ReviewScreen(plan_kernels(root, stale=True, assume_sm=("sm_50",)), 900))
        await pilot.press("right")
        view = app.screen.query_one(PlanView)
        await until(pilot, lambda: sum(row.kind == "item" for row in view.shown_rows) > 200)
        many = len(view.draft.plan.items)
        await pilot.press("down", "space", "space", "home")
        await until(pilot, lambda: len(view.shown.items) == many - 2)
        assert "[-]" in "\n".join(screen_lines(app)) and f"{many - 2} items" in "\n".join(screen_lines(app))
        await pilot.press("space")  # the whole group, of which two are out already
        await until(pilot, lambda: not view.shown.items)
        assert view.off == set(range(many))


async def test_it_says_how_long_undo_works_and_what_the_disk_gets(root: Path) -> None:
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        draft = plan_kernels(root, all=True)
        await app.push_screen(ReviewScreen(draft, 900, disks=Disks(draft.roots)))
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "You can undo for 15 min, or until less than 10 %" in text and "free " in text and "→" in text
        await pilot.press("escape")
        await app.push_screen(ReviewScreen(plan_kernels(root, all=True), 0))
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "freed at once" in text and "Delete for good" in text and "undo for" not in text


def test_the_disk_is_the_one_with_most_of_the_plan_and_gets_no_more_than_lies_there() -> None:
    def item(path: str, frees: int) -> Item:
        return Item(kind="triton", key=path, path=path, size_on_disk=frees, reasons=("all",), rebuild=None, frees=frees)

    small = Disk("/", "ext4", 1000, 400, 500, ("/root/.triton/cache",))
    large = Disk("/tmp", "tmpfs", 1000, 100, 900, ("/tmp/inductor", "/tmp/inductor2"))
    items = (item("/root/.triton/cache/a", 10), item("/tmp/inductor/b", 200), item("/tmp/inductor2/c", 50))
    plan = Plan(items=items, frees=255)
    found = share(plan, [small, large])
    assert found is not None and (found.where, found.goes, found.left) == ("/tmp/inductor", 250, 650)
    assert f"{found.full(found.used):.2f} {found.full(found.left):.2f}" == "0.90 0.65"
    alone = share(Plan(items=items[:1], frees=8), [large, small])
    assert alone is not None and (alone.where, alone.goes) == ("/root/.triton/cache", 8), "each inode once"
    assert alone.full(alone.used) == 500 / 900, "what is reserved for root is not free, as in df"
    assert share(Plan(items=()), [small, large]) is None


async def test_an_error_of_the_system_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(state: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(state / "journals"))

    monkeypatch.setattr(opening, "undo", refused)
    app = StageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await opening.undo_last(app)
        await until(pilot, lambda: bool(app._notifications))
        said = next(iter(app._notifications)).message
        assert said.endswith("/journals: Permission denied.") and "Errno" not in said


async def test_confirming_moves_it_and_the_result_is_said(root: Path) -> None:
    before = picture(root)
    draft = plan_kernels(root, all=True)
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = ReviewScreen(draft, 900)
        await app.push_screen(screen)
        await pilot.pause()
        screen.query_one("#go", Press).action_press()
        view = screen.query_one(PlanView)
        await until(pilot, lambda: view.result is not None)
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "7 items deleted" in text and "in the trash until" in text
    assert [path for path in root.iterdir() if len(path.name) == 52] == []
    undo(state())
    assert picture(root) == before


async def test_an_item_that_was_taken_out_stays(root: Path) -> None:
    before = picture(root)
    draft = plan_kernels(root, *sorted(path.name for path in root.iterdir())[:2])
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = ReviewScreen(draft, 900)
        await app.push_screen(screen)
        await pilot.pause()
        await pilot.press("space")
        view = screen.query_one(PlanView)
        await until(pilot, lambda: len(view.shown.items) == 1)
        assert view.shown.frees == draft.plan.items[1].frees
        screen.query_one("#go", Press).action_press()
        await until(pilot, lambda: view.result is not None)
        assert view.result is not None and view.result.deleted == (draft.plan.items[1].path,)
    assert Path(draft.plan.items[0].path).exists()
    assert undo(state()).restored == (draft.plan.items[1].path,)
    assert picture(root) == before


async def test_beyond_the_threshold_the_size_has_to_be_typed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = plan_kernels(root, all=True)
    monkeypatch.setattr("cachetop_tui.prune.review.THRESHOLD", draft.plan.frees - 1)
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = ReviewScreen(draft, 900)
        await app.push_screen(screen)
        await pilot.pause()
        go = screen.query_one("#go", Press)
        assert not go.display
        go.action_press()
        await pilot.pause()
        assert screen.query_one(PlanView).result is None
        screen.query_one("#size", Input).value = "229 kb"
        await pilot.pause()
        assert go.display


async def test_read_only_has_no_button(root: Path) -> None:
    app = StageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = ReviewScreen(plan_kernels(root, all=True), 900, read_only=True)
        await app.push_screen(screen)
        await pilot.pause()
        assert not screen.query_one("#go", Press).display
        assert "read-only" in "\n".join(screen_lines(app))


async def test_a_revision_taken_out_keeps_the_blobs_it_names(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    shared = alpha.file("s.bin", b"s" * 30_000, commit=OTHER)
    alpha.link("s.bin", f"../../blobs/{shared.name}", commit="d" * 40)
    alpha.file("own.bin", b"o" * 9_000, commit="d" * 40)
    settle(hub)
    draft = plan_models(hub, detached=True)
    assert len(draft.plan.items) == 2 and draft.plan.frees > 39_000
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = ReviewScreen(draft, 0)
        await app.push_screen(screen)
        await pilot.pause()
        await pilot.press("space")
        view = screen.query_one(PlanView)
        await until(pilot, lambda: len(view.shown.items) == 1)
        assert view.shown.frees < 20_000
        screen.query_one("#go", Press).action_press()
        await until(pilot, lambda: view.result is not None)
        assert view.result is not None and view.result.freed == view.shown.frees and not view.result.skipped
    assert shared.exists()


def test_typed_sizes() -> None:
    assert all(confirm.agrees(typed, 20_809_318_400) for typed in ("20.8 GB", "20.8gb", "20.8 G", "20,809,318,400"))
    assert not any(confirm.agrees(typed, 20_809_318_400) for typed in ("", "20", "20.8", "2.08 GB", "y"))


def test_selections_of_marked_rows(hub: Path, root: Path) -> None:
    from cachetop.hub.scan import scan as scan_hub
    from cachetop.kernelcache.scan import scan as scan_kernels
    from cachetop.locations import Location

    repos = scan_hub([Location("hub", str(hub), "test")]).repos
    entries = scan_kernels([Location("triton", str(root), "test")]).entries
    models, kernels = marked([(repos[0], None), (repos[1], repos[1].revisions[0])], entries[:1])
    assert models.names == ("model/org/alpha", f"model/org/beta@{repos[1].revisions[0].commit}")
    assert kernels.names == (f"triton/{entries[0].key}",)
    assert [item.key for item in plan_kernels(root, *kernels.names).plan.items] == [entries[0].key]
    assert len(plan_models(hub, *models.names).plan.items) == 2


def test_an_undo_is_told_in_a_sentence(root: Path) -> None:
    from support.pruning import carry_out

    carry_out(plan_kernels(root, all=True), now=False)
    assert told(undo(state())) == "7 back."
