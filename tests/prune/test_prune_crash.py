"""A kill at any system call that changes something leaves valid caches, and the next start brings things to an end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachetop.prune import emptier
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.undo import NothingToUndo, undo
from cachetop.prune.work import Draft
from support.boundaries import CHANGING, happening
from support.hubcache import OTHER, repo, settle
from support.pruning import carry_out, picture, plan_kernels, plan_models, state, trash_of
from support.triton_cache import backdate, synthetic


def _killed_at(number: int, act: Callable[[], Any]) -> bool:
    """Run `act` in a forked child that is killed right before its `number`th change; False when it ended."""
    child = os.fork()
    if child == 0:
        try:
            with happening(number, lambda: os.kill(os.getpid(), signal.SIGKILL), CHANGING):
                act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture(autouse=True)
def emptying_is_left_to_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptier, "start", lambda *_: None)


def _whole(root: Path, before: dict[str, object]) -> None:
    """Every entry or revision that is there is there with everything it had."""
    now = {name: what for name, what in picture(root).items() if not name.startswith(".cachetop-trash-")}
    assert all(before.get(name) == what for name, what in now.items() if "__grp__" not in name)
    for snapshot in root.glob("*/snapshots/*"):
        mine = str(snapshot.relative_to(root))
        assert {name for name in before if name.startswith(mine)} == {name for name in now if name.startswith(mine)}
        assert all(link.exists() for link in snapshot.rglob("*"))
    for entry in (path for path in root.iterdir() if len(path.name) == 52):
        assert _loads(entry, set(before))


def _loads(entry: Path, before: set[str]) -> bool:
    """Whether an entry is as it was, or as Triton's own loader accepts it: every file that its group names is there."""
    if {name for name in before if name.startswith(entry.name)} == {f"{entry.name}"} | {
        f"{entry.name}/{path.name}" for path in entry.iterdir()
    }:
        return True
    (group,) = entry.glob("__grp__*.json")
    named = json.loads(group.read_text())["child_paths"]
    return any(name.endswith(".cubin") for name in named) and all(Path(path).exists() for path in named.values())


def _each_kill(root: Path, make: Callable[[], Path], draft: Callable[[], Draft], now: bool) -> int:
    """Kill at every change in turn; returns at how many."""
    number = 1
    while True:
        shutil.rmtree(state(), ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        make()
        before = picture(root)
        plan = draft()
        killed = _killed_at(number, lambda plan=plan: carry_out(plan, now=now))  # type: ignore[misc]
        _whole(root, before)
        recover(state())
        _whole(root, before)
        if not now:
            try:
                undo(state())
            except NothingToUndo:
                assert not any(path for one in trash_of(root) for path in one.iterdir())
            left = {name: what for name, what in picture(root).items() if not name.startswith(".cachetop-trash-")}
            assert left == before  # whatever had moved came back
        empty_all(state(), [str(root)])
        assert not trash_of(root)
        _whole(root, before)
        if not killed:
            return number
        number += 1


def _aged(root: Path) -> Path:
    backdate(synthetic(root, 3), 60)
    return root


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
def test_kernels(place: Path, now: bool) -> None:
    root = place / "cache"
    points = _each_kill(root, lambda: _aged(root), lambda: plan_kernels(root, sm="80"), now)
    assert points > (10 if not now else 20)


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
def test_stages_of_kernels(place: Path, now: bool) -> None:
    root = place / "cache"
    assert _each_kill(root, lambda: _aged(root), lambda: plan_kernels(root, ir_only=True), now) > 15


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
def test_models(place: Path, now: bool) -> None:
    hub = place / "hub"

    def make() -> Path:
        hub.mkdir()
        one = repo(hub, "org/one")
        one.file("a.bin", b"a" * 5000)
        one.ref()
        one.file("b.bin", b"b" * 5000, commit=OTHER)
        one.stored("c.bin", b"c" * 5000, commit=OTHER)
        one.ref("old", OTHER)
        repo(hub, "org/two").stored("c.bin", b"c" * 5000)
        settle(hub)
        return hub

    points = _each_kill(hub, make, lambda: plan_models(hub, f"org/one@{OTHER}", "org/two"), now)
    assert points >= 25  # each once, right before it


def test_a_killed_undo_is_taken_up_again(place: Path) -> None:
    root = place / "cache"
    number = 1
    while True:
        shutil.rmtree(state(), ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        _aged(root)
        before = picture(root)
        carry_out(plan_kernels(root, all=True), now=False)
        killed = _killed_at(number, lambda: undo(state()))
        _whole(root, before)
        try:
            undo(state())
        except NothingToUndo:
            pass
        assert {name: what for name, what in picture(root).items() if not name.startswith(".cachetop")} == before
        if not killed:
            assert number > 5
            return
        number += 1


def test_a_killed_recovery_is_taken_up_again(place: Path) -> None:
    """An execution is killed half-way, and then what should have brought it to an end, at each of its changes."""
    root = place / "cache"
    for first in (10, 14, 18, 22):
        number = 1
        while True:
            shutil.rmtree(state(), ignore_errors=True)
            shutil.rmtree(root, ignore_errors=True)
            _aged(root)
            before = picture(root)
            draft = plan_kernels(root, ir_only=True)
            assert _killed_at(first, lambda draft=draft: carry_out(draft, now=False))  # type: ignore[misc]
            killed = _killed_at(number, lambda: recover(state()))
            _whole(root, before)
            recover(state())
            _whole(root, before)
            try:
                undo(state())
            except NothingToUndo:
                pass
            assert {name: what for name, what in picture(root).items() if not name.startswith(".cachetop")} == before
            if not killed:
                break
            number += 1


def test_killed_emptying_is_taken_up_again(place: Path) -> None:
    root, number = place / "cache", 1
    while True:
        shutil.rmtree(state(), ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        _aged(root)
        carry_out(plan_kernels(root, all=True), now=False)
        killed = _killed_at(number, lambda: empty_all(state(), [str(root)]))
        if killed:  # either all of it can still be brought back, or nothing
            there = {path.name for one in trash_of(root) if not one.name.endswith("-going") for path in one.iterdir()}
            assert there in (set(), {"0", "1", "2"})
            recover(state())
        empty_all(state(), [str(root)])
        assert not list(root.iterdir())
        if not killed:
            assert number > 10
            return
        number += 1
