"""A kernel entry as a page to work with: one stage of its code at a time, SASS by nvdisasm when asked for, and the
difference to the same kernel for another SM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.kernelcache.checks import Check, checks
from cachetop.kernelcache.compare import Change, counterparts, difference
from cachetop.kernelcache.describe import Described, describe
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.sass import disassemble
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import TEXTS, Text, stage_text
from cachetop_tui import cut
from cachetop_tui.commands.registry import named
from cachetop_tui.documents import kernel as document
from cachetop_tui.documents import kernel_side
from cachetop_tui.documents.kernel_code import coloured
from cachetop_tui.documents.layout import MARGIN, heading, paragraph
from cachetop_tui.marks import Line, Link, Pen, Tabs, beside
from cachetop_tui.paint import width_of

BYTES_MOST = 1 << 18
"""Bytes of a stage that are read for the page."""
LINES_MOST = 2000
_SASS = "sass"
_CODE = ("cubin", _SASS)
_ABOUT = ("json", "meta", "ninja", "best_config")
_WIDE = 112
"""Columns from which on what is said about a kernel stands beside its code."""
_SIDE = 38
_SIGNS = {"+": "ok", "-": "err", "@": "faint", " ": "fg"}


@dataclass
class Page:
    """What the page shows now. Fetching changes it; each `fetch_...` reads files and may run nvdisasm."""

    scanner: Scanner
    entry: Entry
    kernel: Described
    others: tuple[Described, ...]
    """The same kernel for other SMs."""
    stage: str | None = None
    text: Text | None = None
    against: Described | None = None
    changes: tuple[Change, ...] = ()
    problem: str = ""
    checks: tuple[Check, ...] = ()
    """What speaks against the rules that did not hit it."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    """The counterparts, by their paths."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that can be shown, in their order."""
        named = [stage.name for stage in self.kernel.stages if stage.name in TEXTS]
        if any(stage.name in _CODE for stage in self.kernel.stages):  # what is said about it comes last
            named.insert(next((n for n, one in enumerate(named) if one in _ABOUT), len(named)), _SASS)
        return tuple(dict.fromkeys(named))

    def fetch_stage(self, stage: str) -> None:
        """Show the code of a stage, and the difference of that stage where one is shown."""
        try:
            text = self._text(self.entry, stage)
        except (OSError, ValueError, KeyError) as error:
            self.stage, self.text, self.changes, self.problem = stage, None, (), _sentence(error)
            return
        changes, problem = self._compared(self.against, stage, text) if self.against is not None else ((), "")
        self.stage, self.text, self.changes, self.problem = stage, text, changes, problem

    def fetch_difference(self, path: str) -> None:
        """Show how the stage differs from that of the counterpart at `path`."""
        other = next((one for one in self.others if one.path == path), None)
        if other is None or self.stage is None or self.text is None:
            self.against, self.problem = None, ""
            return
        changes, problem = self._compared(other, self.stage, self.text)
        self.against, self.changes, self.problem = other, changes, problem

    def _compared(self, other: Described, stage: str, text: Text) -> tuple[tuple[Change, ...], str]:
        """The difference to a counterpart, or why there is none; the page shows the old one until it is known."""
        try:
            return difference(self._text(self._entries[other.path], stage), text), ""
        except (OSError, ValueError, KeyError) as error:
            return (), _sentence(error)

    def fetch_next_stage(self) -> None:
        """Show the next stage."""
        stages = self.stages
        if stages:
            at = stages.index(self.stage) if self.stage in stages else -1
            self.fetch_stage(stages[(at + 1) % len(stages)])

    def fetch_next_difference(self) -> None:
        """Show the difference to the next SM; after the last one the code again."""
        paths = [one.path for one in self.others]
        at = paths.index(self.against.path) + 1 if self.against is not None else 0
        if at < len(paths):
            self.fetch_difference(paths[at])
        else:
            self.against, self.changes, self.problem = None, (), ""

    def act(self, target: tuple[str, str]) -> None:
        """What Enter does on a line of the page."""
        what, which = target
        if what == "stage":
            self.fetch_stage(which)
        elif self.against is not None and self.against.path == which:
            self.against, self.changes = None, ()
        else:
            self.fetch_difference(which)

    def _text(self, entry: Entry, stage: str) -> Text:
        if stage == _SASS:
            return disassemble(entry, self.scanner, most=BYTES_MOST)
        return stage_text(entry, self.scanner, stage, BYTES_MOST)


def load(entry: Entry, entries: Collection[Entry], scanner: Scanner, sms_here: Sequence[str] | None = None) -> Page:
    """Read an entry, its counterparts among `entries` and its first stage, and nothing else of its cache.

    `sms_here` are the SMs of the GPUs, None where not known. Raises KeyError when it is not in the scanner's picture;
    a counterpart that is not is left out.
    """
    wanted = counterparts(entry, entries)
    scanner.rescan(entry.cache, [entry.path, *(one.path for one in wanted)])
    others, described = [], []
    for one in wanted:
        with suppress(KeyError):
            described.append(describe(one, scanner))
            others.append(one)
    page = Page(scanner, entry, describe(entry, scanner), tuple(described))
    page._entries = {one.path: one for one in others}
    page.checks = checks(entry, entries, scanner, sms_here)
    first = next((stage for stage in document.FIRST if stage in page.stages), None)
    if first is not None or page.stages:
        page.fetch_stage(first or page.stages[0])
    return page


def head(page: Page, width: int) -> list[Line]:
    """What stays in sight while the page scrolls: which kernel this is, which stage is shown of which there are."""
    return [document.title(page.kernel, width), *_tabs(page, width)]


def lines(page: Page, width: int, now: float) -> list[Line]:
    """The page below its head, `width` cells wide; `now` in epoch seconds. The code stands above what it can be
    changed for."""
    kernel = page.kernel
    out = document.place(kernel, width, now)
    room = width - _SIDE - 1 if width >= _WIDE else width
    if room == width:
        out += kernel_side.verdicts(kernel, page.checks, width)
    out += document.grid(document.cells(kernel), width)
    if room == width:
        out += document.functions(kernel, width)
    shown: list[Line] = []
    if page.problem:
        shown = paragraph(page.problem, room, "err")
    elif page.text is not None and page.against is not None:
        shown = _difference(page, room)
    elif page.text is not None:
        shown = document.code(page.text, kernel.key, room, LINES_MOST)
    if room < width:
        shown = beside(shown, kernel_side.column(kernel, page.checks, _SIDE), room)
        shown += document.functions(kernel, width)
    out += shown
    out += document.stages(kernel, width, page.stage, page.stages)
    if page.others:
        out += heading("same kernel, other SM", width, f"{named('document.pin').key}: how the stage differs")
        out += [_other(page, one, width) for one in page.others]
    return out + (document.options(kernel, width) if kernel.options else [])


@dataclass(frozen=True, slots=True)
class _Tab:
    """One of a row of tabs: `mark` stands before its name."""

    name: str
    note: str
    chosen: bool
    mark: str
    word: str
    target: tuple[str, str]


def _tabs(page: Page, width: int) -> list[Line]:
    """Which stage is shown of which there are, and against which SM of which there are."""
    sizes = {stage.name: units.size(stage.size) for stage in page.kernel.stages}
    stages = [
        _Tab(document.title_of(one), sizes.get(one, ""), one == page.stage, str(n) if n < 10 else "", "fg",
             ("stage", one))
        for n, one in enumerate(page.stages, 1)
    ]  # fmt: skip
    others = [
        _Tab(", ".join(one.sm), "", page.against is not None and one.path == page.against.path,
             "▲" if one.stale else "●", "warn" if one.stale else "ok", ("other", one.path))
        for one in page.others
    ]  # fmt: skip
    return _row_of("against", others, width) + _row_of("stages", stages, width)


def _row_of(label: str, items: list[_Tab], width: int) -> list[Line]:
    """One after the other, as many lines as it takes; none for nothing. The chosen one stands in brackets."""
    out: list[Line] = []
    first = MARGIN + 9
    pen, x = Pen(width), first
    places: list[tuple[int, int, tuple[str, str]]] = []
    pen.put(MARGIN, label, "dim")
    for item in items:
        shown = clean(item.name, 24)
        room = width_of(item.mark) + width_of(shown) + width_of(item.note) + 4
        if x + room > width and x > first:
            out.append(Tabs(pen.line().marks, "", tuple(places)))
            pen, x, places = Pen(width), first, []
        start = x
        x = pen.put(x, item.mark, item.word) + 1 if item.mark else x
        x = pen.put(x, f"[{shown}]" if item.chosen else shown, "b:hi" if item.chosen else "link")
        x = pen.put(x + 1, item.note, "dim") if item.note else x
        places.append((start, x, item.target))
        x += 2
    return [*out, Tabs(pen.line().marks, "", tuple(places))] if items else []


def _other(page: Page, other: Described, width: int) -> Line:
    chosen = page.against is not None and page.against.path == other.path
    pen = Pen(width)
    pen.put(MARGIN, "▾" if chosen else "▸", "dim")
    x = pen.put(MARGIN + 2, clean(", ".join(other.sm), 24), "b:link")
    glyph, word = ("▲", "warn") if other.stale else ("●", "ok")
    x = pen.put(max(x + 2, MARGIN + 12), glyph, word)
    took = other.resources
    said = [units.size(other.size_on_disk)]
    if took is not None and took.registers is not None:
        said.append(f"{took.registers} registers")
    if took is not None and took.spills:
        said.append(f"{took.spills:,} spills")
    said += [clean(one.rule, 24) for one in other.stale[:1]]
    pen.put(x + 1, cut.head(", ".join(said), width - x - 2), "dim")
    line = pen.line()
    return Link(line.marks, line.ground, ("other", other.path))


def _difference(page: Page, width: int) -> list[Line]:
    assert page.against is not None and page.stage is not None
    mine, theirs = ", ".join(page.kernel.sm), ", ".join(page.against.sm)
    name = document.title_of(page.stage)
    out = heading(f"{name}: {clean(theirs, 24)} to {clean(mine, 24)}", width, "- and +")
    if not page.changes:
        return out + paragraph("The two are the same.", width, "dim")
    for change in page.changes[:LINES_MOST]:
        pen = Pen(width)
        pen.put(MARGIN, change.sign.replace("@", " "), _SIGNS[change.sign])
        x = MARGIN + 2
        pieces = [(change.text, _SIGNS[change.sign])] if change.sign != " " else coloured(page.stage, change.text)
        for piece, word in pieces:
            if x >= width or not (piece := cut.head(piece, width - x)):
                break
            x = pen.put(x, piece, word)
        out.append(pen.line())
    return out


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return "This stage cannot be read: it may have gone in the meantime."
    return f"{clean(str(error.args[0] if error.args else error), 400)}."
