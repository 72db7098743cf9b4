"""Finding by typing: in lists also what is folded away, in documents text."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from cachetop_tui.app import CachetopApp
from cachetop_tui.documents import tree
from cachetop_tui.finding import Find, Place
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen
from cachetop_tui.paint import Canvas
from cachetop_tui.workbench.here import focused
from cachetop_tui.workbench.side import SideBar
from cachetop_tui.workbench.tabs import Document
from support import pictures
from support.opening import opened, screen, until


def unfolded(view: LineView) -> list[str]:
    return [row.key for row in view.shown_rows if row.open]


def chosen(app: CachetopApp) -> str:
    view = focused(app.overview)
    assert view is not None and view.cursor is not None
    return view.cursor.key


# In lists


async def test_a_file_in_a_folded_repo_is_found_and_no_more_unfolded_than_it_takes() -> None:
    name = "model.safetensors"
    having = {
        (repo.id, revision.commit)
        for repo in pictures.models().repos
        for revision in repo.revisions
        if any(name in file.name for file in revision.files)
    }
    assert len(having) > 2
    async with opened((120, 40)) as (app, pilot):
        models = app.overview.models
        assert not unfolded(models)
        await pilot.press("apostrophe", *name)
        found = set()
        for _ in range(len(having)):
            await until(pilot, lambda: name in chosen(app))
            _, _, repo, commit, _ = chosen(app).split("\0")
            found.add((repo, commit))
            assert {key.split("\0")[2] for key in unfolded(models)} == {repo}
            await pilot.press("down")
        assert found == having
        here = chosen(app)
        await pilot.press("enter")
        assert chosen(app) == here and unfolded(models) and models.find is None


async def test_what_is_in_sight_comes_first_and_escape_folds_again() -> None:
    async with opened((120, 40)) as (app, pilot):
        models = app.overview.models
        await pilot.press("down")
        before, offset = chosen(app), models.cursor_line
        await pilot.press("apostrophe", *"granite")
        await until(pilot, lambda: "granite" in chosen(app))
        assert chosen(app).count("\0") == 2, "a repo, which is in sight, not a file below another one"
        await pilot.press(*["backspace"] * 7, *"model.safetensors")
        await until(pilot, lambda: "model.safetensors" in chosen(app))
        assert unfolded(models)
        await pilot.press("escape")
        assert (chosen(app), models.cursor_line, unfolded(models)) == (before, offset, [])


async def test_a_revision_is_found_by_its_commit_in_a_folded_repo() -> None:
    repo = next(repo for repo in pictures.models().repos if len(repo.revisions) > 1)
    commit = repo.revisions[1].commit
    async with opened((80, 24)) as (app, pilot):
        await pilot.press("apostrophe", *commit[:12])
        await until(pilot, lambda: chosen(app).endswith(f"{repo.id}\0{commit}"))


async def test_what_is_wrong_with_a_filter_is_seen_wherever_the_cursor_is() -> None:
    async with opened((80, 24)) as (app, pilot):
        models = app.overview.models
        await pilot.press("end")
        before = chosen(app)
        await pilot.press("f", *"sizee>3")
        await until(pilot, lambda: any("'sizee' is not a filter here" in line for line in models.texts))
        await pilot.press("backspace", "backspace", "escape")
        assert chosen(app) == before
        assert any(key == before for _, key in models.in_sight())


async def test_a_kernel_in_a_folded_group_is_found() -> None:
    entries = pictures.kernels().entries
    wanted = next(one for one in entries if sum(other.name == one.name for other in entries) == 1 and one.name)
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("2", "minus", "apostrophe", *str(wanted.name))
        await until(pilot, lambda: chosen(app).endswith(wanted.path))


async def test_in_a_list_without_a_filter_its_key_finds_and_elsewhere_says_so() -> None:
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("3", "f", *"train")
        view = focused(app.overview)
        assert view is not None and view.find is not None and view.find.text == "train"
        await pilot.press("escape", "4", "f")
        assert [note.message for note in app._notifications] == ["There is nothing to filter here."]
        assert not isinstance(app.focused, Input)


async def test_a_file_is_found_by_its_repo_and_its_name() -> None:
    repo = next(one for one in pictures.models().repos if one.revisions and one.revisions[0].files)
    file = repo.revisions[0].files[-1].name
    async with opened((120, 40)) as (app, pilot):
        await pilot.press("apostrophe", *repo.id)
        await until(pilot, lambda: chosen(app).endswith(f"\0{repo.id}"))
        await pilot.press("down")
        assert chosen(app).endswith(f"\0{repo.id}"), "not each of its files as well"
        await pilot.press("/", *file)
        await until(pilot, lambda: f"\0{repo.id}\0" in chosen(app) and chosen(app).endswith(f"\0{file}"))


async def test_a_branch_of_the_side_bar_lists_and_finds_what_is_far_down() -> None:
    models = pictures.models()
    repo = models.repos[0]
    many = tuple(msgspec.structs.replace(repo, id=f"org/model-{number:04}", partials=()) for number in range(3000))
    async with opened((160, 45)) as (app, pilot):
        side = app.query_one(SideBar)
        app.overview.picture.models = msgspec.structs.replace(models, repos=many)
        side.focus()
        side.update_lines()
        await pilot.press(*"model-2987")
        await until(pilot, lambda: side.cursor is not None and side.cursor.subject[0] == "org/model-2987")


# In documents


def lines_of(record: object, width: int, now: float) -> list[Line]:
    made = []
    for number in range(200):
        pen = Pen(width)
        pen.put(2, f"line {number}")
        made.append(pen.line())
    return made


async def test_text_is_found_in_the_document_in_front() -> None:
    async with opened((80, 24)) as (app, pilot):
        app.overview.open_document(Document("x", "x", ("x",), lambda: "x", lines_of))
        await until(pilot, lambda: "line 1 " in screen(app))
        await pilot.press("f", *"Line 15")
        await until(pilot, lambda: "find Line 15" in screen(app) and "1 of 11" in screen(app))
        assert "line 15 " in screen(app)
        await pilot.press("enter")
        await until(pilot, lambda: "2 of 11" in screen(app) and "line 150 " in screen(app))
        await pilot.press("enter", "up", "up", "up")
        await until(pilot, lambda: "11 of 11" in screen(app) and "line 159 " in screen(app))
        await pilot.press(*"nq")
        await until(pilot, lambda: "not in this document" in screen(app))
        assert app.is_running, "letters are no commands meanwhile"
        await pilot.press("backspace", "backspace", "enter", "enter", "escape")
        await until(pilot, lambda: "find" not in screen(app).splitlines()[2])
        assert app.overview.tabs.current is not None and "line 151 " in screen(app), "it stays where it is"
        await pilot.press("ctrl+f", "enter")
        await until(pilot, lambda: "find Line 15" in screen(app))  # what was looked for last
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.overview.tabs.current is None)


@pytest.mark.parametrize("typed", ["", "e", "e 77"])
async def test_what_is_typed_while_a_document_is_read_is_found_once_it_is_there(typed: str) -> None:
    ready = threading.Event()
    async with opened((80, 24)) as (app, pilot):
        app.overview.open_document(Document("x", "x", ("x",), lambda: ready.wait(10), lines_of))
        await until(pilot, lambda: app.overview.pane == "document")
        await pilot.press("f", *typed)
        await until(pilot, lambda: f"find {typed}" in screen(app))
        ready.set()
        await until(pilot, lambda: "reading" not in screen(app))
        await pilot.press(*"e 77"[len(typed) :])
        await until(pilot, lambda: "1 of 1" in screen(app) and "line 77" in screen(app))


async def test_text_is_found_in_json_that_is_folded() -> None:
    value = {"outer": {"inner": [1, {"name": "needle"}]}, "other": "hay"}
    document = Document("t", "t", ("t",), lambda: value, lambda *_: [], rows=tree.rows, places=tree.places)
    async with opened((80, 24)) as (app, pilot):
        app.overview.open_document(document)
        await until(pilot, lambda: "outer" in screen(app))
        assert "needle" not in screen(app)
        await pilot.press("f", *'"needle')
        await until(pilot, lambda: 'name: "needle"' in screen(app))


# The parts

LABELS = st.lists(st.text("abAB/", max_size=4), max_size=30)


def places_of(labels: list[str]) -> Iterator[Place]:
    return (Place(str(number), label) for number, label in enumerate(labels))


async def all_hits(find: Find, step: int) -> list[str]:
    seen: list[str] = []
    place = await find.seek(0)
    while place is not None and place.key not in seen:
        seen.append(place.key)
        place = await find.seek(step)
    return seen


@given(LABELS, st.text("ab/", min_size=1, max_size=3))
def test_every_place_with_the_text_comes_once_and_the_first_after_the_last(labels: list[str], text: str) -> None:
    def typed() -> Find:
        find = Find(lambda: places_of(labels))
        for letter in text:
            asyncio.run(find.seek(0))  # as after each key
            assert find.take(letter, letter) == 0
        return find

    wanted = [str(number) for number, label in enumerate(labels) if text in label.casefold()]
    find = typed()
    assert asyncio.run(all_hits(find, 1)) == wanted
    assert find.missing == (not wanted)
    assert asyncio.run(all_hits(typed(), -1)) == wanted[:1] + wanted[:0:-1]


def test_a_name_is_found_without_its_folders_unless_a_slash_is_typed() -> None:
    places = [Place("1", "data/part", start=5), Place("2", "data/part/data.tar", start=10)]
    for text, wanted in (("data", ["2"]), ("part", ["1"]), ("part/d", ["2"]), ("data/", ["1", "2"])):
        find = Find(lambda: iter(places))
        for letter in text:
            find.take(letter, letter)
            asyncio.run(find.seek(0))
        assert asyncio.run(all_hits(find, 1)) == wanted, text


@given(st.lists(st.text("aß漢é x", min_size=1, max_size=6), min_size=1, max_size=4), st.text("aß漢é x", min_size=1))
def test_marking_text_in_a_line_changes_no_character(parts: list[str], text: str) -> None:
    pen, x = Pen(80), 1
    for part in parts:
        x = pen.put(x, part) + 1
    line = pen.line()
    marked = line.marked(text, "b:ink@warn")

    def drawn(one: Line) -> list[str]:
        canvas = Canvas(80, 1)
        one.paint(canvas)
        return canvas.text()

    assert drawn(marked) == drawn(line)
    if text.strip() and any(text.casefold() in part.casefold() for part in parts):
        assert len(marked.marks) > len(line.marks)
