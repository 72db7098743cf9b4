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
    FilterLine.-open { display: block; }
    """

    def __init__(self, narrow: Callable[[str], None], leave: Callable[[], None]) -> None:
        super().__init__(id="filter", placeholder="part of a name; Enter keeps, Esc drops", select_on_focus=False)
        self._narrow = narrow
        self._leave = leave

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list with every letter."""
        event.stop()
        if self.has_class("-open"):
            self._narrow(self.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list, with the filter as it is."""
        event.stop()
        if self.has_class("-open"):
            self._narrow(self.value)
            self.remove_class("-open")
            self._leave()

    def action_drop(self) -> None:
        """Show every row again."""
        self.value = ""
        self.post_message(self.Submitted(self, ""))
