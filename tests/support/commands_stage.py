"""The stage on which every command of the registry is run, and the cases by the ids of their commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from textual.pilot import Pilot

from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.registry import COMMANDS, Command
from cachetop_tui.lines import LineView
from cachetop_tui.workbench.here import focused
from support import pictures
from support.opening import screen, until

SIZE = (120, 40)
"""Of the terminal that the app stands in."""


@dataclass
class Stage:
    """The app and the command whose turn it is; `go` runs that by its key or by its name."""

    app: CachetopApp
    pilot: Pilot[None]
    source: pictures.FakeInventory
    command: Command = field(default_factory=lambda: COMMANDS[0])
    by_name: bool = False

    async def go(self) -> None:
        """Run the command."""
        if self.by_name or not self.command.keys:
            await self.app.run_action(self.command.run)
        else:
            await self.pilot.press(self.command.keys[0])

    async def press(self, *keys: str) -> None:
        """Press other keys."""
        await self.pilot.press(*keys)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for an effect."""
        await until(self.pilot, true)

    async def sees(self, text: str) -> None:
        """Wait until a text is on the screen."""
        await self.until(lambda: text in screen(self.app))

    async def shows(self, kind: type) -> Any:
        """Wait until a screen of this kind is in front."""
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_mounted)
        await self.pilot.pause()
        return self.app.screen

    def view(self) -> LineView:
        """The list in focus."""
        found = focused(self.app.overview)
        assert found is not None
        return found

    async def to(self, name: str) -> LineView:
        """Put the cursor of the models on a repo."""
        view = self.app.overview.models
        index = next(i for i, row in enumerate(view.shown_rows) if row.kind == "repo" and name in row.subject.id)
        view._go(index)
        return view

    async def reset(self) -> None:
        """Back to the overview as it was at the start."""
        app, overview = self.app, self.app.overview
        while app.screen is not overview:
            await app.pop_screen()
        app.clear_notifications()
        overview.tabs.tabs.clear()
        overview.turn_to_overview()
        overview.maximised = overview.bottom_hidden = False
        overview.side, overview.bottom = None, "conversion"
        for view in overview.query(LineView):
            view.unfolded.clear()
            view.unmark()
        for line in overview.query("#filter"):
            line.remove_class("-open")
            line.display = False
        overview.models.set_filter("")
        panel = overview.panel
        panel.tab, panel._picked, panel._cursor, panel._offset = 0, None, 0, 0
        app.theme = "cachetop-dark"
        overview.focus_pane("models")
        overview.lay_out()
        await self.pilot.pause()
        await self.pilot.press("home")


Case = Callable[[Stage], Awaitable[None]]
CASES: dict[str, Case] = {}


def case(*names: str) -> Callable[[Case], Case]:
    """The case of these commands."""

    def keep(made: Case) -> Case:
        CASES.update(dict.fromkeys(names, made))
        return made

    return keep
