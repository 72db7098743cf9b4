"""The editor area while a document is in front: its breadcrumbs, and its lines to scroll through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType

from cachetop.base.hostile import clean
from cachetop_tui import words
from cachetop_tui.background import in_background
from cachetop_tui.commands import registry
from cachetop_tui.cut import head
from cachetop_tui.finding import Place
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Link, Pen, Row, Tabs, sentences
from cachetop_tui.workbench.tabs import Tab

if TYPE_CHECKING:
    from cachetop_tui.documents.kernel_page import Page

_HEAD_FROM = 12
"""Lines of the view from which on a document's head stays while the rest scrolls."""
_OF_REPORTS = ("runs.result", "runs.tree")
"""The ids of commands of the runs that work in a report, too."""
_SAID = 3
"""Fewer lines say that a document is being read."""
_OF_KERNELS = ("show_stage", "turn_stage", "turn_diff")


class DocumentView(LineView):
    """Shows one document. Esc goes back to the overview, Enter pins the tab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *registry.bindings("document"),
        *(registry.named(name).binding() for name in _OF_REPORTS if registry.named(name).keys),
    ]
    DEFAULT_CSS = "DocumentView { display: none; }"
    IS_TEXT: ClassVar[bool] = True

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id="document")
        self.clock = clock
        self._tab: Tab | None = None
        self._offsets: dict[str, int] = {}
        self._laying = ("", 0)  # the document that is being laid out, and for which width

    def show(self, tab: Tab | None) -> None:
        """Show a tab where it was left, or its new lines."""
        if self._tab is not None:
            self._offsets[self._tab.document.key] = self._offset
        if tab is not None and (self._tab is None or self._tab.document.key != tab.document.key):
            self._offset = self._offsets.get(tab.document.key, 0)
            self._cursor, self.touched, self.placed = None, False, False
            self.unfolded = {}
            self.find = None
        self._tab = tab
        self.update_lines()

    def update_lines(self, quiet: bool = False, arrived: bool = False) -> None:
        """See `RowView`. What was looked for while nothing was there yet is looked for again."""
        reading = len(self._rows) < _SAID
        super().update_lines(quiet, arrived)
        if self.find is not None and (self.find.missing or (reading and len(self._rows) >= _SAID)):
            self.find_again()

    @property
    def link(self) -> Link | None:
        """The link under the cursor, where that is in sight."""
        row = self.cursor if self._in_sight(self._index()) else None
        subject = row.subject if row is not None else None
        return subject if isinstance(subject, Link) else None

    def headers(self, width: int) -> list[Line]:
        """The breadcrumbs, and below them the head of a document that has one."""
        head = self._head(width) if self.size.height >= _HEAD_FROM else []
        return [self._breadcrumbs(width, len(head)), *head]

    def _head(self, width: int) -> list[Line]:
        """The lines of the document in front that stay in sight."""
        tab = self._tab
        if tab is None or tab.problem or tab.record is None or tab.document.head is None:
            return []
        return tab.document.head(tab.record, width)

    def _draw(self, top: Sequence[Line] | None = None, quiet: bool = False) -> None:
        super()._draw(None, quiet)  # the breadcrumbs say which lines are in sight, which is known only by now

    def _breadcrumbs(self, width: int, below: int) -> Line:
        """Where the document belongs; with `below` lines of a head also which of its other lines are in sight."""
        pen = Pen(width, "head")
        if self.has_focus:
            pen.put(0, "▎", "accent")
        x = 2
        trail = self._tab.document.trail if self._tab else ()
        for i, step in enumerate(trail):
            last = i == len(trail) - 1
            x = pen.put(x, head(clean(step, 200), width - x - 2), "b:hi" if last else "dim")
            if not last:
                x = pen.put(x, " › ", "faint")
        if x + 34 < width:
            leave, close = (registry.named(name).key for name in ("document.leave", "tab.close"))
            shown: tuple[str, ...] = (leave, "b:fg", " overview  ", "dim", close, "b:fg", " close", "dim")
            result = registry.named("runs.result").key
            if result and self._tab is not None and self._tab.document.key.startswith("job\0"):
                shown = (result, "b:fg", " result  ", "dim", *shown)
            keys = pen.right(width - 1, *shown)
            room = self.size.height - 1 - below
            if below and len(self._rows) > room:
                until = min(len(self._rows), self._offset + room)
                said = f"{self._offset + 1} to {until} of {len(self._rows)}"
                if x + len(said) + 4 < keys:
                    pen.right(keys - 3, said, "dim")
        return pen.line()

    def rows(self, width: int, height: int) -> list[Row]:
        """One row for each line; the cursor stands on none, so that moving it scrolls. A tree has rows that fold."""
        tab = self._tab
        if tab is None:
            return []
        if tab.problem:
            made = _said(tab.problem, width, "err")
        elif tab.record is None:
            made = _said("reading …", width, "live")
        elif tab.document.rows is not None:
            return tab.document.rows(tab.record, self.unfolded, width)
        elif tab.document.slow:
            return self._laid_out(tab, width)
        else:
            made = tab.document.lines(tab.record, width, self.clock())
            if self.size.height < _HEAD_FROM:
                made = self._head(width) + made
        return _rows(made)

    def _laid_out(self, tab: Tab, width: int) -> list[Row]:
        """The rows of a document that takes long to lay out: once they are there, until then those of another width."""
        laid = tab.laid if tab.laid is not None and tab.laid[0] is tab.record else None
        if (laid is None or laid[1] != width) and self._laying != (tab.document.key, width):
            self._laying = (tab.document.key, width)
            self.run_worker(self._lay_out(tab, width), exit_on_error=False)
        return laid[2] if laid is not None else _rows(_said("laying it out …", width, "live"))

    async def _lay_out(self, tab: Tab, width: int) -> None:
        record = tab.record
        try:
            rows = await in_background(lambda: _rows(tab.document.lines(record, width, self.clock())))
        finally:
            self._laying = ("", 0)
        tab.laid = (record, width, rows)
        if self._tab is tab:
            self.update_lines()

    def folded(self) -> Iterator[Place]:
        """See `LineView`."""
        tab = self._tab
        places = tab.document.places if tab is not None and tab.record is not None else None
        return places(tab.record) if tab is not None and places is not None else iter(())

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        made: Line = row.subject
        return self.found_in(made)

    def action_open(self) -> None:
        """What Enter does: a second click does it too."""
        self.run_worker(self.screen.run_action("screen.pin"), exit_on_error=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is for kernels or reports alone is left to others elsewhere: the digits are the panes' there."""
        kind = self._tab.document.key.partition("\0")[0] if self._tab is not None else ""
        return (action not in _OF_KERNELS or kind == "kernel") and (action != "read" or kind == "job")

    def action_read(self, what: str) -> None:
        """Open the `result` of the run whose report is in front, or that as a `tree`."""
        from cachetop_tui.panel.acting import ReportWanted

        job_id = self._tab.document.key.partition("\0")[2] if self._tab is not None else ""
        jobs = getattr(self.screen, "jobs", None)
        job = next((one for one in (jobs.jobs if jobs is not None else ()) if one.id == job_id), None)
        if job is not None:
            self.post_message(ReportWanted(job, what))

    @property
    def _page(self) -> Page | None:
        """The kernel in front, once it is read."""
        from cachetop_tui.documents.kernel_page import Page

        record = self._tab.record if self._tab is not None else None
        return record if isinstance(record, Page) else None

    def action_find_text(self) -> None:
        """Find text in the document, as the key that filters a list does here."""
        self.action_find()

    async def action_show_stage(self, number: int) -> None:
        """Show stage `number` of a kernel's code, counted from 1 as its tabs are."""
        page = self._page
        if page is not None and number > len(page.stages):
            said = f"There is no stage {number}: this entry has {words.count(len(page.stages), 'stage')} to show."
            self.notify(said, severity="warning", markup=False)
        elif page is not None:
            await self._turn(lambda page: page.fetch_stage(page.stages[number - 1]))

    async def action_turn_stage(self) -> None:
        """Show the next stage of a kernel's code."""
        await self._turn(lambda page: page.fetch_next_stage())

    async def action_turn_diff(self) -> None:
        """Show how the stage differs from the same kernel for the next SM; after the last the code again."""
        await self._turn(lambda page: page.fetch_next_difference())

    async def _turn(self, fetch: Callable[[Page], None]) -> None:
        tab, page = self._tab, self._page
        if page is not None:
            await in_background(fetch, page)
            if self._tab is tab:
                self.update_lines()

    def on_click(self, event: events.Click) -> None:
        """What is clicked in a row of tabs comes to the front; elsewhere as in every list."""
        top = self.headers(self.size.width)
        at = event.y - len(top) + self._offset
        line = None
        if event.button == 1:
            line = top[event.y] if event.y < len(top) else self._rows[at].subject if at < len(self._rows) else None
        target = line.at(event.x) if isinstance(line, Tabs) else None
        if target is not None:
            event.prevent_default()
            self.run_worker(self._turn(lambda page: page.act(target)), exit_on_error=False)

    def action_page(self, by: int) -> None:
        """A page up (-1) or down (1), also where no link stands."""
        self._scroll(by * max(1, self.size.height - 2))

    def _in_sight(self, index: int | None) -> bool:
        return index is not None and 0 <= index - self._offset < self.size.height - len(self.headers(self.size.width))

    def action_move(self, by: int) -> None:
        """To the next link, or on by a line where the one under the cursor is out of sight."""
        index = self._index()
        if index is not None and not self._in_sight(index):
            self._scroll(by)
        else:
            super().action_move(by)

    def action_edge(self, which: int) -> None:
        """The beginning (0) or the end (-1), with the cursor on the link that is nearest."""
        super().action_edge(which)
        self._scroll(-len(self._rows) if which == 0 else len(self._rows))


def _rows(lines: Sequence[Line]) -> list[Row]:
    return [_row(i, line) for i, line in enumerate(lines)]


def _row(number: int, line: Line) -> Row:
    if isinstance(line, Link):
        return Row(f"link\0{line.target}", "link", line)
    return Row(str(number), "line", line, fixed=True)


def _said(text: str, width: int, word: str) -> list[Line]:
    out = [Line()]
    for part in sentences(text, width - 4):
        pen = Pen(width)
        pen.put(2, part, word)
        out.append(pen.line())
    return out
