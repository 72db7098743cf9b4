"""What every dialog is: a screen above the others that can be left once."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType

from cachetop_tui.steady import Steady


class Dialog(ModalScreen[ScreenResultType], Steady[ScreenResultType]):
    """Is left by the first answer; a second one, of a double click or of two resizes in a row, means nothing."""

    _left = False

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """See `Screen`."""
        if self._left:
            nothing: AwaitComplete = AwaitComplete.nothing()  # type: ignore[no-untyped-call]
            return nothing
        self._left = True
        return super().dismiss(result)
