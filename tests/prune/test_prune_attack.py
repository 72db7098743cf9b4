"""Somebody swaps folders for links while a plan is carried out, or plants links: nothing outside the cache goes.

The swap happens right before each system call in turn, so at every moment at which a file system can be seen to change.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.prune import emptier, inuse, unlink
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.undo import NothingToUndo, undo
from cachetop.prune.work import Draft
from support.boundaries import happening
from support.hubcache import OTHER, repo, settle
from support.pruning import carry_out, picture, plan_kernels, plan_models, state, trash_of
from support.triton_cache import backdate, synthetic

_NUMBERS = [str(number) for number in range(12)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes time and decides nothing here; one hand, so that each run makes the same calls."""
    monkeypatch.setattr(inuse, "look", lambda *_: inuse.InUse())
    monkeypatch.setattr(emptier, "start", lambda *_: None)
    monkeypatch.setattr(unlink, "HANDS", 1)


@pytest.fixture
def precious(place: Path) -> Path:
    """Files and folders of the same names as in the caches and the trash, in a folder that is none of theirs."""
    folder = place / "precious"
    for name in ("snapshots", "blobs", "refs", "trees", OTHER, "inside", *_NUMBERS):
        (folder / name).mkdir(parents=True)
        (folder / name / "thesis.tex").write_text("irreplaceable")
    for name in ("thesis.tex", "b.bin", "old", "main", "inside/file", "0/file", f"snapshots/{OTHER}"):
        path = folder / name
        (path / "b.bin" if path.is_dir() else path).write_text("irreplaceable")
    return folder


def _at_each_moment(
    make: Callable[[], object],
    act: Callable[[], object],
    victim: Callable[[], Path | None],
    precious: Path,
    aside: Path,
) -> int:
    """Make, then act with the victim swapped for a link before each call in turn; returns how many calls there were."""
    make()
    safe = picture(precious)
    number = swapped = 0
    while True:
        number += 1
        for path in (aside, state()):
            shutil.rmtree(path, ignore_errors=True)
        aside.mkdir()
        make()

        def swap() -> None:
            nonlocal swapped
            path = victim()
            if path is not None and path.is_dir() and not path.is_symlink():
                path.rename(aside / "victim")
                path.symlink_to(precious)
                swapped += 1

        with happening(number, swap) as came:
            act()
        assert picture(precious) == safe, f"swapped before call {number}, {came}"
        if not came:
            assert swapped, "there never was anything to swap"
            return number


def _hub(root: Path, precious: Path) -> None:
    shutil.rmtree(root, ignore_errors=True) if not root.is_symlink() else root.unlink()
    one = repo(root, "org/one")
    one.file("a.bin", b"a" * 5000)
    one.ref()
    blob = one.file("b.bin", b"b" * 5000, commit=OTHER)
    one.ref("old", OTHER)
    one.link("evil", str(precious / "thesis.tex"), commit=OTHER)
    payload = one.stored("c.bin", b"c" * 5000, commit=OTHER)
    for name in (blob.name, payload.name):  # so that a link in place of their folder would find something
        for folder in (precious, precious / "blobs"):
            if not (folder / name).exists():
                (folder / name).write_text("irreplaceable")
    settle(root)


_VICTIMS = {
    "blobs": "models--org--one/blobs", "snapshots": "models--org--one/snapshots", "refs": "models--org--one/refs",
    "revision": f"models--org--one/snapshots/{OTHER}", "repo": "models--org--one", "store": "blobs", "root": "",
    "trash": ".cachetop-trash-*",
}  # fmt: skip


def _found(root: Path, pattern: str) -> Path | None:
    return next(iter(sorted(root.glob(pattern))), None) if pattern else root


@pytest.mark.parametrize("what", _VICTIMS)
def test_a_folder_of_a_hub_swapped_for_a_link(place: Path, precious: Path, what: str) -> None:
    hub = place / "hub"
    drafts: list[Draft] = []

    def make() -> None:
        _hub(hub, precious)
        drafts[:] = [plan_models(hub, f"org/one@{OTHER}")]

    calls = _at_each_moment(
        make, lambda: carry_out(drafts[0]), lambda: _found(hub, _VICTIMS[what]), precious, place / "aside"
    )
    assert calls > 100


def _kernels(root: Path, precious: Path) -> None:
    shutil.rmtree(root, ignore_errors=True) if not root.is_symlink() else root.unlink()
    synthetic(root, 2)
    for entry in root.iterdir():
        (entry / "link").symlink_to(precious)
        (entry / "inside").mkdir()
        (entry / "inside" / "file").write_text("of the cache")
    backdate(root, 60)


_KERNEL_VICTIMS = {
    "root": "", "entry": "[A-Z]*", "inside": "[A-Z]*/inside", "trash": ".cachetop-trash-*",
    "in-the-trash": ".cachetop-trash-*/[0-9]", "inside-in-the-trash": ".cachetop-trash-*/[0-9]/inside",
}  # fmt: skip


@pytest.mark.parametrize("what", _KERNEL_VICTIMS)
def test_a_folder_of_kernels_swapped_for_a_link(place: Path, precious: Path, what: str) -> None:
    root = place / "cache"
    drafts: list[Draft] = []

    def make() -> None:
        _kernels(root, precious)
        drafts[:] = [plan_kernels(root, all=True)]

    calls = _at_each_moment(
        make, lambda: carry_out(drafts[0]), lambda: _found(root, _KERNEL_VICTIMS[what]), precious, place / "aside"
    )
    assert calls > 60


@pytest.mark.parametrize("what", ["root", "trash", "blobs", "repo"])
def test_a_folder_swapped_while_it_is_brought_back(place: Path, precious: Path, what: str) -> None:
    hub = place / "hub"

    def make() -> None:
        _hub(hub, precious)
        carry_out(plan_models(hub, f"org/one@{OTHER}"), now=False)

    def act() -> None:
        try:
            undo(state())
        except NothingToUndo:
            pass

    assert _at_each_moment(make, act, lambda: _found(hub, _VICTIMS[what]), precious, place / "aside") > 40


@pytest.mark.parametrize("what", ["root", "trash", "in-the-trash"])
def test_a_folder_swapped_while_the_trash_is_emptied(place: Path, precious: Path, what: str) -> None:
    root = place / "cache"

    def make() -> None:
        _kernels(root, precious)
        carry_out(plan_kernels(root, all=True), now=False)

    def act() -> None:
        recover(state())
        empty_all(state(), [str(root)])

    assert _at_each_moment(make, act, lambda: _found(root, _KERNEL_VICTIMS[what]), precious, place / "aside") > 40


def test_an_entry_swapped_for_another_folder_is_not_taken_for_it(place: Path) -> None:
    """Not a link this time but a real folder of the same name: it is somebody's, and it is told apart by its inode."""
    root, number = place / "cache", 0
    while True:
        number += 1
        shutil.rmtree(place / "aside", ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        synthetic(root, 1)
        backdate(root, 60)
        draft = plan_kernels(root, all=True)
        (entry,) = root.iterdir()
        swapped = False

        def swap(entry: Path = entry) -> None:
            nonlocal swapped
            if entry.exists():
                entry.rename(place / "aside")
                entry.mkdir()
                (entry / "thesis.tex").write_text("irreplaceable")
                swapped = True

        with happening(number, swap) as came:
            carry_out(draft)
        assert not swapped or (entry / "thesis.tex").read_text() == "irreplaceable", f"before call {number}, {came}"
        if not came:
            assert number > 30
            return


def test_links_inside_an_entry_are_unlinked_and_not_followed(place: Path, precious: Path) -> None:
    root = synthetic(place / "cache", 2)
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


def test_a_trash_swapped_for_a_link_is_neither_emptied_nor_brought_back(place: Path, precious: Path) -> None:
    root = synthetic(place / "cache", 2)
    carry_out(plan_kernels(root, all=True), now=False)
    (found,) = trash_of(root)
    found.rename(place / "aside")
    found.symlink_to(precious)
    safe = picture(precious)
    with pytest.raises(NothingToUndo):
        undo(state())
    empty_all(state(), [str(root)])
    assert picture(precious) == safe


def test_a_journal_that_lies_leads_nowhere(place: Path, precious: Path) -> None:
    root = synthetic(place / "cache", 2)
    draft = plan_kernels(root, all=True)
    carry_out(draft, now=False)
    journal = state() / "prune" / f"{draft.plan.id}.jsonl"
    key = Path(draft.plan.items[0].path).name
    journal.write_text(journal.read_text().replace(f'"{key}"', '"../../../precious/planted"'))
    safe = picture(precious)
    done = undo(state())
    assert picture(precious) == safe and not (precious / "planted").exists()
    assert any("EINVAL" in one.error for one in done.failed) and len(done.restored) == 1
