"""Rows under fixed header lines, with a cursor; of a new picture only what changed is sent to the terminal.

Subclasses say which rows there are (`rows`) and how one looks (`line`); only the rows in sight are ever made
into lines. The view keeps the cursor on its row when rows come and go, and where it stands on the screen. In
another pane's turn a cursor that somebody moved stays to be seen, fainter, and a thumb at the right edge says
which part of a longer list is in sight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cachetop_tui import themes
from cachetop_tui.finding import Find
from cachetop_tui.listing import find, nearest, step
from cachetop_tui.marks import Line, Row
from cachetop_tui.paint import Canvas
from cachetop_tui.themes.palette import Palette

SLIP = 0.5
"""Seconds after the cursor's row went in which Enter and Space do nothing: they were meant for it."""

_THUMB = 3
"""Lines that a list must have for a thumb beside it to say anything."""

Shown = tuple[Line, str, bool, bool]
"""A line as it was painted: its ground, whether its row is marked, whether the thumb stands beside it."""


class RowView(Widget, can_focus=True):
    """The rows, the cursor and the scrolling; what keys and the mouse do is the business of `LineView`."""

    BACKGROUND: ClassVar[str] = "bg"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row] = ()
        self._cursor: str | None = None
        self._at: int | None = None
        self._displaced = -SLIP
        self._offset = 0
        self._shown: list[Shown] = []
        self._strips: list[Strip] = []
        self._look: tuple[object, int] = (None, 0)
        self.touched = False
        """Whether somebody moved the cursor since the list got the focus, so that no row may move under it."""
        self.placed = False
        """Whether somebody ever moved the cursor. Until then it stands on the first row."""
        self.marked: dict[str, Row] = {}  # the rows that were marked, by key
        self.moved: Callable[[], None] = lambda: None  # whom to tell that the cursor stands on another row
        self._told: str | None = None
        self.find: Find | None = None  # what is being looked for by typing

    # What subclasses say

    def headers(self, width: int) -> list[Line]:
        """The lines that stay at the top."""
        return []

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """All rows, for `height` lines below the headers."""
        return ()

    def line(self, row: Row, width: int) -> Line:
        """How `row` looks."""
        raise NotImplementedError

    @property
    def whole(self) -> bool:
        """Whether all rows that can be reached are among `rows`, so that one which is not is gone."""
        return True

    # State

    @property
    def cursor(self) -> Row | None:
        """The row under the cursor."""
        index = self._index()
        return None if index is None else self._rows[index]

    @property
    def shown_rows(self) -> Sequence[Row]:
        """All rows, as they were last made."""
        return self._rows

    @property
    def cursor_line(self) -> int:
        """The line of the view on which the cursor's row stands, headers counted; 0 without a cursor."""
        index = self._index()
        return 0 if index is None else index - self._offset + len(self.headers(self.size.width))

    @property
    def texts(self) -> list[str]:
        """The words of every line in sight, headers included."""
        return [line.text for line, *_ in self._shown]

    def update_lines(self, quiet: bool = False, arrived: bool = False) -> None:
        """Make the rows anew and repaint the lines that changed; `quiet`: while they are being asked for anyway,
        `arrived`: because of news, so that the person at the keys cannot know it yet."""
        if self.size.height == 0 or not (quiet or self.is_mounted):
            return
        width = self.size.width
        top = self.headers(width)[: self.size.height]
        before = self._index()
        self._rows = self.rows(width, self.size.height - len(top))
        self._follow(before, self.size.height - len(top), arrived)
        self._draw(top, quiet)

    def _index(self) -> int | None:
        self._at = find(self._rows, self._cursor, self._at)
        return self._at

    def _follow(self, before: int | None, room: int, arrived: bool) -> None:
        """Keep the cursor on its row and, when rows above it came or went, at its height on the screen.

        A pane that is not in focus may show few of its rows; then the cursor's one is looked for again later.
        """
        self._at = before
        now = self._index() if self.placed else None
        most = len(self._rows) - room
        if now is None:
            if self.placed and not (self.has_focus and self.whole):
                self._offset = max(0, min(self._offset, most))
                return
            now = nearest(self._rows, (before or 0) if self.placed else 0)
            if now is None:
                self._cursor, self._offset = None, min(self._offset, max(0, most))
                return
            if self.placed and arrived:
                self._displaced = time.monotonic()
            self._cursor, self._at = self._rows[now].key, now
        elif before is not None and now != before:
            self._offset += now - before
            if self.has_focus:  # rather rows out of sight, and room below, than the row moving under the cursor
                most = max(most, self._offset)
        self._offset = max(0, min(self._offset, most))

    def _draw(self, top: Sequence[Line] | None = None, quiet: bool = False) -> None:
        width, height = self.size
        palette = themes.current(self.app)
        fresh = self._look != (palette, width)
        self._look = (palette, width)
        lines = list(self.headers(width)[:height] if top is None else top)
        if self.find is not None:
            lines[:1] = [self.find.line(width)]
        wanted: list[Shown] = [(line, "", False, False) for line in lines]
        thumb = self._thumb(height - len(lines))
        ground = "sel" if self.has_focus else "sel2" if self.placed else ""
        for y, row in enumerate(self._rows[self._offset : self._offset + height - len(lines)]):
            chosen = ground if row.key == self._cursor else ""
            wanted.append((self.line(row, width), chosen, row.key in self.marked, y in thumb))
        wanted += [(Line(), "", False, False)] * (height - len(wanted))
        strips: list[Strip] = []
        changed: list[Region] = []
        for y, item in enumerate(wanted):
            if not fresh and y < len(self._shown) and self._shown[y] == item:
                strips.append(self._strips[y])
                continue
            strips += self._paint(item, palette)
            changed.append(Region(0, y, width, 1))
        self._shown, self._strips = wanted, strips
        if changed and not quiet:
            self.refresh(*changed)
        if self.has_focus and not quiet and self._cursor != self._told:
            self._told = self._cursor
            self.moved()

    def _paint(self, item: Shown, palette: Palette) -> list[Strip]:
        line, ground, marked, thumb = item
        canvas = Canvas(self.size.width, 1, self.BACKGROUND, palette)
        line.paint(canvas, ground)
        if ground == "sel2":  # where its ground is no other than the rest's, this tells it
            canvas.put(0, 0, "▎", "faint")
        if marked:
            canvas.put(0, 0, "✓", "warn")
        if thumb and canvas.free(canvas.width - 1, 0):
            canvas.put(canvas.width - 1, 0, "▐", "rule")
        return canvas.strips()

    def _thumb(self, room: int) -> range:
        """The lines beside which the thumb stands, of `room`; none where everything is in sight."""
        total = len(self._rows)
        if room < _THUMB or total <= room:
            return range(0)
        length = max(1, round(room * room / total))
        start = round(min(1.0, self._offset / (total - room)) * (room - length))
        return range(start, start + length)

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the cursor, or that it is not the one that keys move."""
        super().watch_has_focus(has_focus)
        if not has_focus:
            self.find = None
        self.update_lines()
        self._into_sight()

    def on_resize(self) -> None:
        """Lay the lines out for the new size."""
        self.update_lines()
        self._into_sight()

    def _into_sight(self) -> None:
        """Scroll to the cursor that somebody placed."""
        index = self._index() if self.placed else None
        room = self.size.height - len(self.headers(self.size.width)) if index is not None else 0
        if index is not None and room > 0 and not 0 <= index - self._offset < room:
            self._offset = max(0, min(index, self._offset) if index < self._offset else index - room + 1)
            self._draw()

    def render_line(self, y: int) -> Strip:
        """A finished line, as Textual asks for it; in the first frame before it tells the size."""
        if self._look[1] != self.size.width or len(self._strips) != self.size.height:
            self.update_lines(quiet=True)
        if y < len(self._strips) and self._strips[y].cell_length == self.size.width:
            return self._strips[y]
        return Strip.blank(self.size.width, themes.current(self.app).style("fg", self.BACKGROUND))

    # Moving

    def _go(self, index: int, middle: bool = False) -> None:
        row = self._rows[index]
        self.touched = self.placed = True
        self._cursor, self._at = row.key, index
        room = max(1, self.size.height - len(self.headers(self.size.width)))
        if middle and not self._offset <= index < self._offset + room:
            self._offset = max(0, min(index - room // 2, len(self._rows) - room))
        elif index < self._offset:
            self._offset = index
        elif index >= self._offset + room:
            self._offset = index - room + 1
        self._draw()

    def action_move(self, by: int) -> None:
        """One row up (-1) or down (1)."""
        index = self._index()
        if index is None:
            self._scroll(by)
            return
        target = step(self._rows, index + by, by)
        if target is None:
            self._scroll(by)  # rows the cursor cannot reach may still be out of sight
        else:
            self._go(target)

    def action_page(self, by: int) -> None:
        """One page up (-1) or down (1)."""
        index = self._index()
        room = max(1, self.size.height - len(self.headers(self.size.width)) - 1)
        if index is None:
            self._scroll(by * room)
            return
        wanted = max(0, min(len(self._rows) - 1, index + by * room))
        target = step(self._rows, wanted, by)
        if target is None:
            target = step(self._rows, wanted, -by)
        if target is not None:
            self._go(target)

    def action_edge(self, which: int) -> None:
        """The first row (0) or the last (-1)."""
        target = step(self._rows, 0, 1) if which == 0 else step(self._rows, len(self._rows) - 1, -1)
        if target is not None:
            self._go(target)

    def _scroll(self, by: int) -> None:
        room = self.size.height - len(self.headers(self.size.width))
        self._offset = max(0, min(self._offset + by, len(self._rows) - room))
        self._draw()

    def in_sight(self) -> list[tuple[int, str]]:
        """(line of the view, key) of every row in sight on which the cursor can stand."""
        top = len(self.headers(self.size.width))
        seen = self._rows[self._offset : self._offset + self.size.height - top]
        return [(top + y, row.key) for y, row in enumerate(seen) if not row.fixed]

    def go_to(self, key: str, middle: bool = False) -> None:
        """Put the cursor on a row, if it is still there; `middle`: if it was out of sight, with rows all around it."""
        index = find(self._rows, key, self._at)
        if index is not None:
            self._go(index, middle)
