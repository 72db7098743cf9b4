"""What waits in the trash: told while it waits and while it is unlinked, and kept when somebody says so."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.cli import main
from cachetop.prune import emptier, journal, waiting
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.undo import undo
from cachetop_tui.prune.opening import keep_trash, show_trash
from cachetop_tui.prune.review import ReviewScreen
from support.pruning import allocated, carry_out, picture, plan_kernels, state, trash_of
from support.stage_app import StageApp, screen_lines, until
from support.triton_cache import backdate, synthetic

SLOWLY = """
import os, sys, time
from pathlib import Path
from cachetop.prune import emptier
unlink = os.unlink
def slow(*args, **more):
    time.sleep(0.1)
    unlink(*args, **more)
os.unlink = slow
sys.exit(emptier.main(Path(sys.argv[1]), 0))
"""


@pytest.fixture
def root(world: Path) -> Path:
    made = synthetic(world / ".triton" / "cache", 14)
    backdate(made, 60)
    return made


def _wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_told_and_kept_beyond_its_deadline(root: Path) -> None:
    before = picture(root)
    result = carry_out(plan_kernels(root, all=True), now=False, undo=1.5)
    (there,) = waiting.look(state(), [str(root)])
    assert (there.id, there.state, there.items, there.held, there.freed) == (result.id, "held", 14, result.held, 0)
    assert there.until == result.undo_until and "can be brought back until" in there.sentence
    (kept,) = waiting.stop(state(), [str(root)])
    assert kept.state == "stopped" and "kept until you empty the trash" in kept.sentence
    time.sleep(max(0.0, (result.undo_until or 0) - time.time()))
    assert emptier.main(journal.path(state(), result.id), 0) == 0  # as the detached process does at the deadline
    assert recover(state()) == []
    assert waiting.look_at(state(), result.id) == kept
    assert sorted(undo(state()).restored) == sorted(result.deleted) and picture(root) == before
    assert waiting.look(state(), [str(root)]) == [] and waiting.look_at(state(), result.id) is None
    recover(state())
    assert not journal.stop_file(journal.path(state(), result.id)).exists()


def test_unlinking_is_followed_and_stopped(root: Path) -> None:
    """A real process unlinks slowly; its progress is seen from here, and it stops when it is told to."""
    before = allocated(root)
    draft = plan_kernels(root, all=True)
    carry_out(draft, now=False)
    path = journal.path(state(), draft.plan.id)
    with subprocess.Popen([sys.executable, "-c", SLOWLY, str(path)]) as process:
        seen: list[waiting.Waiting] = []

        def progress() -> bool:
            seen[:] = filter(None, [waiting.look_at(state(), draft.plan.id)])
            return seen[0].freed > 0

        _wait(progress)
        assert seen[0].state == "emptying" and "being unlinked now" in seen[0].sentence
        (left,) = waiting.stop(state(), [str(root)], patience=60)
        assert process.wait(30) == 0
    assert left.state == "stopped" and seen[0].freed <= left.freed < draft.plan.frees
    assert left.freed == before - allocated(root) and "unlinking was stopped with" in left.sentence
    assert recover(state()) == [] and trash_of(root)
    gone, plans = empty_all(state(), [str(root)])
    assert plans == 1 and gone.freed == draft.plan.frees - left.freed and not trash_of(root)
    story = journal.read(path)
    assert story.emptied and story.freed == draft.plan.frees  # both attempts together
    assert waiting.look(state(), [str(root)]) == []


def test_the_command_line_tells_and_keeps(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "trash", "--cancel"]) == 0
    assert "0 plans have" in capsys.readouterr().out
    result = carry_out(plan_kernels(root, all=True), now=False)
    assert main(["prune", "trash", "--dry-run"]) == 0
    assert f"Plan {result.id}: 14 items" in (out := capsys.readouterr().out) and "brought back until" in out
    assert main(["prune", "trash", "--cancel", "--read-only"]) == 2
    assert main(["prune", "trash", "--cancel", "--yes"]) == 2
    assert not journal.stop_file(journal.path(state(), result.id)).exists()
    assert main(["prune", "trash", "--cancel", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert "kept until" in notes[1] and trash_of(root)
    assert main(["prune", "trash", "--yes"]) == 0
    assert not trash_of(root) and list(root.iterdir()) == []


async def test_the_app_tells_and_keeps(root: Path) -> None:
    app = StageApp()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = ReviewScreen(plan_kernels(root, all=True), 900)
        await app.push_screen(screen)
        await pilot.pause()
        await pilot.click("#go")
        await until(pilot, lambda: "can be brought back until" in "\n".join(screen_lines(app)))
        await keep_trash(app)
        await until(pilot, lambda: "kept until you empty the trash" in screen_lines(app)[-1])
        undo(state())
        await until(pilot, lambda: "is empty: unlinked, or brought back" in "\n".join(screen_lines(app)))
        await show_trash(app)
        await until(pilot, lambda: "The trash is empty." in [one.message for one in app._notifications])
