"""The app: one screen that shows what the library says, and the commands that act on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette

from cachetop.base.hostile import clean
from cachetop_tui import themes
from cachetop_tui.background import in_background
from cachetop_tui.commands.palette import Palette
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.dialogs.keys import KeysScreen
from cachetop_tui.dialogs.launching import StartRequest
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.feed import Feed, GpusArrived, KernelsArrived, ModelsArrived, RunsArrived, Source, WatchArrived
from cachetop_tui.lines import LineView
from cachetop_tui.panel.conversion import ConversionPanel
from cachetop_tui.workbench.overview import Overview

if TYPE_CHECKING:
    from cachetop.demo.sandbox import Sandbox


class CachetopApp(App[None]):
    """Models, kernels and VRAM live, and the conversions that use them."""

    TITLE = "cachetop"
    ENABLE_COMMAND_PALETTE = False  # its own stands in the registry
    AUTO_FOCUS = None
    CSS = """
    .-ascii Palette #--input, .-ascii Palette CommandList { border: none; scrollbar-size: 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [command.binding() for command in COMMANDS if command.keys]

    def __init__(
        self, source: Source, *, note: str = "", clock: Callable[[], float] = time.time, host: str | None = None
    ) -> None:
        theme, bare = themes.preferred(os.environ), "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if bare else None)
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = theme
        self.set_class(themes.wants_ascii(os.environ), themes.ASCII_CLASS)
        self.feed = Feed(self, source)
        self.overview = Overview(clock, host)
        self.overview.note = note

    def get_default_screen(self) -> Overview:
        """The overview is the screen."""
        return self.overview

    @on(Overview.Ready)
    def _look(self) -> None:
        """Look only once the first frame is out."""
        self.call_after_refresh(self.feed.start)

    def on_unmount(self) -> None:
        """Stop looking."""
        self.feed.stop()

    @on(ModelsArrived)
    @on(KernelsArrived)
    @on(GpusArrived)
    @on(RunsArrived)
    @on(WatchArrived)
    def _arrived(self, message: ModelsArrived | KernelsArrived | GpusArrived | RunsArrived | WatchArrived) -> None:
        self.overview.take(message)

    # Commands

    def action_focus_pane(self, pane: str) -> None:
        """Put the cursor into a pane."""
        self.overview.focus_pane(pane)

    def action_next_pane(self, by: int) -> None:
        """The next pane (1) or the one before (-1)."""
        self.overview.next_pane(by)

    def action_maximise(self) -> None:
        """Give the pane in focus all the room, or share it again."""
        self.overview.maximise()

    def action_filter(self) -> None:
        """Type a filter for the list in focus."""
        self.overview.open_filter()

    def action_rescan(self) -> None:
        """Sort again, and look at every cache again."""
        self.overview.models.sort()
        self.run_worker(in_background(self.feed.rescan), group="rescan", exit_on_error=False)

    def action_next_theme(self) -> None:
        """The theme after this one."""
        names = [theme.name for theme in themes.THEMES]
        self.action_use_theme(names[(names.index(self.theme) + 1) % len(names) if self.theme in names else 0])

    def action_use_theme(self, name: str) -> None:
        """Use a theme by its name."""
        self.theme = name

    def action_keys(self) -> None:
        """List every key."""
        panels = (("In a list", LineView.BINDINGS), ("In the runs", ConversionPanel.BINDINGS))
        self.push_screen(KeysScreen(COMMANDS, panels))

    def action_new_conversion(self) -> None:
        """Ask what to convert, and start it."""
        self.push_screen(StartDialog(self.overview.jobs, self.overview.gpus.gpus), self._start)

    def action_commands(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette())

    def _start(self, request: StartRequest | None) -> None:
        if request is not None:
            self.overview.focus_pane("conversion")
            self.overview.panel.begin(request)


def run(demo: Sandbox | None = None) -> int:
    """Open the app on this machine, or on a sandbox with its simulated GPU; returns the exit code."""
    from cachetop.inventory import Inventory

    source = Inventory() if demo is None else Inventory(gpu=demo.gpu())
    compiling = None if demo is None else demo.start_compiling()
    app = CachetopApp(source, note="" if demo is None else f"DEMO in {clean(demo.folder)}, GPU simulated")
    try:
        app.run()
    finally:
        if compiling is not None:
            compiling.terminate()
    return app.return_code or 0
