"""The dialog that starts a conversion: which files, which pipeline, where, with what, into what."""

from __future__ import annotations

import os
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import Suggester
from textual.widgets import Input

from cachetop.base.hostile import clean
from cachetop.base.readonly import is_read_only
from cachetop.conversion.launch import FORMATS
from cachetop.conversion.missing import Missing
from cachetop.conversion.records import Jobs
from cachetop.gpu.records import Gpus
from cachetop.locations import state_dir
from cachetop_tui.background import in_background
from cachetop_tui.cut import path_name
from cachetop_tui.dialogs import folders, models, options
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Choice, Field, Option, Press, Sentence, Ticks
from cachetop_tui.dialogs.launching import StartRequest
from cachetop_tui.dialogs.picker import FilePicker, chosen

__all__ = ["StartDialog", "StartRequest"]

_LONGEST_WARM = 7 * 86400
_INPUTS = ("path", "output", "keep", "pages", "password")


class PathSuggester(Suggester):
    """Completes a path from what is on disk, in a thread; the right arrow takes it."""

    def __init__(self, base: str) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._base = base

    async def get_suggestion(self, value: str) -> str | None:
        """The path that continues `value`, None when there is none."""
        return await in_background(folders.complete, value, self._base)


class StartDialog(Dialog[StartRequest | None]):
    """Returns what to start, or None when it was left with Esc.

    `jobs` gives the recent files, `gpus` the devices, `folder` where to look first (default: the current one).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss_none", "cancel", show=False),
        Binding("ctrl+s", "start", "start", show=False),
    ]
    DEFAULT_CSS = """
    StartDialog { align: center middle; background: $background 60%; }
    StartDialog > Vertical {
        width: 100; max-width: 96%; height: 34; max-height: 100%; background: $panel; padding: 0 1;
    }
    StartDialog .line { height: 1; }
    StartDialog Input { width: 1fr; }
    StartDialog #buttons { height: 1; align-horizontal: right; }
    """

    def __init__(self, jobs: Jobs | None = None, gpus: Gpus | None = None, folder: str | None = None) -> None:
        super().__init__()
        self._recent = tuple(path for job in (jobs.jobs if jobs else ()) for path in job.files)
        self._gpus = gpus
        self._unread = False
        self._lacking: Missing | None = None
        self._agreed: Missing | None = None
        self._base = folder or _here()

    def compose(self) -> ComposeResult:
        """The fields from top to bottom."""
        with Vertical():
            yield Sentence("Convert documents", "b:hi", id="title")
            with Horizontal(classes="line"):
                yield Sentence("Path", id="path-label")
                yield Input(
                    placeholder="type a path, or choose below",
                    suggester=PathSuggester(self._base),
                    compact=True,
                    select_on_focus=False,
                    id="path",
                )
            yield FilePicker(self._base, self._recent, id="files")
            yield Sentence(*chosen((), 90), id="chosen")
            yield Choice("Pipeline", options.PIPELINES, id="pipeline")
            yield Choice("Device", options.devices(self._gpus), id="device")
            yield Choice("Python", (Option("", "automatic", "looking for interpreters"),), id="python")
            yield Ticks("Formats", FORMATS, ("md",), id="to")
            yield Ticks("Options", options.extras(is_read_only()), options.ON, id="extras", least=0)
            with Horizontal(classes="line"):
                yield Sentence("Pages", id="pages-label")
                yield Input(placeholder="all; or FIRST-LAST", max_length=20, compact=True, id="pages")
                yield Sentence("Password", id="password-label")
                yield Input(placeholder="of encrypted PDFs", password=True, max_length=200, compact=True, id="password")
            with Horizontal(classes="line"):
                yield Sentence("Output", id="output-label")
                yield Input(
                    placeholder="the job's own folder; or a folder to write to",
                    suggester=PathSuggester(self._base),
                    compact=True,
                    id="output",
                )
            with Horizontal(classes="line"):
                yield Sentence("Keep warm", id="keep-label")
                yield Input(placeholder="0; seconds the worker stays loaded after the job",
                            type="integer", max_length=6, compact=True, id="keep")  # fmt: skip
            yield Sentence("", "err", id="problem")
            with Horizontal(id="buttons"):
                yield Press("Start", id="start", default=True)
                yield Press("Cancel", id="cancel")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The mark of the focus beside an input, as the other fields have it."""
        self._mark_focus()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Take the mark away again."""
        self._mark_focus()

    def _mark_focus(self) -> None:
        for name in _INPUTS:
            self.query_one(f"#{name}-label", Sentence).mark(self.query_one(f"#{name}", Input).has_focus)

    @on(Field.Entered)
    def _entered_on_a_field(self) -> None:
        """Enter on an option starts when a file is chosen."""
        if self.query_one(FilePicker).files:
            self.action_start()
        else:
            self._say("Choose at least one file: Enter or Space on it, or type its path.")
            self.query_one(FilePicker).focus()

    def on_mount(self) -> None:
        """Begin in the list, and look for interpreters meanwhile."""
        for label in _INPUTS:
            self.query_one(f"#{label}-label", Sentence).styles.width = 12
        self.query_one(FilePicker).focus()
        self._interpreters()
        self._models(asks=False)  # nothing goes over the network before something is chosen

    @work(exit_on_error=False)
    async def _interpreters(self) -> None:
        self.query_one("#python", Choice).offer(await in_background(options.interpreters))

    @on(Field.Changed, "#pipeline")
    @on(Field.Changed, "#python")
    @on(Field.Changed, "#extras")
    def _look_for_models(self) -> None:
        """Say what the run would have to fetch first."""
        self._lacking = self._agreed = None
        self._models(asks=True)

    @work(exclusive=True, group="models", exit_on_error=False)
    async def _models(self, asks: bool, question: bool = False) -> None:
        """Look what is missing and say it beside the pipeline, as a `question` before the start too."""
        if not self.is_current:
            return  # it was left meanwhile
        pipeline = self.query_one("#pipeline", Choice)
        chosen, python = pipeline.value, self.query_one("#python", Choice).value
        found = await in_background(models.lacking, chosen, python, self.query_one("#extras", Ticks).values, asks)
        if not self.is_current:
            return
        self._lacking = found
        if found is not None:
            pipeline.remark(models.note(found), "warn")
        if not question:
            return
        self._agreed = found
        if found is None or self._automatic(found):
            self.action_start()
        else:
            self._say(models.question(found))

    # Files

    @on(Input.Changed, "#path")
    def _typed(self, event: Input.Changed) -> None:
        """List what the typed path points at, as it is typed."""
        self._say("")
        lead, slash, prefix = event.value.rpartition("/")
        folder = folders.expand(lead + slash if slash else ".", self._base)
        self.query_one(FilePicker).look(folder, prefix if prefix != "~" else "")

    @on(Input.Submitted, "#path")
    def _entered(self, event: Input.Submitted) -> None:
        path = folders.expand(event.value, self._base) if event.value.strip() else ""
        self._enter(path)

    @work(exclusive=True, group="entered", exit_on_error=False)
    async def _enter(self, path: str) -> None:
        """Go where the typed path leads; whether that is a folder or a file is for the disk to say."""
        kind = await in_background(folders.kind, path)
        picker = self.query_one(FilePicker)
        if kind == "file":
            picker.take(path)
            self.query_one("#start", Press).focus()
        elif kind == "folder":
            picker.look(path)
            picker.focus()
        elif path:
            self._say(f"{clean(path)} does not exist")
        else:
            picker.focus()

    @on(FilePicker.Typed)
    def _typed_in_the_list(self, message: FilePicker.Typed) -> None:
        """What is typed anywhere in the list goes to the path, which narrows the list."""
        path = self.query_one("#path", Input)
        path.focus()
        path.insert_text_at_cursor(message.character)

    @on(FilePicker.Taken)
    def _taken(self) -> None:
        self.query_one("#start", Press).focus()

    @on(FilePicker.Marked)
    def _marked(self) -> None:
        self._say("")
        self.query_one("#chosen", Sentence).say(*chosen(self.query_one(FilePicker).files, 90))

    @on(FilePicker.Listed)
    def _listed(self, message: FilePicker.Listed) -> None:
        self.query_one("#title", Sentence).say(f"Convert documents from {path_name(message.folder, 60)}", "b:hi")
        if message.problem or self._unread:
            self._say(message.problem or "")
        self._unread = message.problem is not None

    # Start and leave

    @on(Press.Pressed, "#start")
    def action_start(self) -> None:
        """Start, if there is something to start."""
        files = self.query_one(FilePicker).files
        if not files:
            self._say("Choose at least one file: Enter or Space on it, or type its path.")
            self.query_one(FilePicker).focus()
            return
        typed = self.query_one("#keep", Input).value.strip()
        keep = _seconds(typed)
        if keep is None or not 0 <= keep <= _LONGEST_WARM:
            self._say(f"Keep warm is a number of seconds from 0 to {_LONGEST_WARM:,}.")
            self.query_one("#keep", Input).focus()
            return
        try:
            asked = options.asked(
                self.query_one("#extras", Ticks).values,
                self.query_one("#pages", Input).value,
                self.query_one("#password", Input).value,
            )
        except ValueError as error:
            self._say(f"{error}.")
            self.query_one("#pages", Input).focus()
            return
        lacking = self._lacking
        if lacking is not None and self._agreed is None and not self._automatic(lacking):
            self._models(asks=True, question=True)
            return
        output = self.query_one("#output", Input).value.strip()
        self.dismiss(
            StartRequest(
                files=files,
                pipeline=self.query_one("#pipeline", Choice).value,
                device=self.query_one("#device", Choice).value,
                to=self.query_one("#to", Ticks).values,
                output=folders.expand(output, self._base) if output else None,
                python=self.query_one("#python", Choice).value or None,
                keep_warm=float(keep),
                options=asked,
            )
        )

    def _automatic(self, found: Missing) -> bool:
        """Whether the choice is left to the run, which does without what it cannot have."""
        return found.forbidden is not None and self.query_one("#pipeline", Choice).value == "auto"

    @on(Press.Pressed, "#cancel")
    def action_dismiss_none(self) -> None:
        """Leave without starting anything."""
        self.dismiss(None)

    @on(Input.Submitted, "#output")
    @on(Input.Submitted, "#keep")
    @on(Input.Submitted, "#pages")
    @on(Input.Submitted, "#password")
    def _next(self) -> None:
        self.focus_next()

    def _say(self, text: str) -> None:
        self.query_one("#problem", Sentence).say(text, "err")


def _seconds(typed: str) -> int | None:
    """A whole number as Python writes them, nothing for 0; None for anything else."""
    try:
        return int(typed) if typed else 0
    except ValueError:
        return None


def _here() -> str:
    """Where to look first: the current folder, in a demo the sandbox's documents."""
    documents = state_dir().parent / "documents"
    if os.environ.get("CACHETOP_DEMO") and documents.is_dir():
        return str(documents)
    try:
        return os.getcwd()
    except OSError:
        return os.path.expanduser("~")
