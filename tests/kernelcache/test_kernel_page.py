"""A kernel's document: its stages one at a time, SASS when asked for, the difference to the kernel for another SM."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import triton

from cachetop.cli import main
from cachetop.inventory import KernelsChanged
from cachetop.kernelcache.compare import Change, counterparts, difference
from cachetop.kernelcache.describe import Described
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import Text, stage_text
from cachetop.locations import Location
from cachetop_tui.documents import kernel_page
from cachetop_tui.documents.kernel_page import Page
from cachetop_tui.marks import Link, Tabs
from cachetop_tui.paint import width_of
from cachetop_tui.workbench.document import DocumentView
from support import pictures
from support.opening import opened, screen, until

Look = Callable[..., Kernels]
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


@pytest.fixture
def page(cache: Path, look: Look) -> Page:
    """The softmax for sm_90, among those for six other SMs."""
    entries = look(cache, sms=["sm_90"]).entries
    entry = next(one for one in entries if one.sm == ("sm_90",) and one.name == "softmax_kernel")
    return kernel_page.load(entry, entries, Scanner([Location("triton", str(cache), "")]))


def words(page: Page, width: int = 160) -> str:
    made = [*kernel_page.head(page, width), *kernel_page.lines(page, width, page.entry.created + 60)]
    return "\n".join(line.text for line in made)


def targets(page: Page) -> list[tuple[str, str]]:
    return [line.target for line in kernel_page.lines(page, 160, 0) if isinstance(line, Link)]


@pytest.mark.parametrize("width", [160, 76, 30])
def test_it_fits_and_says_the_facts(page: Page, width: int) -> None:
    lines = [*kernel_page.head(page, width), *kernel_page.lines(page, width, page.entry.created)]
    text = words(page, width)
    assert "REGISTERS" in text and "STAGES" in text and ".target sm_90a" in text
    assert width < 50 or "softmax_kernel" in text
    for line in lines:
        placed = [mark for mark in line.marks if hasattr(mark, "text") and mark.x > 40]
        assert all(mark.x + width_of(mark.text) <= width for mark in placed)


def test_every_stage_is_one_enter_away(page: Page) -> None:
    assert page.stages == ("source", "ttir", "ttgir", "llir", "ptx", "sass", "json") and page.stage == "ptx"
    assert {which for what, which in targets(page) if what == "stage"} == set(page.stages)
    for stage, sign in (("ttir", "tt.func"), ("ttgir", "ttg."), ("llir", "define"), ("json", "num_warps")):
        page.act(("stage", stage))
        assert page.stage == stage and sign in words(page) and ".target sm" not in words(page)
    page.fetch_next_stage()
    assert page.stage == "source"


def test_sass_is_made_when_asked_for_and_not_before(page: Page, monkeypatch: pytest.MonkeyPatch, world: Path) -> None:
    ran = world / "ran"
    tool = world / "bin" / "nvdisasm"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\ntouch {ran}\nexec {TOOLS / "nvdisasm"} "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")
    page.act(("stage", "ptx"))
    assert not ran.exists()
    page.act(("stage", "sass"))
    assert ran.exists() and "EXIT" in words(page)


def test_the_same_kernel_for_another_sm_is_beside_it(page: Page) -> None:
    others = {other.sm[0]: other for other in page.others}
    assert set(others) == {"sm_75", "sm_80", "sm_86", "sm_89", "sm_100", "sm_120"}
    assert all(other.name == "softmax_kernel" for other in page.others)
    assert "SAME KERNEL, OTHER SM" in words(page) and "foreign-sm" in words(page)
    page.act(("other", others["sm_75"].path))
    text = words(page)
    assert "PTX: SM_75 TO SM_90" in text.upper()
    signs = {change.sign: change.text for change in page.changes if ".target" in change.text}
    assert signs == {"-": ".target sm_75", "+": ".target sm_90a"}
    page.act(("stage", "ttgir"))  # the difference of another stage
    assert page.against is not None and any('"cuda:75"' in change.text for change in page.changes)
    page.act(("other", others["sm_75"].path))
    assert page.against is None and "TTGIR" in words(page)


def test_the_differences_follow_each_other_and_end_with_the_code(page: Page) -> None:
    seen = []
    for _ in range(len(page.others) + 1):
        page.fetch_next_difference()
        seen.append(page.against.sm[0] if page.against is not None else None)
    assert seen == ["sm_75", "sm_80", "sm_86", "sm_89", "sm_100", "sm_120", None]


def test_what_is_shown_while_a_difference_is_worked_out_is_what_was_shown_before(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[str] = []

    def slow(old: Text, new: Text) -> tuple[Change, ...]:
        meanwhile.append(words(page))
        return difference(old, new)

    monkeypatch.setattr(kernel_page, "difference", slow)
    page.fetch_next_difference()
    page.fetch_next_difference()
    page.fetch_stage("ttgir")
    assert len(meanwhile) == 3 and not any("The two are the same" in text for text in meanwhile)
    assert "SM_75 TO SM_90" in meanwhile[1].upper() and "PTX: SM_80 TO SM_90" in meanwhile[2].upper()


def test_a_difference_puts_each_line_back(page: Page) -> None:
    old = stage_text(page._entries[page.others[0].path], page.scanner, "ptx")
    new = stage_text(page.entry, page.scanner, "ptx")
    changes = difference(old, new)
    assert [one.text for one in changes if one.sign == "-"] and not difference(new, new)
    kept = [one.text for one in changes if one.sign in " -"]
    assert all(text in old.lines for text in kept)
    assert all(one.text in new.lines for one in changes if one.sign in " +")


def test_files_that_go_while_it_is_open_are_a_sentence(page: Page, cache: Path) -> None:
    shutil.rmtree(cache / page.entry.key)
    page.act(("stage", "ttir"))
    assert page.problem and page.problem in words(page, 400).replace("\n", " ")
    page.act(("other", page.others[0].path))


def test_only_the_newest_of_each_sm_is_a_counterpart() -> None:
    def entry(name: str, sm: str, age: int, **more: object) -> Entry:
        return msgspec.structs.replace(pictures.entry("triton", name, sm, age=age), **more)

    mine = entry("a", "sm_90", 10)
    newest = entry("a", "sm_75", 5, key="N", path="N")
    there = [mine, entry("a", "sm_75", 50), newest, entry("b", "sm_75", 1), entry("a", "sm_86", 1, state="compiling")]
    assert counterparts(mine, there) == (newest,)
    every = [
        entry("a", f"sm_{number}", 1, path=str(number)) for number in (50, 52, 53, 60, 61, 62, 70, 75, 80, 86, 120)
    ]
    assert [one.sm[0] for one in counterparts(mine, every, 3)] == ["sm_75", "sm_80", "sm_86"]


def test_a_stale_or_empty_entry_makes_a_document_too() -> None:
    bare = Described(
        cache="triton", kind="triton", key="K", name=None, sm=(), size_on_disk=0, files=0, created=0, last_used=None,
        state="orphan", producer=UNKNOWN_PRODUCER, resources_reason="it holds no cubin",
    )  # fmt: skip
    text = words(Page(Scanner([]), bare, bare, ()), 60)
    assert "it holds no cubin" in text and "no SM named" in text


def test_it_says_what_speaks_against_each_rule(page: Page, cache: Path, look: Look) -> None:
    entries = look(cache, sms=["sm_90"]).entries
    scanner = Scanner([Location("triton", str(cache), "")])
    here = {one.rule: one for one in kernel_page.load(page.entry, entries, scanner, ["sm_90"]).checks}
    assert here["foreign-sm"].holds and "sm_90" in here["foreign-sm"].evidence
    assert here["relocated"].holds and here["truncated"].holds and here["superseded"].holds
    unknown = {one.rule: one for one in page.checks}
    assert unknown["foreign-sm"].holds is None and "not known" in unknown["foreign-sm"].evidence
    text = words(page)
    assert "WHY IT IS NOT STALE" in text and "WHERE THE BYTES ARE" in text and "STAGE BY STAGE" in text.upper()
    foreign = next(one for one in entries if one.sm == ("sm_75",))
    other = kernel_page.load(foreign, entries, scanner, ["sm_90"])
    assert "foreign-sm" not in {one.rule for one in other.checks}
    assert "WHY IT IS STALE" in words(other) and "WHY IT IS STALE" in words(other, 80)
    assert words(other, 80).index("WHY IT IS STALE") < words(other, 80).index(".target")


def test_only_what_is_shown_is_read(page: Page) -> None:
    read = [row.entry.path for kept in page.scanner.kept for row in kept.rows()]
    assert sorted(read) == sorted([page.entry.path, *(one.path for one in page.others)])


async def test_in_the_app_by_keys(world: Path, cache: Path, look: Look) -> None:
    shutil.copytree(cache, world / ".triton" / "cache")
    found = look(world / ".triton" / "cache")
    source = pictures.everything()
    async with opened((160, 45), source) as (app, pilot):
        source.publish(KernelsChanged(found))
        await until(
            pilot, lambda: app.overview.kernels.shown is not None and app.overview.kernels.shown.kernels is found
        )
        await pilot.press("o", "2", "down", "down")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: ".target" in screen(app))
        await pilot.press("x")
        await until(pilot, lambda: " TO SM_" in screen(app))
        await pilot.press("7")
        await until(pilot, lambda: "METADATA: SM_" in screen(app))
        await pilot.press("v")
        await until(pilot, lambda: "SOURCE: SM_" in screen(app))
        view = app.query_one(DocumentView)
        await pilot.press("pagedown")  # the tabs stay in sight
        tabs = [(y, line) for y, line in enumerate(view.headers(view.size.width)) if isinstance(line, Tabs)]
        y, line = next((y, line) for y, line in tabs if "TTGIR" in line.text)
        start, *_ = next(one for one in line.places if one[2] == ("stage", "ttgir"))
        assert view.texts[y] == line.text and f" to {view.size.height - 4 + view._offset} of " in view.texts[0]
        await pilot.click(DocumentView, offset=(start, y))
        await pilot.press("home")
        await until(pilot, lambda: "TTGIR: SM_" in screen(app))
        for _ in range(400):  # down by a line through the code, then onto the links below it
            await pilot.press("down")
            if view.link is not None:
                break
        assert view.link is not None
        what, which = view.link.target
        await pilot.press("enter", "home")
        await until(pilot, lambda: f"{which.upper()}: SM_" in screen(app))
        assert what == "stage"


def test_the_command_line_has_the_difference_too(
    world: Path, cache: Path, page: Page, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(cache))
    words = ["kernels", "show", page.entry.key, "--against", page.others[0].key]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("--- sm_75\n+++ sm_90\n@@") and "-.target sm_75\n+.target sm_90a\n" in out
    assert main([*words, "--stage", "ttgir"]) == 0
    assert "cuda:75" in capsys.readouterr().out
