"""The line in which the filter of a list is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding
from textual.widgets import Input


class FilterLine(Input):
    """Enter keeps the filter, Escape drops it."""

    BINDINGS: ClassVar = [Binding("escape", "drop", "drop the filter", show=False)]
    DEFAULT_CSS = """
    FilterLine, FilterLine:focus { height: 1; border: none; padding: 0 1; background: $boost; display: none; }
    """

    def __init__(self, narrow: Callable[[str], None], leave: Callable[[], None]) -> None:
        super().__init__(id="filter", placeholder="part of a name; Enter keeps, Esc drops", select_on_focus=False)
        self._narrow = narrow
        self._leave = leave

    def open(self, text: str) -> None:
        """Show the line with `text` in it; at once, so that it can take the focus."""
        self.value = text
        self.add_class("-open")
        self.display = True

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list with every letter."""
        event.stop()
        if self.has_class("-open"):
            self._narrow(self.value)

    async def action_submit(self) -> None:
        """Back to the list, with the filter as it is; at once, so that the next key goes there."""
        self._narrow(self.value)
        self.remove_class("-open")
        self.display = False
        self._leave()

    async def action_drop(self) -> None:
        """Show every row again."""
        self.value = ""
        await self.action_submit()
