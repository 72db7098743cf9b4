"""The kernels pane while entries come in: no row goes or changes places under a cursor that somebody moved."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from cachetop.inventory import KernelsChanged
from cachetop.kernelcache.records import Entry, Kernels, Stale
from cachetop_tui.app import CachetopApp
from cachetop_tui.arrivals import KernelsArrived
from cachetop_tui.listing import Listing, find
from cachetop_tui.marks import Row
from cachetop_tui.panes import kernel_rows, kernel_tree
from cachetop_tui.panes.kernel_rows import View
from cachetop_tui.panes.kernel_tree import Grower, Tree, grow, key_of, order_of
from support import pictures
from support.opening import opened, until


def _entry(n: int, sm: str = "sm_90", state: str = "complete") -> Entry:
    made = pictures.entry("triton", f"kernel_{n:04}", sm, age=10_000 - n)
    return msgspec.structs.replace(made, state=state)


def _picture(entries: list[Entry]) -> Kernels:
    return msgspec.structs.replace(pictures.kernels(), entries=tuple(entries))


async def _publish(
    pilot: Pilot[None], app: CachetopApp, source: pictures.FakeInventory, entries: list[Entry], *new: Entry
) -> None:
    picture = _picture(entries)
    source.publish(KernelsChanged(picture, frozenset((one.cache, one.path) for one in new)))
    await until(pilot, lambda: app.overview.kernels.shown is not None and app.overview.kernels.shown.kernels is picture)
    await pilot.pause()


def _place(app: CachetopApp) -> tuple[str, int, str]:
    """(the cursor's key, its line on the screen, what that line says)."""
    pane = app.overview.kernels
    assert pane.cursor is not None
    return pane.cursor.key, pane.cursor_line, pane.texts[pane.cursor_line]


def _noting(rows: list[Row]) -> Callable[[Row], bool]:
    """Whether a row opens: every one does, and is noted."""

    def opens(row: Row) -> bool:
        rows.append(row)
        return True

    return opens


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
@pytest.mark.parametrize("steps", [3, 14])
async def test_a_burst_moves_no_row_under_the_cursor(size: tuple[int, int], steps: int) -> None:
    entries = [_entry(n, sm) for sm in ("sm_90", "sm_86", "sm_75") for n in range(40)]
    source = pictures.everything()
    async with opened(size, source) as (app, pilot):
        await _publish(pilot, app, source, entries)
        await pilot.press("2", *["down"] * steps)
        await pilot.pause()
        before = _place(app)
        for n in range(40, 46):  # new ones in every group, half of them still being compiled, and finished later
            for sm in ("sm_90", "sm_86", "sm_75"):
                new = _entry(n, sm, "compiling" if n % 2 else "complete")
                entries = [*entries, new]
                await _publish(pilot, app, source, entries, new)
                assert _place(app)[:2] == before[:2]
            entries = [msgspec.structs.replace(one, state="complete") for one in entries]
        await _publish(pilot, app, source, entries)
        assert _place(app)[:2] == before[:2]


async def test_going_to_the_other_end_looks_no_row_up(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [_entry(n) for n in range(400)]
    source = pictures.everything()
    async with opened((80, 24), source) as (app, pilot):
        await _publish(pilot, app, source, entries)
        await pilot.press("2", "f", *"sm_90", "enter")
        asked: list[str] = []
        monkeypatch.setattr(Listing, "place", lambda self, wanted: asked.append(wanted))
        await pilot.press("end", "home", "end", "pageup")
        pane = app.overview.kernels
        assert isinstance(pane.shown_rows, Listing) and len(pane.shown_rows) > 400 and pane.cursor is not None
        assert asked == [], "of 100,000 that takes the time of two frames"


async def test_enter_opens_what_was_under_the_cursor_when_its_group_is_full_of_news() -> None:
    entries = [_entry(n) for n in range(60)]
    source = pictures.everything()
    async with opened((160, 45), source) as (app, pilot):
        await _publish(pilot, app, source, entries)
        pane = app.overview.kernels
        await pilot.press("2", "down", "down", "down", "down")
        wanted = pane.cursor
        assert wanted is not None and wanted.kind == "entry"
        opened_rows: list[Row] = []
        pane.opens = _noting(opened_rows)
        new = [_entry(n) for n in range(60, 160)]
        await _publish(pilot, app, source, [*entries, *new], *new)
        await pilot.press("enter")
        assert [row.key for row in opened_rows] == [wanted.key]


async def test_when_the_row_goes_a_key_meant_for_it_does_not_hit_its_neighbour() -> None:
    entries = [_entry(n) for n in range(20)]
    source = pictures.everything()
    async with opened((160, 45), source) as (app, pilot):
        await _publish(pilot, app, source, entries)
        pane = app.overview.kernels
        await pilot.press("2", "down", "down", "down", "down")
        wanted = pane.cursor
        assert wanted is not None
        opened_rows: list[Row] = []
        pane.opens = _noting(opened_rows)
        await _publish(pilot, app, source, [one for one in entries if one.path != wanted.subject.path])
        await pilot.press("enter", "space")
        assert not opened_rows and not pane.marked
        assert pane.cursor is not None and pane.cursor.key != wanted.key
        pane._displaced -= 60
        await pilot.press("enter")
        assert [row.key for row in opened_rows] == [pane.cursor.key]


def test_a_compile_that_hangs_far_down_does_not_unfold_its_group() -> None:
    entries = [_entry(0, state="compiling"), *(_entry(n) for n in range(1, 400))]
    shown = kernel_rows.rows(grow(_picture(entries)), 100, 20, View())
    assert 20 <= len(shown) <= 60


def test_pictures_that_nobody_took_become_one_and_lose_no_news() -> None:
    one, two, three = (_entry(n) for n in range(3))

    def tree(entries: list[Entry], new: Entry) -> Tree:
        return grow(_picture(entries), frozenset({(new.cache, new.path)}))

    message = KernelsArrived(tree([one], one))
    assert message.renew(tree([one, two], two))
    assert [entry.name for entry in message.tree.appeared] == [one.name, two.name]
    assert len(message.tree.kernels.entries) == 2
    assert not message.renew(tree([one, two, three], three))


_STEPS = st.tuples(st.sampled_from(["add", "drop", "change", "move", "many", "judge"]), st.integers(0, 10_000))


@pytest.mark.parametrize("much", [4096, 3])  # from how many entries on they are taken all in one go
@settings(max_examples=60, deadline=None)
@given(st.lists(_STEPS, max_size=20))
def test_a_tree_that_is_kept_up_is_the_tree_that_is_made_anew(much: int, steps: list[tuple[str, int]]) -> None:
    with patch.multiple(kernel_tree, _MANY=much, _SORTED=much, _FEW=much // 16, _CHUNK=much // 4 + 1):
        _keep_up(steps)


def _keep_up(steps: list[tuple[str, int]]) -> None:
    grower, entries, count = Grower(), list[Entry](), 0
    grower.grow(_picture([]))
    for what, number in steps:
        entries = list(entries)
        at = number % len(entries) if entries else 0
        match what:
            case "add":
                state = "complete" if number % 3 else "compiling"
                entries.append(_entry(count, ("sm_90", "sm_75")[number % 2], state))
            case "many":
                entries[0:0] = [_entry(count + n, "sm_80") for n in range(number % 600)]
                count += 600
            case "drop" if entries:
                del entries[at]
            case "change" if entries:
                stale = (Stale(rule=("unused", "orphan")[number % 2], evidence="x"),) if number % 3 else ()
                entries[at] = msgspec.structs.replace(
                    entries[at], stale=stale, size_on_disk=number, state="complete", created=float(number % 50)
                )
            case "move" if entries:
                entries[at] = msgspec.structs.replace(entries[at], sm=("sm_120",))
            case "judge":
                stale = (Stale(rule="foreign-sm", evidence=f"{number}"),)
                entries = [msgspec.structs.replace(one, stale=stale) for one in entries]
        count += 1
        picture = _picture(entries)
        tree = grower.grow(picture)
        assert tree == grow(picture)
        groups = [group for cache in tree.caches for group in cache.groups]
        assert sorted(map(key_of, entries)) == sorted(key_of(one) for group in groups for one in group.entries)
        assert all(list(group.entries) == sorted(group.entries, key=order_of) for group in groups)


@given(st.lists(st.integers(0, 5), max_size=8), st.data())
def test_a_listing_is_the_list_of_its_rows(runs: list[int], data: st.DataObject) -> None:
    listing, plain = Listing(), []
    for number, length in enumerate(runs):
        keys = [f"{number} {n}" for n in range(length)]
        listing.run(keys, lambda key: Row(key, "x", key), str)
        plain += [Row(key, "x", key) for key in keys]
    assert list(listing) == plain and len(listing) == len(plain) and listing[2:7] == plain[2:7]
    if plain:
        at = data.draw(st.integers(-len(plain), len(plain) - 1))
        near = data.draw(st.none() | st.integers(0, 100))
        assert listing[at] == plain[at]
        assert find(listing, plain[at].key, near) == at % len(plain)
    assert find(listing, "none", 3) is None
    with pytest.raises(IndexError):
        listing[len(plain)]


def test_a_filter_that_is_gone_keeps_no_picture_alive() -> None:
    tree, view = grow(_picture([_entry(n) for n in range(20)])), View(filter="kernel_0007")
    assert len(kernel_rows.rows(tree, 100, 20, view)) == 3 and view.hits
    view.filter = ""
    kernel_rows.rows(tree, 100, 20, view)
    assert not view.hits
