"""The dialog that sends a signal to a GPU process, after asking."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.gpu import signals
from cachetop.gpu.records import Gpu, Process
from cachetop_tui.background import in_background
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Choice, Option, Press, Sentence


class SignalDialog(Dialog[str | None]):
    """Returns the signal that was sent, None when none was. Cancel has the focus: Enter alone sends nothing.

    Ask `signals.refusal` first: where it gives a reason, there is nothing to open this for.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "cancel", show=False)]
    DEFAULT_CSS = """
    SignalDialog { align: center middle; background: $background 60%; }
    SignalDialog > Vertical { width: 84; max-width: 96%; height: auto; background: $panel; padding: 1 1; }
    SignalDialog #buttons { height: 1; align-horizontal: right; margin-top: 1; }
    """

    def __init__(self, gpu: Gpu, process: Process) -> None:
        super().__init__()
        self._gpu = gpu
        self._process = process
        self._busy = False

    def compose(self) -> ComposeResult:
        """Which process, which signal, and what is lost with it."""
        process = self._process
        held = ", ".join(clean(model.repo, 60) for model in process.models)
        options = [Option(name, f"SIG{name}", signals.MEANINGS[name]) for name in signals.SIGNALS]
        with Vertical():
            yield Sentence(f"Send a signal to process {process.pid}?", "b:hi")
            yield Sentence(show(process.command, 300) if process.command else units.UNKNOWN, "fg")
            who = f"user {clean(process.user or units.UNKNOWN, 40)}"
            yield Sentence(f"{who}, {units.memory(process.memory)} on {self._gpu.label}", "dim")
            if held:
                yield Sentence(f"holds {held}", "dim")
            yield Choice("Signal", options, id="signal")
            yield Sentence("", "err", id="problem")
            with Horizontal(id="buttons"):
                yield Press("Send", id="send")
                yield Press("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Enter alone shall not end anybody's work; SIGTERM is what `kill` sends."""
        self.query_one("#signal", Choice).choose("TERM")
        self.query_one("#cancel", Press).focus()

    @on(Press.Pressed, "#send")
    def _pressed(self) -> None:
        if not self._busy:
            self._busy = True
            self._send(self.query_one("#signal", Choice).value)

    @work(exit_on_error=False)
    async def _send(self, name: str) -> None:
        try:
            await in_background(signals.send, self._process, name, simulated=self._gpu.simulated)
        except signals.NotSent as reason:
            self._busy = False
            self.query_one("#problem", Sentence).say(str(reason), "err")
        else:
            self.dismiss(name)

    @on(Press.Pressed, "#cancel")
    def action_leave(self) -> None:
        """Leave without sending anything."""
        self.dismiss(None)
