"""The app: one screen that shows what the library says, and the commands that act on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import BindingType

from cachetop.base.hostile import clean
from cachetop_tui import ahead, garbage, keyboard, terminal
from cachetop_tui.actions import Actions
from cachetop_tui.arrivals import Arrived, GpusArrived, KernelsArrived, ModelsArrived, RunsArrived
from cachetop_tui.background import in_background
from cachetop_tui.commands import registry
from cachetop_tui.feed import Feed
from cachetop_tui.sources import Later, Source
from cachetop_tui.workbench.overview import Overview

if TYPE_CHECKING:
    from cachetop.conversion.records import Jobs
    from cachetop.demo.sandbox import Sandbox
    from cachetop_tui.announce import Announcer

REFRESH: Final = 2.0
"""Seconds between two looks at the process whose document is in front."""
KERNELS_EVERY = 0.05
"""Seconds between two pictures of the kernel caches on the screen, so that a burst leaves time for what reads it."""
RUNS_EVERY = 1.0
"""Seconds between two pictures of the runs where the line is slow."""
SWITCH = 0.001
"""Seconds after which a busy thread lets another one go on. The feeds make very many system calls, and after each they
wait for the event loop: with Python's 5 ms a hundred entries take half a second while something is painted."""


class CachetopApp(keyboard.TypedAhead, Actions, inherit_bindings=False):
    """Models, kernels and VRAM live, and the conversions that use them."""

    TITLE = "cachetop"
    ENABLE_COMMAND_PALETTE = False  # its own stands in the registry
    AUTO_FOCUS = None
    CSS = """
    Input > .input--placeholder, Input > .input--suggestion { color: $quiet; }
    .-ascii Palette #--input, .-ascii Palette CommandList { border: none; scrollbar-size: 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = registry.bindings("")

    def __init__(
        self, source: Source, *, note: str = "", clock: Callable[[], float] = time.time, host: str | None = None
    ) -> None:
        super().__init__(Overview(clock, host))
        self._title = ""
        self._aside = garbage.Aside()
        self._announcer: Announcer | None = None
        self._kernels_next = self._runs_next = 0.0
        self._runs: RunsArrived | None = None
        self._looked = False
        self.feed = Feed(self, source, clock)
        self.overview.note = note

    def get_default_screen(self) -> Overview:
        """The overview is the screen."""
        return self.overview

    def on_load(self) -> None:
        """Be ready to leave cleanly before the terminal is touched."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)

    @on(Overview.Ready)
    def _look(self) -> None:
        """Load the rest and look only once the first frame is out."""
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        sys.setswitchinterval(SWITCH)
        from cachetop_tui.workbench import opening

        await in_background(self.overview.load)
        with self.batch_update():  # one repaint for all that comes after the first frame
            await self.overview.complete()
        garbage.loaded()
        await self.ready()
        self.app_resume_signal.subscribe(self, lambda _: self._say_title())
        opening.use_look(self.feed.process)
        self.feed.start()
        self.set_interval(REFRESH, self._refresh)
        self.watch_configuration()
        self.run_worker(self._take_up(), exit_on_error=False)

    async def _load_ahead(self) -> None:
        await in_background(ahead.load)
        garbage.loaded()

    def copy_to_clipboard(self, text: str) -> None:
        """By OSC 52, in tmux also past it: one of the two is let through, as tmux is set up."""
        super().copy_to_clipboard(text)
        if "TMUX" in os.environ:
            self.write_terminal(terminal.past_tmux(text))

    def leaves(self, key: str) -> bool:
        """See `TypedAhead`."""
        return key in registry.named("app.quit").keys

    def write_terminal(self, sequence: str) -> None:
        """Send a control sequence that Textual has no word for; nothing where there is no terminal."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def _handle_exception(self, error: Exception) -> None:
        """While it leaves, what is gone already may be missed; that is no crash."""
        if self._exit:
            self._close_messages_no_wait()
        else:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Leave the terminal clean, and a report in a file instead of variables on the screen."""
        from rich.text import Text

        from cachetop_tui import crash

        error = self._exception or RuntimeError("unknown")
        self._exit_renderables.append(Text(crash.sentence(error, crash.write(error))))
        self._close_messages_no_wait()

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
        self.action_cancel_task()

    @on(Arrived)
    def _arrived(self, message: Arrived) -> None:
        if not self.is_running:  # it is leaving, and the panes may be gone
            return
        if isinstance(message, KernelsArrived):
            early = self._kernels_next - time.monotonic()
            if early > 0:  # it is brought up to date while it waits
                self.set_timer(early, lambda: self._arrived(message))
                return
            self._kernels_next = time.monotonic() + KERNELS_EVERY
        if isinstance(message, RunsArrived) and self.overview.lite:
            early = self._runs_next - time.monotonic()
            if early > 0:
                if self._runs is None:
                    self.set_timer(early, self._take_runs)
                self._runs = message
                return
            self._runs_next = time.monotonic() + RUNS_EVERY
        self.overview.take(message)
        if isinstance(message, ModelsArrived | KernelsArrived):
            self._aside.note(self.overview.picture.size)
        if isinstance(message, ModelsArrived) and not message.models.scanning and not self._looked:
            self._looked = True
            self.set_timer(ahead.AFTER, lambda: self.run_worker(self._load_ahead(), exit_on_error=False))
        if isinstance(message, RunsArrived):
            self._announce(message.jobs)
        if isinstance(message, GpusArrived):
            self.feed.measure_pcie(self.overview.gpus.shows_pcie)

    def _take_runs(self) -> None:
        message, self._runs = self._runs, None
        if message is not None:
            self._arrived(message)

    def _announce(self, jobs: Jobs) -> None:
        """Say in the window's title what runs, and ring when it ends."""
        from cachetop_tui import announce

        if self._announcer is None:
            self._announcer = announce.Announcer()
        ended = self._announcer.note(jobs)
        title = announce.title(self._announcer.going, ended)
        if title != self._title and self.told.value("title", True):
            self._title = title
            self._say_title()
        if ended and self.told.value("bell", True):
            self.bell()

    def _say_title(self) -> None:
        if self._title:
            self.write_terminal(terminal.title(self._title))


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
    try:
        keyboard.install()
        app = CachetopApp(source, note=note, clock=clock)
        garbage.prepare()
        app.run(mouse=mouse and app.told.value("mouse", True))
    except Exception as error:  # before or after there was a screen; on it see `_fatal_error`
        from cachetop_tui import crash

        crash.last_words(error)
        return 1
    finally:
        terminal.let_go()
    return app.return_code or 0
