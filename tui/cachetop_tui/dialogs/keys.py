"""The help screen: every command with its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll

from cachetop_tui.commands.keynames import shown
from cachetop_tui.commands.registry import COMMANDS, HOMES, Command
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Sentence

_KEYS_WIDTH = 28


class KeysScreen(Dialog[None]):
    """Lists keys and what they do; Esc, q or ? leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss(None)", "close", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
    ]
    DEFAULT_CSS = """
    KeysScreen { align: center middle; background: $background 60%; }
    KeysScreen > Vertical { width: 90; max-width: 96%; height: 32; max-height: 100%; background: $panel; padding: 0 1; }
    KeysScreen VerticalScroll { scrollbar-size-vertical: 1; }
    """

    def __init__(self, commands: Sequence[Command] = COMMANDS) -> None:
        super().__init__()
        self._commands = tuple(commands)

    def compose(self) -> ComposeResult:
        """One line for each command and key."""
        with Vertical():
            yield Sentence("Keys        Esc closes", "b:hi")
            with VerticalScroll(can_focus=False):
                for text, word in lines(self._commands):
                    yield Sentence(text, word)

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def lines(commands: Sequence[Command]) -> list[tuple[str, str]]:
    """(text, style word) of each line: the commands by where their keys are heard, then those without a key."""
    out: list[tuple[str, str]] = []
    for home, title in HOMES.items():
        if out:
            out.append(("", "dim"))
        out.append((title.upper(), "faint"))
        for command in commands:
            if command.keys and command.home == home:
                where = f"{', '.join(command.panes)}: " if command.panes and not home else ""
                out.append((_line(command.keys, f"{where}{command.help}"), "fg"))
    without = [command for command in commands if not command.keys]
    if without:
        out += [("", "dim"), ("BY NAME, WITH THE COMMANDS KEY", "faint")]
        out += [(f"{command.title:<{_KEYS_WIDTH}}{command.help}", "fg") for command in without]
    return out


def _line(keys: Sequence[str], text: str) -> str:
    names = "  ".join(dict.fromkeys(shown(key) for key in keys))
    return f"{names:<{_KEYS_WIDTH}}{text}" if len(names) < _KEYS_WIDTH else f"{names}  {text}"
