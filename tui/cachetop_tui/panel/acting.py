"""What the panel does about jobs: start, cancel, unload, read an old one. What fails becomes a sentence.

Everything here asks the library in a thread of its own; the sentence is shown as a toast and kept in the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeVar

from textual import on, work
from textual.message import Message
from textual.widget import Widget

from cachetop.base.hostile import clean, show
from cachetop.base.record import why
from cachetop.conversion.records import Job, Run
from cachetop_tui.background import in_background
from cachetop_tui.commands.registry import named
from cachetop_tui.panel import words
from cachetop_tui.panel.happenings import Happening

if TYPE_CHECKING:
    from cachetop_tui.dialogs.launching import StartRequest

_MOST_COPIED = 500_000
"""Characters; terminals drop longer clipboard sequences without a word."""
_Found = TypeVar("_Found")
Severity = Literal["information", "warning", "error"]
_LEVELS: dict[Severity, str] = {"information": "info", "warning": "warning", "error": "error"}


class CancelRequested(Message):
    """The run that is shown should be cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id


class ReportWanted(Message):
    """Somebody wants to read what there is on a run that has ended: its `report`, its `result`, or that as a `tree`."""

    def __init__(self, job: Job, what: str = "report") -> None:
        super().__init__()
        self.job = job
        self.what = what


class UnloadRequested(Message):
    """The resident workers should end, and with them what they hold in VRAM."""


class RunWanted(Message):
    """A job was picked whose run is not among those the panel was given."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id


class Acting(Widget):
    """A widget that acts on jobs. It answers its own messages, which go on to the app afterwards."""

    def note(self, moments: Iterable[Happening]) -> None:
        """Keep what happened."""
        raise NotImplementedError

    def add(self, run: Run) -> None:
        """Show a run that was read."""
        raise NotImplementedError

    def take_output(self, job_id: str, lines: tuple[str, ...]) -> None:
        """Show what a run's worker printed."""
        raise NotImplementedError

    @work(exclusive=True, group="output", exit_on_error=False)
    async def read_output(self, job_id: str) -> None:
        """Read what a run's worker printed."""
        from cachetop_tui.panel import output

        self.take_output(job_id, await in_background(output.read, job_id))

    def tell(self, text: str, severity: Severity = "information") -> None:
        """Say something in a toast and in the events."""
        self.app.notify(text, severity=severity, markup=False)
        self.note([Happening(time.time(), _LEVELS[severity], "app", text)])

    @work(exit_on_error=False)
    async def begin(self, request: StartRequest) -> None:
        """Start a conversion; it appears in the panel by itself."""
        from cachetop_tui.dialogs.launching import NotStarted, start  # not needed for the first frame

        try:
            handle = await in_background(start, request)
        except NotStarted as error:
            self.tell(str(error), "error")
        else:
            self.note([Happening(time.time(), "info", "app", f"started {words.run_name(handle.id)}")])

    @work(exit_on_error=False)
    async def show_folder(self, job_id: str) -> None:
        """Show the folder of a run's outputs, or copy its path where there is no desktop."""
        from cachetop_tui.documents import result

        shown = await self._written(job_id, result.show_folder)
        if shown is not None and not shown[1]:
            self.app.copy_to_clipboard(shown[0])
            self.tell(f"no desktop here: the folder's path was copied: {clean(shown[0])}")

    @work(exit_on_error=False)
    async def copy_result(self, job_id: str) -> None:
        """Copy what a run wrote to the terminal's clipboard (OSC 52)."""
        from cachetop_tui.documents import result

        found = await self._written(job_id, result.load_text)
        if found is None:
            return
        path, text = found
        if len(text) > _MOST_COPIED:
            self.tell(
                f"{clean(path)} is too long for a terminal's clipboard; {named('runs.folder').key} opens its folder",
                "warning",
            )
            return
        self.app.copy_to_clipboard(text)
        self.tell(f"copied {clean(path.rpartition('/')[2])}, {len(text):,} characters")

    async def _written(self, job_id: str, ask: Callable[[str], _Found]) -> _Found | None:
        """What `ask` finds of the outputs of a run; None once it was said why it finds nothing."""
        try:
            return await in_background(ask, job_id)
        except (LookupError, ValueError) as error:
            self.tell(show(str(error)), "error")
        except OSError as error:
            self.tell(f"what {words.run_name(job_id)} wrote cannot be read: {why(error)}", "error")
        return None

    @work(exit_on_error=False)
    async def again_cold(self, job_id: str) -> None:
        """Run a job's files again, cold: weights dropped from RAM, fresh kernel folders, a new worker."""
        from cachetop_tui.dialogs.launching import NotStarted, restart_cold

        try:
            handle = await in_background(restart_cold, job_id)
        except NotStarted as error:
            self.tell(str(error), "error")
        else:
            self.note([Happening(time.time(), "info", "app", f"started {words.run_name(handle.id)}, cold")])

    @on(CancelRequested)
    @work(exit_on_error=False)
    async def _cancel(self, message: CancelRequested) -> None:
        name = words.run_name(message.job_id)
        self.note([Happening(time.time(), "info", "app", f"cancelling {name}")])
        problem = await in_background(_stop, message.job_id)
        if problem:
            self.tell(f"{name} was not cancelled: {problem}", "error")

    @on(UnloadRequested)
    @work(exit_on_error=False)
    async def _unload(self) -> None:
        count, problem = await in_background(_end_workers)
        if problem:
            self.tell(f"the workers were not unloaded: {problem}", "error")
        else:
            self.tell(f"{'no worker' if not count else '1 worker' if count == 1 else f'{count} workers'} unloaded")

    @on(RunWanted)
    @work(exclusive=True, group="fetch", exit_on_error=False)
    async def _fetch(self, message: RunWanted) -> None:
        found = await in_background(_read, message.job_id)
        if isinstance(found, str):
            self.tell(found, "error")
        else:
            self.add(found)


def _stop(job_id: str) -> str | None:
    """Cancel a job and wait for its end; returns why it did not work."""
    from cachetop.conversion.cancel import CannotCancel, cancel
    from cachetop.conversion.folder import find

    try:
        cancel(find(job_id))
    except (CannotCancel, LookupError, ValueError) as error:
        return show(str(error))
    except OSError as error:
        return why(error)
    return None


def _end_workers() -> tuple[int, str | None]:
    """End all resident workers; returns how many went and why others did not."""
    from cachetop.conversion.workers import unload

    try:
        return len(unload()), None
    except (LookupError, ValueError) as error:
        return 0, show(str(error))
    except OSError as error:
        return 0, why(error)


def _read(job_id: str) -> Run | str:
    """The run of an old job, or why it cannot be read."""
    from cachetop.conversion.folder import find
    from cachetop.conversion.history import picture

    try:
        return picture(find(job_id))
    except (LookupError, ValueError) as error:
        return show(str(error))
    except OSError as error:
        return f"{words.run_name(job_id)} cannot be read: {why(error)}"
