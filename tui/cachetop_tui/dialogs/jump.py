"""Jump mode: a label on everything in sight that the cursor can go to; typing one goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.paint import Canvas
from cachetop_tui.workbench.chrome import Painted
from cachetop_tui.workbench.jumping import Target, labels


class Label(Painted):
    """One or two letters over a cell of the overview."""

    DEFAULT_CSS = "Label { position: absolute; height: 1; }"

    def __init__(self, text: str, target: Target) -> None:
        super().__init__()
        self.text = text
        self.target = target
        self.styles.width = len(text)
        self.styles.offset = (target.x, target.y)

    def paint(self, canvas: Canvas) -> None:
        """The letters, on the colour of what is chosen."""
        canvas.fill(0, canvas.width, 0, "accent")
        canvas.put(0, 0, self.text, "b:onaccent")


class JumpScreen(Dialog[Target | None]):
    """Returns the target whose label was typed; None for Esc, a click or a letter that begins no label."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave", show=False)]
    DEFAULT_CSS = "JumpScreen { background: $background 0%; }"

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        self._labels = [Label(text, one) for text, one in zip(labels(len(targets)), targets, strict=True)]
        self._typed = ""
        self._laid = Size(0, 0)

    def compose(self) -> ComposeResult:
        """The labels."""
        yield from self._labels

    def on_mount(self) -> None:
        """Note for which size they are."""
        self._laid = self.app.size

    def on_resize(self) -> None:
        """In another layout they would be in the wrong places."""
        if self._laid and self._laid != self.app.size:
            self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        """One letter more: those that begin otherwise go."""
        if event.key == "escape":
            return
        event.stop()
        self._typed += event.character or "\0"
        left = [one for one in self._labels if one.text.startswith(self._typed)]
        if len(left) == 1 and left[0].text == self._typed:
            self.dismiss(left[0].target)
        elif not left:
            self.dismiss(None)
        else:
            for one in self._labels:
                one.display = one in left

    def on_click(self) -> None:
        """A click leaves."""
        self.dismiss(None)
