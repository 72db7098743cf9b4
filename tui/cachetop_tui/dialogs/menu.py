"""The context menu: what can be done with what is under the cursor, from the registry, each with its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cachetop_tui.commands.registry import COMMANDS, Command, Here
from cachetop_tui.cut import head
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row
from cachetop_tui.paint import width_of

_EVERYWHERE = ("copy", "tab.close", "pane.maximise", "scan.again", "commands.show")
"""Commands that work everywhere and belong into every menu."""
_PLAIN = ("List", "Document", "Conversion", "View")
"""Areas that a menu, which is opened on one thing, need not name."""
_WIDTH = 46


def wanted(here: Here) -> list[Command]:
    """The commands of the menu: first those that belong to what is in focus, then those that work everywhere."""
    offered = [one for one in COMMANDS if one.enabled(here) and not one.motion and one.id != "menu.show"]
    own = [one for one in offered if one.panes]
    own.sort(key=lambda one: not one.home)  # what is done with the row comes first
    return own + [one for one in offered if one.id in _EVERYWHERE]


def word(command: Command) -> str:
    """What the menu calls a command."""
    area, _, verb = command.title.partition(": ")
    return verb if area in _PLAIN else command.title


class MenuList(LineView):
    """The commands with their keys, between edges, since not every theme has a ground of its own for it."""

    BACKGROUND: ClassVar[str] = "head"

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__(id="menu")
        self._commands = tuple(commands)
        self._rows = [Row(command.id, "command", command) for command in commands]
        self.opens = lambda row: True

    def headers(self, width: int) -> list[Line]:
        """The upper edge."""
        return [_edge(width, "┌┐")]

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """One row for each command, and the lower edge."""
        return [*self._rows[: len(self._commands)], Row("edge", "edge", fixed=True)]

    def line(self, row: Row, width: int) -> Line:
        """Its name, without the area where that says nothing new, and its key."""
        if row.kind == "edge":
            return _edge(width, "└┘")
        command: Command = row.subject
        pen = Pen(width, "head")
        pen.put(0, "│", "dim")
        end = pen.right(width, f"  {command.key} ", "dim", "│", "dim") if command.key else width - 1
        pen.put(2, head(word(command), end - 2), "fg")
        return pen.line()


def _edge(width: int, corners: str) -> Line:
    pen = Pen(width, "head")
    pen.put(0, corners[0] + "─" * (width - 2) + corners[1], "dim")
    return pen.line()


class ContextMenu(Dialog[Command | None]):
    """Returns the command that was picked, None when it was left. A command's own key picks it, too."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,left", "dismiss(None)", "close", show=False)]
    DEFAULT_CSS = """
    ContextMenu { background: $background 0%; }
    ContextMenu MenuList { position: absolute; background: $panel; }
    """

    def __init__(self, commands: Sequence[Command], place: tuple[int, int]) -> None:
        super().__init__()
        self._commands = tuple(commands)
        self._place = place

    def compose(self) -> ComposeResult:
        """The list."""
        yield MenuList(self._commands)

    def on_mount(self) -> None:
        """The first command is under the cursor."""
        self._lay_out()
        self.query_one(MenuList).focus()

    def on_resize(self) -> None:
        """Stay within the terminal."""
        self._lay_out()

    def _lay_out(self) -> None:
        across, down = self.app.size
        widest = max((width_of(word(one)) + width_of(one.key) for one in self._commands), default=0) + 7
        width, height = min(widest, _WIDTH, across), min(len(self._commands) + 2, down - 2)
        x, y = self._place
        if y + height > down - 1:  # above the row where there is no room below
            y = max(0, y - 1 - height) if y - 1 >= height else down - 1 - height
        view = self.query_one(MenuList)
        view.styles.width, view.styles.height = width, height
        view.styles.offset = (max(0, min(x, across - width)), max(0, y))

    def on_key(self, event: events.Key) -> None:
        """A command's own key picks it."""
        for command in self._commands:
            if event.key in command.keys and event.key not in ("enter", "left", "escape"):
                event.stop()
                self.dismiss(command)
                return

    @on(LineView.Opened)
    def _opened(self, message: LineView.Opened) -> None:
        message.stop()
        self.dismiss(message.row.subject)

    def on_click(self, event: events.Click) -> None:
        """A click beside it leaves; one on a command picks it."""
        view = self.query_one(MenuList)
        if event.widget is not view:
            self.dismiss(None)
        elif view.cursor is not None and any(line == event.y for line, _ in view.in_sight()):  # not on its edges
            self.dismiss(view.cursor.subject)
