"""Somebody swaps folders for links while a plan is carried out, or plants links: nothing outside the cache goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachetop.prune import moving, trash
from cachetop.prune.calls import rename as real_rename
from cachetop.prune.recover import empty_all
from cachetop.prune.undo import NothingToUndo, undo
from support.hubcache import OTHER, repo, settle
from support.pruning import carry_out, picture, plan_kernels, plan_models, state, trash_of
from support.triton_cache import backdate, synthetic

_CALLS = ("mkdir", "rmdir", "unlink", "fsync", "rename", "open", "listdir", "lstat")


def _swapping(monkeypatch: pytest.MonkeyPatch, number: int, swap: Callable[[], None]) -> Callable[[], bool]:
    """Right before the `number`th call that looks at or changes a cache, `swap` happens; tells whether it did."""
    calls, done = 0, False

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal calls, done
            calls += 1
            if calls == number and not done:
                done = True
                swap()
            return real(*args, **more)

        return call

    for name in _CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    for module in (moving, trash):
        monkeypatch.setattr(module, "rename", wrap(real_rename))
    return lambda: done


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Files of the same names as in the caches, in a folder that is none of theirs."""
    folder = tmp_path / "precious"
    (folder / "snapshots" / OTHER).mkdir(parents=True)
    for name in ("thesis.tex", "model.safetensors"):
        (folder / name).write_text("irreplaceable")
    return folder


def _swap(path: Path, aside: Path, target: Path) -> Callable[[], None]:
    def act() -> None:
        if path.is_dir() and not path.is_symlink():
            path.rename(aside)
            path.symlink_to(target)

    return act


@pytest.mark.parametrize("what", ["blobs", "snapshots", "repo"])
def test_folders_of_a_repo_swapped_for_links_at_every_moment(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    safe = picture(precious)
    for number in range(1, 900, 19):
        hub = tmp_path / f"hub{number}"
        one = repo(hub, "org/one")
        one.file("a.bin", b"a" * 5000)
        one.ref()
        one.file("b.bin", b"b" * 5000, commit=OTHER)
        for name in one.path.glob("blobs/*"):
            (precious / name.name).write_text("irreplaceable")
        safe = picture(precious)
        settle(hub)
        draft = plan_models(hub, detached=True)
        victim = one.path if what == "repo" else one.path / what
        with monkeypatch.context() as patch:
            happened = _swapping(patch, number, _swap(victim, tmp_path / f"aside{number}", precious))
            carry_out(draft)
            done = happened()
        assert picture(precious) == safe
        if not done:
            return
    pytest.fail("the execution never came to its end")


@pytest.mark.parametrize("what", ["root", "entry", "trash"])
def test_folders_of_a_kernel_cache_swapped_for_links_at_every_moment(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for number in range(1, 900, 11):
        root = synthetic(tmp_path / f"cache{number}", 2)
        entry = sorted(root.iterdir())[0]
        shutil.copytree(entry, precious / entry.name, dirs_exist_ok=True)
        backdate(root, 60)
        safe = picture(precious)
        draft = plan_kernels(root, all=True)

        def swap(root: Path = root, entry: Path = entry, number: int = number) -> None:
            victim = {"root": root, "entry": entry}.get(what) or next(iter(trash_of(root)), root / "none")
            _swap(victim, tmp_path / f"aside{number}", precious)()

        with monkeypatch.context() as patch:
            happened = _swapping(patch, number, swap)
            carry_out(draft)
            done = happened()
        assert picture(precious) == safe
        if not done:
            return
    pytest.fail("the execution never came to its end")


def test_links_inside_an_entry_are_unlinked_and_not_followed(tmp_path: Path, precious: Path) -> None:
    root = synthetic(tmp_path / "cache", 2)
    for entry in root.iterdir():
        (entry / "link").symlink_to(precious)
        (entry / "tmp.x").mkdir()
        (entry / "tmp.x" / "file").symlink_to(precious / "thesis.tex")
        os.link(precious / "thesis.tex", entry / "hard")
    safe = picture(precious)
    draft = plan_kernels(root, all=True)
    result = carry_out(draft)
    assert result.freed == draft.plan.frees and len(result.deleted) == 2
    assert picture(precious) == safe


def test_a_trash_swapped_for_a_link_is_neither_emptied_nor_brought_back(tmp_path: Path, precious: Path) -> None:
    root = synthetic(tmp_path / "cache", 2)
    carry_out(plan_kernels(root, all=True), now=False)
    (found,) = trash_of(root)
    for name in ("0", "1"):
        (precious / name).mkdir()
    found.rename(tmp_path / "aside")
    found.symlink_to(precious)
    safe = picture(precious)
    with pytest.raises(NothingToUndo):
        undo(state())
    empty_all(state(), [str(root)])
    assert picture(precious) == safe


def test_a_journal_that_lies_leads_nowhere(tmp_path: Path, precious: Path) -> None:
    root = synthetic(tmp_path / "cache", 2)
    draft = plan_kernels(root, all=True)
    carry_out(draft, now=False)
    journal = state() / "prune" / f"{draft.plan.id}.jsonl"
    key = Path(draft.plan.items[0].path).name
    journal.write_text(journal.read_text().replace(f'"{key}"', '"../../../precious/planted"'))
    safe = picture(precious)
    done = undo(state())
    assert picture(precious) == safe and not (precious / "planted").exists()
    assert any("EINVAL" in one.error for one in done.failed) and len(done.restored) == 1
