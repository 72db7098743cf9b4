"""The command palette: Textual's own, filled from the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from rich.text import Text
from textual.command import CommandPalette, DiscoveryHit, Hit, Provider, SearchIcon
from textual.content import Content

from cachetop_tui.commands.registry import COMMANDS, Command
from cachetop_tui.steady import Steady
from cachetop_tui.workbench.here import here

_EDGES = 6
"""Cells beside a row of the list: its padding, and a scroll bar."""


class Commands(Provider):
    """The commands that apply to the pane that was in focus when the palette opened."""

    @property
    def _here(self) -> list[Command]:
        where = here(self.screen)
        return [one for one in COMMANDS if one.enabled(where) and not one.motion and one.id != "commands.show"]

    @property
    def _room(self) -> int:
        return room(self.app.size.width, 80, 0.9)

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """All of them, before anything is typed."""
        for command in self._here:
            yield DiscoveryHit(
                _display(Content(command.title), command, self._room),
                partial(self._run, command),
                command.title,
                command.help,
            )

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """Those whose name or help matches."""
        matcher = self.matcher(query)
        for command in self._here:
            score = max(matcher.match(command.title), matcher.match(command.help) * 0.5)
            if score > 0:
                title = matcher.highlight(command.title)
                yield Hit(
                    score,
                    _display(title, command, self._room),
                    partial(self._run, command),
                    command.title,
                    command.help,
                )

    async def _run(self, command: Command) -> None:
        await self.app.run_action(command.run)


def _display(title: Content | Text, command: Command, width: int) -> Content:
    """The title with the key at the right edge of a list `width` cells wide."""
    content = title if isinstance(title, Content) else Content.from_rich_text(title)
    gap = max(2, width - len(content.plain) - len(command.key))
    return content.append(Content(" " * gap + command.key)) if command.key else content


def room(screen_width: int, most: int, share: float) -> int:
    """The cells of a row in a palette `most` wide, at most `share` of the screen."""
    return min(most, int(screen_width * share)) - _EDGES


class Palette(CommandPalette, Steady[None]):
    """The palette in the app's own look: a `>` instead of an emoji, which some terminals draw over the text."""

    DEFAULT_CSS = """
    Palette { background: $background 40%; }
    Palette > Vertical { width: 80; max-width: 90%; margin-top: 1; background: $panel; }
    Palette SearchIcon { color: $foreground; }
    Palette LoadingIndicator { display: none; }
    """

    def __init__(self) -> None:
        super().__init__([Commands], placeholder="Type a command", id="--command-palette")

    def on_mount(self) -> None:
        """Replace the search icon."""
        self.query_one(SearchIcon).icon = ">"
