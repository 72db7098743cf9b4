"""A list of documents to choose from: recent files, then a folder, by keyboard or mouse."""

from __future__ import annotations

import os
from typing import ClassVar

from textual import events, work
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cachetop.base.hostile import clean
from cachetop.base.units import size
from cachetop_tui import themes
from cachetop_tui.background import in_background
from cachetop_tui.cut import head, middle, path_name
from cachetop_tui.dialogs import folders
from cachetop_tui.dialogs.fields import BACKGROUND
from cachetop_tui.dialogs.folders import Entry, Listing
from cachetop_tui.paint import Canvas

_GLYPHS = {"parent": "↑", "recent": "○", "folder": "▸", "document": " ", "other": " "}


class FilePicker(Widget, can_focus=True):
    """Rows of one folder. Enter opens a folder or takes a document, Space marks several, Backspace goes up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-8)", "page up", show=False),
        Binding("pagedown", "move(8)", "page down", show=False),
        Binding("home", "move(-99999)", "first", show=False),
        Binding("end", "move(99999)", "last", show=False),
        Binding("enter,right", "open", "open or take", show=False),
        Binding("space", "mark", "mark", show=False),
        Binding("backspace,left", "up", "parent folder", show=False),
    ]
    DEFAULT_CSS = "FilePicker { height: 1fr; min-height: 3; width: 1fr; }"

    class Taken(Message):
        """Enter on a document: the files to convert are chosen."""

    class Typed(Message):
        """A character was typed in the list: it belongs into the path."""

        def __init__(self, character: str) -> None:
            super().__init__()
            self.character = character

    class Marked(Message):
        """The marked files changed."""

    class Listed(Message):
        """Another folder is shown; `problem` says why it is empty where it could not be read."""

        def __init__(self, folder: str, problem: str | None) -> None:
            super().__init__()
            self.folder = folder
            self.problem = problem

    def __init__(self, folder: str, recent: tuple[str, ...] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.folder = folder
        self.files: tuple[str, ...] = ()
        """The chosen files, absolute, in the order they were chosen."""
        self._recent = recent
        self._rows: tuple[Entry, ...] = ()
        self._cut = False
        self._cursor = 0
        self._came_from: str | None = None
        self._reading = True

    def on_mount(self) -> None:
        """Read the first folder."""
        self.look(self.folder)

    @work(exclusive=True, group="listing", exit_on_error=False)
    async def look(self, folder: str, prefix: str = "") -> None:
        """List `folder`, only the names that start with `prefix`, off the event loop."""
        self._reading = True
        found, recent = await in_background(_look, folder, prefix, self._recent)
        moved = found.folder != self.folder
        self.folder, self._cut, self._reading = found.folder, found.cut, False
        self._rows = (*recent, *found.entries)
        back = next(
            (i for i, row in enumerate(self._rows) if row.path == self._came_from and row.kind == "folder"), None
        )
        first = next((i for i, row in enumerate(self._rows) if row.kind != "parent"), 0)
        self._cursor = back if back is not None else first if moved or prefix or not self._cursor else self._cursor
        self._cursor = max(0, min(self._cursor, len(self._rows) - 1))
        self._came_from = None
        self.refresh()
        self.post_message(self.Listed(found.folder, found.problem))

    def take(self, path: str) -> None:
        """Choose just this file."""
        self.files = (path,)
        self.refresh()
        self.post_message(self.Marked())

    @property
    def row(self) -> Entry | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    def action_move(self, by: int) -> None:
        """Move the cursor; beyond the ends the focus goes to the neighbouring field."""
        target = self._cursor + by
        if abs(by) == 1 and not 0 <= target < len(self._rows):
            if by > 0:
                self.screen.focus_next()
            else:
                self.screen.focus_previous()
            return
        self._cursor = max(0, min(target, len(self._rows) - 1))
        self.refresh()

    def action_open(self) -> None:
        """Open the folder, or take the document and whatever is marked."""
        row = self.row
        if row is None:
            return
        if row.kind in ("folder", "parent"):
            self._came_from = self.folder if row.kind == "parent" else None
            self.look(row.path)
            return
        if row.path not in self.files:
            self.take(row.path) if len(self.files) < 2 else self.action_mark()
        self.post_message(self.Taken())

    def action_mark(self) -> None:
        """Mark the file, or take its mark away, and go on to the next row."""
        row = self.row
        if row is None or row.kind in ("folder", "parent"):
            return
        gone = row.path in self.files
        self.files = tuple(f for f in self.files if f != row.path) if gone else (*self.files, row.path)
        self._cursor = min(self._cursor + 1, len(self._rows) - 1)
        self.refresh()
        self.post_message(self.Marked())

    def action_up(self) -> None:
        """The parent folder, with the cursor on the folder it came from."""
        if self.folder != "/":
            self._came_from = self.folder
            self.look(os.path.dirname(self.folder.rstrip("/")) or "/")

    def render_line(self, y: int) -> Strip:
        """A row, as Textual asks for it."""
        canvas = Canvas(self.size.width, 1, BACKGROUND, themes.current(self.app))
        index = y + self._offset
        if index < len(self._rows):
            self._paint(canvas, self._rows[index], index == self._cursor)
        elif y == 0:
            text = "reading the folder" if self._reading else "no such name in this folder"
            canvas.put(2, 0, text, "dim")
        elif index == len(self._rows) and self._cut:
            canvas.put(4, 0, f"only the first {folders.MOST:,} entries were looked at: type a path", "dim")
        return canvas.strips()[0]

    @property
    def _offset(self) -> int:
        return max(0, min(self._cursor - self.size.height + 1 + (self._cursor + 1 < len(self._rows)), self._cursor))

    def _paint(self, canvas: Canvas, row: Entry, here: bool) -> None:
        if here:
            canvas.fill(0, canvas.width, 0, "sel" if self.has_focus else "sel2")
        if self.has_focus and here:
            canvas.put(0, 0, "▎", "accent")
        marked = row.path in self.files
        canvas.put(2, 0, "✓" if marked else _GLYPHS[row.kind], "ok" if marked else "dim")
        end = canvas.width - 1
        if row.size is not None:
            end = canvas.right(end, 0, size(row.size), "dim") - 2
        if row.kind == "recent":
            x = canvas.put(4, 0, middle(row.name, max(8, (end - 6) // 2)), "fg")
            canvas.put(x + 2, 0, path_name(os.path.dirname(row.path), max(0, end - x - 3)), "dim")
        elif row.kind == "parent":
            canvas.run(4, 0, "..", "fg", f"  {path_name(row.path, max(0, end - 10))}", "dim")
        else:
            word = "dim" if row.kind == "other" else "fg"
            name = row.name + ("/" if row.kind == "folder" else "")
            canvas.put(4, 0, middle(name, max(4, end - 5)), "b:hi" if marked else word)

    def on_key(self, event: events.Key) -> None:
        """Hand what is typed to the path."""
        if event.character and event.is_printable and event.character != " ":
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(event.character))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click opens or takes."""
        index = event.y + self._offset
        if index < len(self._rows):
            again = index == self._cursor and event.chain > 1
            self._cursor = index
            self.refresh()
            if again:
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self.action_move(3)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self.action_move(-3)
        event.stop()

    def on_focus(self) -> None:
        """Show the cursor as the one that moves."""
        self.refresh()

    def on_blur(self) -> None:
        """Show the cursor at rest."""
        self.refresh()


def _look(folder: str, prefix: str, recent: tuple[str, ...]) -> tuple[Listing, tuple[Entry, ...]]:
    return folders.listing(folder, prefix), () if prefix else folders.recent(recent)


def chosen(files: tuple[str, ...], width: int) -> tuple[str, str]:
    """The files that are chosen, in one line, and its style word."""
    if not files:
        return "Enter takes a document, Space marks several, Backspace goes up", "dim"
    names = ", ".join(clean(os.path.basename(path)) for path in files)
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    return head(f"{count}: {names}", width), "b:hi"
