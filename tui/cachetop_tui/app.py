"""The app: one screen that shows what the library says, and the commands that act on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette

from cachetop.base.hostile import clean
from cachetop.base.readonly import is_read_only
from cachetop_tui import settings, terminal, themes
from cachetop_tui.background import in_background
from cachetop_tui.commands import registry
from cachetop_tui.commands.keymaps import KEYMAPS
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.feed import (
    Feed,
    GpusArrived,
    KernelsArrived,
    Later,
    ModelsArrived,
    ProblemsArrived,
    RunsArrived,
    Source,
    WatchArrived,
)
from cachetop_tui.lines import LineView
from cachetop_tui.workbench.chrome import Status
from cachetop_tui.workbench.overview import Overview

if TYPE_CHECKING:
    from cachetop.conversion.records import Jobs
    from cachetop.demo.sandbox import Sandbox
    from cachetop_tui.announce import Announcer
    from cachetop_tui.dialogs.launching import StartRequest

REFRESH: Final = 2.0
"""Seconds between two looks at the process whose document is in front."""
_CHANGES: Final = frozenset(command.action for command in COMMANDS if command.changes)


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
        bare = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if bare else None)
        for one in themes.THEMES:
            self.register_theme(one)
        self._title = ""
        self._announcer: Announcer | None = None
        self.told = settings.read(settings.path())
        """What the configuration says."""
        self.set_class(self.told.value("ascii", False) or themes.wants_ascii(os.environ), themes.ASCII_CLASS)
        self.feed = Feed(self, source)
        self.overview = Overview(clock, host)
        self.overview.note = note
        self._configure()

    def get_default_screen(self) -> Overview:
        """The overview is the screen."""
        return self.overview

    @on(Overview.Ready)
    def _look(self) -> None:
        """Load the rest and look only once the first frame is out."""
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        from cachetop_tui.workbench import opening

        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)
        self.write_terminal(terminal.opening(os.environ))
        with self.batch_update():  # one repaint for all that comes after the first frame
            await self.overview.complete()
        opening.use_look(self.feed.process)
        self.feed.start()
        self.set_interval(REFRESH, self._refresh)
        self.set_interval(2.0, self._reconfigure)
        self.run_worker(self._take_up(), exit_on_error=False)
        if self.told.problem:
            self.notify(self.told.problem, severity="error", markup=False, timeout=15)
        for warning in settings.keymap(self.told)[1]:
            self.notify(warning, severity="warning", markup=False)

    def write_terminal(self, sequence: str) -> None:
        """Send a control sequence that Textual has no word for; nothing where there is no terminal."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def _fatal_error(self) -> None:
        """Leave the terminal clean, and a report in a file instead of variables on the screen."""
        from rich.text import Text

        from cachetop_tui import crash

        error = self._exception or RuntimeError("unknown")
        self._exit_renderables.append(Text(crash.sentence(error, crash.write(error))))
        self._close_messages_no_wait()

    # Configuration

    def _configure(self) -> None:
        """Take over what the configuration says."""
        wanted = self.told.value("theme", "auto")
        self.theme = themes.preferred(os.environ) if wanted == "auto" else f"cachetop-{wanted}"
        keys = settings.keymap(self.told)[0]
        if keys != registry.in_use():
            registry.use(keys)
        if keys != KEYMAPS["vscode"] or self._keymap:  # the bindings are made with these
            self.set_keymap({name: ",".join(some) for name, some in keys.items()})
        if self.told.config is not None and "side-bar" in self.told.config.told:
            self.overview.side = None if self.told.value("side-bar", True) else False

    async def _reconfigure(self) -> None:
        """Look whether the configuration has changed, and take it over."""
        if await in_background(settings.mark, self.told.path) == self.told.mark:
            return
        self.told = await in_background(settings.read, self.told.path)
        if self.told.problem:
            self.notify(self.told.problem, severity="error", markup=False, timeout=15)
            return
        self._configure()
        for warning in settings.keymap(self.told)[1]:
            self.notify(warning, severity="warning", markup=False)
        self.overview.lay_out()
        self.overview.query_one(Status).repaint()  # its keys may be others now
        self.overview.reread()

    def action_settings(self) -> None:
        """Every setting, its value and where it comes from."""
        from cachetop_tui.documents import settings as document
        from cachetop_tui.workbench.tabs import Document

        self.overview.open_document(
            Document("settings", "Settings", ("settings",), lambda: settings.read(self.told.path), document.lines)
        )

    async def _refresh(self) -> None:
        """Read the document in front again where it is about a process, which changes by itself."""
        from cachetop_tui.workbench import opening
        from cachetop_tui.workbench.document import DocumentView

        tab = self.overview.tabs.current
        if tab is None or tab.record is None or not opening.is_process(tab.document):
            return
        with contextlib.suppress(OSError, ValueError, LookupError):  # then what was read stands
            tab.record = await in_background(tab.document.load)
            if self.is_running and self.overview.tabs.current is tab:
                self.overview.query_one(DocumentView).show(tab)

    def on_unmount(self) -> None:
        """Stop looking."""
        self.feed.stop()

    @on(ModelsArrived)
    @on(KernelsArrived)
    @on(GpusArrived)
    @on(RunsArrived)
    @on(WatchArrived)
    @on(ProblemsArrived)
    def _arrived(
        self, message: ModelsArrived | KernelsArrived | GpusArrived | RunsArrived | WatchArrived | ProblemsArrived
    ) -> None:
        if not self.is_running:  # it is leaving, and the panes may be gone
            return
        self.overview.take(message)
        if isinstance(message, RunsArrived):
            self._announce(message.jobs)

    def _announce(self, jobs: Jobs) -> None:
        """Say in the window's title what runs, and ring when it ends."""
        from cachetop_tui import announce

        if self._announcer is None:
            self._announcer = announce.Announcer()
        ended = self._announcer.note(jobs)
        title = announce.title(self._announcer.going, ended)
        if title != self._title and self.told.value("title", True):
            self._title = title
            self.write_terminal(terminal.title(title))
        if ended and self.told.value("bell", True):
            self.bell()

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

    def action_side_bar(self) -> None:
        """Show the tree of the activity, or hide it."""
        self.overview.toggle_side()

    def action_bottom_panel(self) -> None:
        """Hide the bottom panel, or show it again."""
        self.overview.toggle_bottom()

    def action_step_tab(self, by: int) -> None:
        """The next open document (1) or the one before (-1)."""
        self.overview.action_step_tab(by)

    def action_close_tab(self) -> None:
        """Close the document in front."""
        self.overview.action_close_tab()

    def action_quick_open(self) -> None:
        """Open a repo, a kernel, a process or a file by a part of its name."""
        from cachetop_tui.commands.quick import QuickOpen

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(QuickOpen())

    def action_copy(self) -> None:
        """Copy what is under the cursor to the clipboard (OSC 52)."""
        text = self.overview.name_here()
        if text:
            self.copy_to_clipboard(text)
            self.notify(f"copied: {text}", markup=False, timeout=3)

    async def action_plan_marked(self) -> None:
        """Review what deleting the marked rows, or the one under the cursor, would free."""
        from cachetop_tui.prune.opening import marked, plan_and_review

        repos, entries = self.overview.chosen()
        if repos or entries:
            await plan_and_review(self, marked(repos, entries))

    async def action_plan_stale(self) -> None:
        """Review what deleting the stale kernels would free."""
        from cachetop_tui.prune.opening import STALE, plan_and_review
        from cachetop_tui.workbench.problems import judged

        await plan_and_review(self, [judged(STALE, self.overview.picture.gpus)])

    async def action_undo(self) -> None:
        """Bring back what the last plan deleted."""
        from cachetop_tui.prune.opening import undo_last

        await undo_last(self)
        self.feed.rescan()

    async def _take_up(self) -> None:
        """Bring plans that were cut short to an end."""
        from cachetop_tui.prune.opening import take_up

        for sentence in await in_background(take_up):
            self.notify(sentence, markup=False)

    def action_signal_process(self) -> None:
        """Ask which signal to send to the process under the cursor or of the document in front, or say why none."""
        from cachetop.gpu import signals
        from cachetop_tui.workbench import opening

        tab = self.overview.tabs.current
        chosen = self.overview.gpus.chosen if self.overview.pane == "gpus" else None
        if self.overview.pane == "document" and tab is not None:
            chosen = opening.process_of(tab.document, self.overview.picture)
        if chosen is None:
            self.notify("No process of a GPU is under the cursor, or it has left.", severity="warning", markup=False)
            return
        gpu, process = chosen
        reason = signals.refusal(process, simulated=gpu.simulated)
        if reason:
            self.notify(reason, severity="warning", markup=False)
            return
        from cachetop_tui.dialogs.signal import SignalDialog

        self.push_screen(SignalDialog(gpu, process), partial(self._signalled, process.pid))

    def _signalled(self, pid: int, name: str | None) -> None:
        if name is not None:
            self.notify(f"SIG{name} was sent to process {pid}.", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In read-only mode the keys of what changes something do nothing."""
        return action not in _CHANGES or not is_read_only()

    def action_rescan(self) -> None:
        """Sort again, and look at every cache again; read the document in front again."""
        self.overview.reread()
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
        from cachetop_tui.dialogs.keys import KeysScreen
        from cachetop_tui.panel.conversion import ConversionPanel

        panels = (("In a list", LineView.BINDINGS), ("In the runs", ConversionPanel.BINDINGS))
        self.push_screen(KeysScreen([command for command in COMMANDS if command.available], panels))

    def action_new_conversion(self) -> None:
        """Ask what to convert, and start it."""
        from cachetop_tui.dialogs.start import StartDialog

        self.push_screen(StartDialog(self.overview.jobs, self.overview.gpus.gpus), self._start)

    async def convert_file(self, path: str) -> None:
        """Ask how to convert one file, or which file of a folder."""
        from textual.widgets import Input

        from cachetop_tui.dialogs.start import StartDialog

        folder = path if path.endswith("/") else path.rpartition("/")[0]
        dialog = StartDialog(self.overview.jobs, self.overview.gpus.gpus, folder or "/")
        await self.push_screen(dialog, self._start)
        if not path.endswith("/"):
            dialog.query_one("#path", Input).value = path

    def action_commands(self) -> None:
        """Open the command palette."""
        from cachetop_tui.commands.palette import Palette

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette())

    def _start(self, request: StartRequest | None) -> None:
        if request is not None:
            self.overview.focus_pane("conversion")
            self.overview.panel.begin(request)


def run(demo: Sandbox | None = None, mouse: bool = True) -> int:
    """Open the app on this machine, or on a sandbox with its simulated GPU; returns the exit code."""

    def inventory() -> Source:
        from cachetop.inventory import Inventory

        return Inventory() if demo is None else Inventory(gpu=demo.gpu())

    compiling = None if demo is None else demo.start_compiling()
    try:
        note = "" if demo is None else f"DEMO in {clean(demo.folder)}, GPU simulated"
        return run_source(Later(inventory), note=note, mouse=mouse)
    finally:
        if compiling is not None:
            compiling.terminate()


def run_source(source: Source, *, note: str = "", mouse: bool = True, clock: Callable[[], float] = time.time) -> int:
    """Open the app on any source, and leave the terminal as it was; returns the exit code."""
    app = CachetopApp(source, note=note, clock=clock)
    try:
        app.run(mouse=mouse and app.told.value("mouse", True))
    finally:
        terminal.leave(os.environ)
    return app.return_code or 0
