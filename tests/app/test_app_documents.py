"""Documents, tabs, side bar, problems and marks, by keyboard."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models
from cachetop.inventory.updates import WatchChanged
from cachetop.kernelcache.records import Kernels
from cachetop.summary import StatusProblem
from cachetop_tui.app import CachetopApp
from cachetop_tui.arrivals import ProblemsArrived
from cachetop_tui.documents import diff
from cachetop_tui.panes.kernel_tree import grow
from cachetop_tui.prune.opening import STALE
from cachetop_tui.prune.review import ReviewScreen
from cachetop_tui.workbench.problems import Finder, fix_of, full_disks, judged, review_of
from cachetop_tui.workbench.tabs import Document, Tabs
from support import pictures, runs
from support.opening import opened, screen, until


def document(name: str) -> Document:
    return Document(name, name, (name,), lambda: name, lambda record, width, now: [])


def test_a_preview_gives_way_and_a_second_time_pins() -> None:
    tabs = Tabs()
    tabs.open(document("a"))
    tabs.open(document("b"))
    assert [(tab.document.key, tab.pinned) for tab in tabs.tabs] == [("b", False)]
    tabs.open(document("b"))
    tabs.open(document("c"))
    assert [(tab.document.key, tab.pinned) for tab in tabs.tabs] == [("b", True), ("c", False)]
    tabs.step(1)
    assert tabs.current is None, "after the last tab comes the overview"
    tabs.step(1)
    assert tabs.current is not None and tabs.current.document.key == "b"
    tabs.close()
    assert [tab.document.key for tab in tabs.tabs] == ["c"] and tabs.current is None


async def to_revision(app: CachetopApp, pilot: object) -> None:
    """Put the cursor on the newest revision of Llama, which has two."""
    models = app.overview.models
    repo = next(repo for repo in pictures.models().repos if "Llama" in repo.id)
    models.unfolded[f"{repo.root}\0{repo.type}\0{repo.id}"] = True
    models.update_lines()
    for i, row in enumerate(models._rows):
        if row.kind == "revision" and row.subject[0].id == repo.id:
            models._go(i)
            return
    raise AssertionError("no revision")


@pytest.mark.parametrize("size", [(160, 45), (120, 30), (80, 24), (60, 20)])
async def test_a_revision_opens_pins_and_closes(size: tuple[int, int]) -> None:
    async with opened(size) as (app, pilot):
        await to_revision(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "AGAINST" in screen(app))
        text = screen(app)
        assert "models › meta-llama/Llama-3.1-8B-Instruct" in text
        assert "2 files differ, 0 stay the same" in text
        assert "old.safetensors" in text and "only in the old" in text
        assert not app.overview.tabs.tabs[0].pinned
        await pilot.press("enter")
        assert app.overview.tabs.tabs[0].pinned
        await pilot.press("escape")
        await until(pilot, lambda: "REPO" in screen(app) or size == (60, 20))
        assert len(app.overview.tabs.tabs) == 1 and app.overview.tabs.front == -1
        await pilot.press(">")
        await until(pilot, lambda: "AGAINST" in screen(app))
        await pilot.press("w")
        await until(pilot, lambda: not app.overview.tabs.tabs)
        assert "Overview" not in screen(app), "without documents there is no line for tabs"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LookupError("it is not in the cache any more."), "it is not in the cache any more."),
        (RuntimeError("nobody thought of this"), "This cannot be shown: RuntimeError: nobody thought of this"),
    ],
)
async def test_what_cannot_be_read_says_so_in_its_tab(error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    async with opened((120, 30)) as (app, pilot):
        app.overview.open_document(Document("x", "x", ("x",), fail, lambda record, width, now: []))
        await until(pilot, lambda: said in screen(app))


async def test_the_side_bar_shows_the_tree_of_the_activity() -> None:
    async with opened((120, 30)) as (app, pilot):
        assert "b hides" not in screen(app)
        await pilot.press("b")
        await until(pilot, lambda: "b hides" in screen(app))
        assert "▾ models" in screen(app) and app.overview.pane == "side"
        await pilot.press("2")
        await until(pilot, lambda: "KERNELS" in screen(app) and "▾ inductor" in screen(app))
        await pilot.press("b")
        await until(pilot, lambda: "b hides" not in screen(app))
        assert app.overview.pane == "kernels"


async def test_problems_are_listed_with_their_fix_and_copied() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "dead-partial" in screen(app))
        assert "cachetop prune models --incomplete --dry-run" in screen(app)
        await pilot.press("y")
        assert app.clipboard == "cachetop prune models --incomplete --dry-run"
        await pilot.press("4")
        await until(pilot, lambda: "CONVERSION" in screen(app))


def test_each_problem_has_a_fix_and_parts_are_found_apart() -> None:
    finder = Finder()
    finder.models(pictures.models())
    finder.kernels(pictures.kernels(), grow(pictures.kernels()).totals)
    finder.gpus(pictures.gpus())
    finder.watch("polling", "the folder is on a network file system")
    rules = [problem.rule for problem in finder.found]
    assert {"dead-partial", "foreign-sm", "orphan", "toolchain-gone", "watch"} <= set(rules)
    assert all(fix_of(problem).startswith("cachetop ") for problem in finder.found)
    finder.kernels(Kernels(), ())
    finder.models(Models())
    finder.gpus(Gpus(available=True))
    finder.watch("inotify", None)
    assert finder.found == ()


def test_a_full_disk_is_a_problem_and_a_missing_path_is_none(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachetop_tui.workbench import problems

    assert full_disks([f"{tmp_path}/nowhere"]) == []
    monkeypatch.setattr(problems, "FULL", 2.0)
    (found,) = full_disks([str(tmp_path)])
    assert found.rule == "disk-full" and "are free" in found.message


async def test_a_degraded_watch_is_a_problem() -> None:
    source = pictures.everything()
    async with opened((120, 40), source) as (app, pilot):
        source.publish(WatchChanged("polling", "too many folders"))
        await until(pilot, lambda: any(problem.rule == "watch" for problem in app.overview.picture.problems))


async def test_space_marks_rows_and_a_second_time_takes_it_back() -> None:
    async with opened((120, 30)) as (app, pilot):
        models = app.overview.models
        await pilot.press("space")
        assert len(models.marked) == 1 and "✓" in screen(app).splitlines()[3]
        await pilot.press("up", "space")
        assert not models.marked


async def test_left_and_right_collapse_and_climb() -> None:
    async with opened((120, 30)) as (app, pilot):
        models = app.overview.models
        start = models.cursor
        await pilot.press("right")
        assert models.cursor is not None and models.cursor.open
        await pilot.press("right")
        assert models.cursor.kind == "revision"
        await pilot.press("left", "left")
        assert start is not None and models.cursor.key == start.key
        await pilot.press("left")
        assert models.cursor.open is False


def test_the_diff_of_equal_revisions_says_so() -> None:
    repo = next(repo for repo in pictures.models().repos if "Llama" in repo.id)
    revision = repo.revisions[0]
    assert diff.changes(diff.Pair(repo.id, revision, revision)) == []
    text = "\n".join(line.text for line in diff.lines(diff.compare(diff.Pair(repo.id, revision, revision)), 80, 0))
    assert "All 1 file are the same." in text or "are the same" in text


async def test_quick_open_finds_by_kind() -> None:
    async with opened((120, 30)) as (app, pilot):
        await pilot.press("slash")
        await pilot.pause(0.1)
        await pilot.press(*"@whisper")
        await until(pilot, lambda: "openai/whisper-large-v3-turbo" in screen(app))
        assert "process on GPU" not in screen(app)
        await pilot.press("escape")
        await pilot.press("slash")
        await pilot.press(*"%vllm")
        await until(pilot, lambda: "process on GPU 1" in screen(app))


def test_a_fix_that_is_a_plan_can_be_reviewed_and_another_one_cannot() -> None:
    stale = review_of(StatusProblem(rule="foreign-sm", subject="triton", message="3 entries"))
    assert stale is not None and stale.what == "kernels" and stale.stale and not stale.incomplete
    partial = review_of(StatusProblem(rule="dead-partial", subject="a/b", message="cut off"))
    assert partial is not None and partial.what == "models" and partial.incomplete and not partial.stale
    assert review_of(StatusProblem(rule="vram-full", subject="GPU 0", message="full")) is None
    assert review_of(StatusProblem(rule="unreadable", subject="/x", message="no", fix="chmod u+r /x")) is None


async def test_enter_on_a_problem_opens_the_review_of_its_fix_or_says_all_of_it() -> None:
    async with opened((120, 30)) as (app, pilot):
        problems = (
            StatusProblem(rule="disk-slow", subject="/x", message="a long story", fix="do this"),
            StatusProblem(rule="foreign-sm", subject="triton", message="1 entry"),
        )
        app.post_message(ProblemsArrived(problems))
        await pilot.press("5")
        await until(pilot, lambda: "a long story" in screen(app))
        await pilot.press("home", "enter")
        await until(pilot, lambda: bool(app._notifications))
        assert {note.message for note in app._notifications} == {"a long story\ndo this"}
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))


def test_the_review_of_stale_kernels_judges_by_the_gpus_on_the_screen() -> None:
    here = pictures.gpus()
    assert judged(STALE, here).assume_sm == ("sm_75", "sm_90") and judged(STALE, here).stale
    unknown = pictures.gpus(gpus=(*here.gpus, replace(here.gpus[0], index=2, sm=None)))
    assert judged(STALE, unknown) == STALE, "a GPU without a known SM may need any of them"
    assert judged(STALE, pictures.NO_DRIVER) == STALE and judged(STALE, None) == STALE


async def test_enter_on_a_run_that_has_ended_opens_its_report() -> None:
    run = runs.done()
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    async with opened((160, 45), source) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: app.overview.pane == "conversion" and "Enter report" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)
        assert app.overview.tabs.current is not None
        assert app.overview.tabs.current.document.key == f"job\0{run.job.id}"


async def test_the_second_enter_in_the_side_bar_goes_into_the_document() -> None:
    async with opened((160, 45)) as (app, pilot):
        await pilot.press("b", "b")
        await until(pilot, lambda: app.overview.pane == "side")
        await pilot.press("home", "down", "enter")
        await until(pilot, lambda: app.overview.tabs.current is not None)
        assert app.overview.pane == "side"
        await pilot.press("enter")
        await until(pilot, lambda: app.overview.pane == "document")
        assert app.overview.tabs.tabs[0].pinned
