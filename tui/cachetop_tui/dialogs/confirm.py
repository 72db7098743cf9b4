"""A question with two answers, of which the harmless one has the focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from cachetop.base.hostile import clean
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Press, Sentence


class Confirm(Dialog[bool]):
    """Returns whether the person confirmed it. Cancel has the focus: Enter alone does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "answer(False)", "cancel", show=False)]
    DEFAULT_CSS = """
    Confirm { align: center middle; background: $background 60%; }
    Confirm > Vertical { width: 76; max-width: 96%; height: auto; background: $panel; padding: 1 1; }
    Confirm #buttons { height: 1; align-horizontal: right; margin-top: 1; }
    """

    def __init__(self, question: str, sentences: Sequence[str], verb: str) -> None:
        super().__init__()
        self._question = question
        self._sentences = tuple(sentences)
        self._verb = verb

    def compose(self) -> ComposeResult:
        """The question, what follows from yes, and the answers."""
        with Vertical():
            yield Sentence(clean(self._question, 200), "b:hi")
            for sentence in self._sentences:
                yield Sentence(clean(sentence, 200), "fg")
            with Horizontal(id="buttons"):
                yield Press(self._verb, id="yes")
                yield Press("Cancel", id="no")

    def on_mount(self) -> None:
        """Enter alone shall not do it."""
        self.query_one("#no", Press).focus()

    @on(Press.Pressed)
    def _pressed(self, message: Press.Pressed) -> None:
        self.dismiss(message.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer it."""
        self.dismiss(yes)
