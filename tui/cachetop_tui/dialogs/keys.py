"""The help screen: every command with its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from cachetop_tui.commands.keynames import shown
from cachetop_tui.commands.registry import COMMANDS, HOMES, Command
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row, sentences

_KEYS_WIDTH = 30
PANE_NAMES = {
    "models": "models", "kernels": "kernels", "gpus": "GPU", "conversion": "runs", "problems": "problems",
    "side": "side bar", "glance": "below the side bar", "document": "document",
}  # fmt: skip
"""What people call the panes that commands are for."""


class KeyList(LineView):
    """The lines: one widget for each of them would take longer than the event loop may be held."""

    BACKGROUND: ClassVar[str] = "head"
    IS_TEXT: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f,slash,ctrl+f", "find", "find", show=False),
        Binding("space", "page(1)", "page down", show=False),
    ]
    DEFAULT_CSS = "KeyList { background: $panel; }"

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = commands

    def headers(self, width: int) -> list[Line]:
        """The title."""
        pen = Pen(width)
        pen.put(2, "Keys        Esc closes, f finds", "b:hi")
        return [pen.line()]

    def rows(self, width: int, height: int) -> list[Row]:
        """See `LineView`."""
        made = lines(self._commands, width - 4)
        return [Row(str(number), "line", one, fixed=True) for number, one in enumerate(made)]

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        pen = Pen(width)
        pen.put(2, *row.subject)
        return self.found_in(pen.line())

    def action_open(self) -> None:
        """Enter leaves."""
        self.screen.dismiss(None)


class KeysScreen(Dialog[None]):
    """Lists keys and what they do; Esc, q or ? leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss(None)", "close", show=False),
    ]
    DEFAULT_CSS = """
    KeysScreen { align: center middle; background: $background 60%; }
    KeysScreen > Vertical { width: 110; max-width: 96%; height: 40; max-height: 100%; background: $panel; }
    KeysScreen > Vertical { padding: 0 1; }
    """

    def __init__(self, commands: Sequence[Command] = COMMANDS) -> None:
        super().__init__()
        self._commands = tuple(commands)

    def compose(self) -> ComposeResult:
        """One line for each command and key."""
        with Vertical():
            yield KeyList(self._commands)

    def on_mount(self) -> None:
        """The keys are for the list."""
        self.query_one(KeyList).focus()


def lines(commands: Sequence[Command], width: int = 86) -> list[tuple[str, str]]:
    """(text, style word) of each line of `width` cells: the commands by where their keys are heard, then those without
    a key. What does not fit goes on below."""
    out: list[tuple[str, str]] = []
    for home, title in HOMES.items():
        if out:
            out.append(("", "dim"))
        out.append((title.upper(), "faint"))
        for command in commands:
            if command.keys and command.home == home:
                panes = ", ".join(PANE_NAMES[pane] for pane in command.panes) if not home else ""
                where = f"{panes}: " if panes else ""
                names = "  ".join(dict.fromkeys(shown(key) for key in command.keys))
                out += _entry(names, f"{where}{command.help}", width)
    without = [command for command in commands if not command.keys]
    if without:
        out += [("", "dim"), ("BY NAME, WITH THE COMMANDS KEY", "faint")]
        for command in without:
            out += _entry(command.title, command.help, width)
    return out


def _entry(names: str, text: str, width: int) -> list[tuple[str, str]]:
    parts = sentences(text, max(20, width - _KEYS_WIDTH))
    first = [(f"{names:<{_KEYS_WIDTH}}{parts[0]}", "fg")] if len(names) < _KEYS_WIDTH else [(names, "fg")]
    rest = parts[1:] if len(names) < _KEYS_WIDTH else parts
    return [*first, *((" " * _KEYS_WIDTH + part, "fg") for part in rest)]
