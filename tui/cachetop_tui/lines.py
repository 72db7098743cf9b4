"""A list of lines with a cursor, that sends to the terminal only what changed.

Subclasses say which rows there are (`rows`) and how one looks (`line`); only the rows in sight are ever made
into lines. The view keeps the cursor on its row when rows come and go, and where it stands on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cachetop_tui import themes
from cachetop_tui.commands import registry
from cachetop_tui.finding import Find
from cachetop_tui.listing import Listing, find, nearest, parent, step
from cachetop_tui.marks import Line, Row
from cachetop_tui.paint import Canvas

_WHEEL = 3
_SLIP = 0.5
"""Seconds after the cursor's row went in which Enter and Space do nothing: they were meant for it."""


class LineView(Widget, can_focus=True):
    """Rows under fixed header lines, with keyboard, mouse and folding.

    Up and down move; right unfolds or enters; left folds or goes to the parent. Enter
    opens the row where it `opens`, Space marks it where it `marks`; elsewhere both fold and unfold.
    `find` goes to a row by a part of its name, letter by letter.
    """

    BINDINGS: ClassVar[list[BindingType]] = registry.bindings("list")
    DEFAULT_CSS = "LineView { width: 1fr; height: 1fr; background: $background; }"
    BACKGROUND: ClassVar[str] = "bg"
    FINDS_FIXED: ClassVar[bool] = False  # whether finding leads to rows too that the cursor steps over
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
        self._rows: Sequence[Row] = ()
        self._cursor: str | None = None
        self._at: int | None = None
        self._displaced = -_SLIP
        self._offset = 0
        self._shown: list[tuple[Line, str, bool]] = []
        self._strips: list[Strip] = []
        self._look: tuple[object, int] = (None, 0)
        self.touched = False
        """Whether somebody moved the cursor since the list got the focus. Until then it stands on the first row."""
        self.unfolded: dict[str, bool] = {}  # what the person unfolded (True) or folded; the rest is up to `rows`
        self.marked: dict[str, Row] = {}  # the rows that were marked, by key
        self.opens: Callable[[Row], bool] = lambda row: False  # whether Enter opens a row: the workbench says so
        self.marks: Callable[[Row], bool] = lambda row: False  # whether Space marks a row
        self.label: Callable[[Row], str] = self._text  # what finding looks through in a row
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
        return [line.text for line, _, _ in self._shown]

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
        """Keep the cursor on its row and, when rows above it came or went, at its height on the screen."""
        self._at = before
        now = self._index() if self.touched else None
        most = len(self._rows) - room
        if now is None:
            now = nearest(self._rows, (before or 0) if self.touched else 0)
            if now is None:
                self._cursor, self._offset = None, min(self._offset, max(0, most))
                return
            if self.touched and arrived:
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
        wanted: list[tuple[Line, str, bool]] = [(line, "", False) for line in lines]
        for row in self._rows[self._offset : self._offset + height - len(lines)]:
            chosen = self.has_focus and row.key == self._cursor
            wanted.append((self.line(row, width), "sel" if chosen else "", row.key in self.marked))
        wanted += [(Line(), "", False)] * (height - len(wanted))
        strips: list[Strip] = []
        changed: list[Region] = []
        for y, item in enumerate(wanted):
            if not fresh and y < len(self._shown) and self._shown[y] == item:
                strips.append(self._strips[y])
                continue
            canvas = Canvas(width, 1, self.BACKGROUND, palette)
            item[0].paint(canvas, item[1])
            if item[2]:
                canvas.put(0, 0, "✓", "warn")
            strips += canvas.strips()
            changed.append(Region(0, y, width, 1))
        self._shown, self._strips = wanted, strips
        if changed and not quiet:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """A finished line, as Textual asks for it; in the first frame before it tells the size."""
        if self._look[1] != self.size.width or len(self._strips) != self.size.height:
            self.update_lines(quiet=True)
        if y < len(self._strips) and self._strips[y].cell_length == self.size.width:
            return self._strips[y]
        return Strip.blank(self.size.width, themes.current(self.app).style("fg", self.BACKGROUND))

    # Moving

    def _go(self, index: int) -> None:
        row = self._rows[index]
        self.touched = True
        self._cursor = row.key
        room = max(1, self.size.height - len(self.headers(self.size.width)))
        if index < self._offset:
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

    def go_to(self, key: str) -> None:
        """Put the cursor on a row, if it is still there."""
        index = find(self._rows, key, self._at)
        if index is not None:
            self._go(index)

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
        return time.monotonic() - self._displaced < _SLIP

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

    def action_find(self) -> None:
        """Go to a row by typing a part of its name."""
        self.find = Find(self._cursor, self._offset)
        self._draw()

    async def on_key(self, event: events.Key) -> None:
        """While something is being looked for, what is typed belongs to it; so does a letter where letters find."""
        if self.find is None:
            letter = event.is_printable and event.key.isalpha() and len(event.key) == 1
            if not (self.LETTERS_FIND and letter) or event.key in registry.keys_of("view.side", "view.glance"):
                return
            self.action_find()
        assert self.find is not None
        step = self.find.take(event.key, event.character if event.is_printable else None)
        if step is None:
            self.find = None
            self._draw()
            return
        event.stop()
        event.prevent_default()
        if self.find.left:
            self._cursor, self._offset = self.find.start
            self.find = None
        else:
            found = await self.find.seek(self._rows, self.label, self._index() or 0, step, self.FINDS_FIXED)
            if found is not None:
                self.go_to(found.key)
        self._draw()

    # Folding

    def action_fold_all(self) -> None:
        """Fold every row, and go to the one in which the cursor was."""
        for row in self._rows.made if isinstance(self._rows, Listing) else self._rows:  # a run has none unfolded
            if row.open:
                self.unfolded[row.key] = False
        self.update_lines()

    def _set_open(self, row: Row, value: bool) -> None:
        self.touched = True
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

    def on_resize(self) -> None:
        """Lay the lines out for the new width."""
        self.update_lines()

    def on_focus(self) -> None:
        """Show the cursor."""
        self._draw()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.find = None
        self.update_lines()

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
