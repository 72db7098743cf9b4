"""A list of lines with a cursor: what keys and the mouse do with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from cachetop_tui.commands import registry
from cachetop_tui.finding import Find, Place
from cachetop_tui.listing import Listing, parent, step
from cachetop_tui.marks import Line, Row
from cachetop_tui.rowview import SLIP, RowView

_WHEEL = 3
_FOUND = "b:ink@warn"
"""How text that was looked for is written."""


class LineView(RowView, can_focus=True):
    """Rows under fixed header lines, with keyboard, mouse and folding.

    Up and down move; right unfolds or enters; left folds or goes to the parent. Enter
    opens the row where it `opens`, Space marks it where it `marks`; elsewhere both fold and unfold.
    `find` goes to a row by a part of its name, letter by letter, and unfolds what it is in.
    """

    BINDINGS: ClassVar[list[BindingType]] = registry.bindings("list")
    DEFAULT_CSS = "LineView { width: 1fr; height: 1fr; background: $background; }"
    IS_TEXT: ClassVar[bool] = False  # whether it is read: every line can be found, Enter goes from one to the next
    FOLDS: ClassVar[bool] = True  # whether any of its rows folds
    LETTERS_FIND: ClassVar[bool] = False  # whether a letter finds at once, as in VS Code's explorer, and is no key

    class Opened(Message):
        """Somebody wants to see what a row stands for."""

        def __init__(self, view: LineView, row: Row) -> None:
            super().__init__()
            self.view = view
            self.row = row

    class Marked(Message):
        """Rows were marked, or are no more."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.unfolded: dict[str, bool] = {}  # what the person unfolded (True) or folded; the rest is up to `rows`
        self.opens: Callable[[Row], bool] = lambda row: False  # whether Enter opens a row: the workbench says so
        self.marks: Callable[[Row], bool] = lambda row: False  # whether Space marks a row
        self.label: Callable[[Row], str] = self._text  # what finding looks through in a row
        self._began: tuple[dict[str, bool], str | None, int] = ({}, None, 0)  # what was unfolded, where one was
        self._sought = ""  # what was looked for last

    # Opening and marking

    def action_open(self) -> None:
        """Open the row under the cursor, or fold and unfold it."""
        if self._slipped():
            return
        row = self.cursor
        if row is not None and self.opens(row):
            self.post_message(self.Opened(self, row))
        else:
            self.action_flip()

    def _slipped(self) -> bool:
        """Whether the row under the cursor went just now, so that a key meant for it would hit its neighbour."""
        return time.monotonic() - self._displaced < SLIP

    def action_mark(self) -> None:
        """Mark the row under the cursor or take its mark away, and go down; or fold and unfold it."""
        if self._slipped():
            return
        row = self.cursor
        if row is None or not self.marks(row):
            return self.action_flip()
        if self.marked.pop(row.key, None) is None:
            self.marked[row.key] = row
        self.action_move(1)
        self._draw()
        self.post_message(self.Marked())

    def unmark(self) -> None:
        """Take every mark away."""
        self.marked.clear()
        self._draw()

    # Finding

    def _text(self, row: Row) -> str:
        return self.line(row, max(self.size.width, 200)).text

    def folded(self) -> Iterator[Place]:
        """What finding looks through after the rows: everything that folds, whether it is among them or not."""
        return iter(())

    def found_in(self, line: Line) -> Line:
        """A line of a text, with what is being looked for marked in it."""
        return line if self.find is None else line.marked(self.find.text, _FOUND)

    def action_find(self) -> None:
        """Go to a row by typing a part of its name."""
        self._find()

    def _find(self, opens: bool = False) -> None:
        self._began = (dict(self.unfolded), self._cursor, self._offset)
        self.find = Find(self._from_here, opens=opens, text=self.IS_TEXT, last=self._sought)
        self._draw()

    def _from_here(self) -> Iterator[Place]:
        self._go_back()
        return self._places(self._rows, self._index() or 0)

    def _go_back(self) -> None:
        """To where one was when finding began."""
        unfolded, cursor, offset = self._began
        self._unfold(unfolded)
        self._cursor, self._offset = cursor, offset

    def _places(self, rows: Sequence[Row], start: int) -> Iterator[Place]:
        """Every row from `start` on and round the end, then what is folded.

        Rows that the cursor steps over count if there are no others, or in a text.
        """
        steps_over = not self.IS_TEXT and any(not row.fixed for row in rows)
        for n in range(len(rows)):
            row = rows[(start + n) % len(rows)]
            if not (row.fixed and steps_over):
                yield Place(row.key, self.label(row))
        yield from self.folded()

    async def on_key(self, event: events.Key) -> None:
        """While something is being looked for, what is typed belongs to it; so does a letter where letters find."""
        if self.find is None:
            letter = event.is_printable and event.key.isalpha() and len(event.key) == 1
            if not (self.LETTERS_FIND and letter) or event.key in registry.keys_of("view.side", "view.glance"):
                return
            self._find(opens=True)
        find = self.find
        assert find is not None
        step = find.take(event.key, event.character if event.is_printable else None)
        if step is not None:
            event.stop()
            event.prevent_default()
            if find.left:
                self._go_back()
            elif not find.over:
                await self._seek(find, step)
        if find.over and self.find is find:
            self.find, self._sought = None, find.text or self._sought
        self._draw()

    async def _seek(self, find: Find, step: int) -> None:
        place = await find.seek(step)
        if place is not None and self.find is find:  # else the focus went elsewhere meanwhile
            self._unfold({**self._began[0], **dict.fromkeys(place.above, True)})
            self.go_to(place.key, middle=True)
        self._draw()

    def find_again(self) -> None:
        """Look for the same in other rows."""
        if self.find is not None:
            self.find.look_for(self.find.text)
            self.run_worker(self._seek(self.find, 0), exit_on_error=False)

    def _unfold(self, unfolded: dict[str, bool]) -> None:
        """Let these rows be unfolded or folded by hand, and no others."""
        if unfolded != self.unfolded:
            self.unfolded.clear()  # others hold on to it
            self.unfolded.update(unfolded)
            self.touched = self.placed = True
            self.update_lines()

    # Folding

    def action_fold_all(self) -> None:
        """Fold every row, and go to the one in which the cursor was."""
        for row in self._rows.made if isinstance(self._rows, Listing) else self._rows:  # a run has none unfolded
            if row.open:
                self.unfolded[row.key] = False
        self.update_lines()

    def _set_open(self, row: Row, value: bool) -> None:
        self.touched = self.placed = True
        self.unfolded[row.key] = value
        self.update_lines()

    def action_flip(self) -> None:
        """Fold or unfold the row under the cursor."""
        row = self.cursor
        if row is not None and row.open is not None:
            self._set_open(row, not row.open)

    def action_unfold(self) -> None:
        """Unfold the row under the cursor, or go to the first row below it."""
        index = self._index()
        if index is None or self._rows[index].open is None:
            return
        row = self._rows[index]
        if not row.open:
            self._set_open(row, True)
        elif index + 1 < len(self._rows) and self._rows[index + 1].depth > row.depth:
            target = step(self._rows, index + 1, 1)
            if target is not None:
                self._go(target)

    def action_fold(self) -> None:
        """Fold the row under the cursor, or go to the row it belongs to."""
        index = self._index()
        if index is None:
            return
        row = self._rows[index]
        if row.open:
            self._set_open(row, False)
            return
        above = parent(self._rows, index)
        if above is not None:
            self._go(above)

    # Events

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll; the cursor stays where it is."""
        event.stop()
        self._scroll(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll; the cursor stays where it is."""
        event.stop()
        self._scroll(-_WHEEL)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row, or the one that it belongs to; on its twisty, or a second time, fold it."""
        top = len(self.headers(self.size.width))
        at = step(self._rows, min(event.y - top + self._offset, len(self._rows)), -1) if event.y >= top else None
        if at is None or event.y - top + self._offset >= len(self._rows):
            return
        row = self._rows[at]
        again = row.key == self._cursor and event.chain > 1
        self._go(at)
        if row.open is not None and event.x == 1 + 2 * row.depth:
            self._set_open(row, not row.open)
        elif again:
            self.action_open()
