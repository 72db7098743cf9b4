"""A kill at any system call that changes something leaves valid caches, and the next start brings things to an end."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachetop.prune import emptier, moving, trash
from cachetop.prune.calls import rename as real_rename
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.undo import NothingToUndo, undo
from cachetop.prune.work import Draft
from support.hubcache import OTHER, repo, settle
from support.pruning import carry_out, picture, plan_kernels, plan_models, state, trash_of
from support.triton_cache import backdate, synthetic

_CALLS = ("mkdir", "rmdir", "unlink", "write", "fsync", "link", "rename")


def _killed_at(number: int, act: Callable[[], Any]) -> bool:
    """Run `act` in a forked child that is killed before or after its `number`th change; False when it ended."""
    child = os.fork()
    if child == 0:
        calls = 0

        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = real(*args, **more)
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        for name in _CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        moving.rename = trash.rename = wrap(real_rename)  # type: ignore[attr-defined]
        try:
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
    assert all(before.get(name) == what for name, what in now.items())
    for snapshot in root.glob("*/snapshots/*"):
        mine = str(snapshot.relative_to(root))
        assert {name for name in before if name.startswith(mine)} == {name for name in now if name.startswith(mine)}
        assert all(link.exists() for link in snapshot.rglob("*"))
    for entry in (path for path in root.iterdir() if len(path.name) == 52):
        assert {name for name in before if name.startswith(entry.name)} == {
            name for name in now if name.startswith(entry.name)
        }


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
def test_kernels(tmp_path: Path, now: bool) -> None:
    root = tmp_path / "cache"
    points = _each_kill(root, lambda: _aged(root), lambda: plan_kernels(root, sm="80"), now)
    assert points > (15 if not now else 40)


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
def test_models(tmp_path: Path, now: bool) -> None:
    hub = tmp_path / "hub"

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
    assert points > 30


def test_a_killed_undo_is_taken_up_again(tmp_path: Path) -> None:
    root = tmp_path / "cache"
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
