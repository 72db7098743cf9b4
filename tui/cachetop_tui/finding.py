"""Type to find: what has been typed, what a key does to it, and the row it leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cachetop_tui.cut import head
from cachetop_tui.marks import Line, Pen, Row

_AT_ONCE = 4000
"""Rows that are looked at before the event loop gets its turn again."""
_STEPS = {"down": 1, "up": -1, "f3": 1, "shift+f3": -1}


@dataclass
class Find:
    """What is being looked for; `cursor` and `offset` are where it began."""

    cursor: str | None
    offset: int
    text: str = ""
    left: bool = False
    """Whether it was given up, so that the cursor goes back."""
    missing: bool = field(default=False, init=False)
    """Whether no row has the text."""

    @property
    def start(self) -> tuple[str | None, int]:
        """Where it began."""
        return self.cursor, self.offset

    def take(self, key: str, character: str | None) -> int | None:
        """Take a key: 0 looks from the cursor on, 1 and -1 for the next and the one before; None: the key ends it."""
        if key == "escape":
            self.left = True
            return 0
        if key == "backspace":
            self.text = self.text[:-1]
            return 0
        if key in _STEPS:
            return _STEPS[key]
        if character is not None and character != " " and "+" not in key:
            self.text += character
            return 0
        return None

    async def seek(
        self, rows: Sequence[Row], label: Callable[[Row], str], start: int, step: int, fixed: bool = False
    ) -> Row | None:
        """The row that has the text in its label, from `start` on and round the end; None where none has.

        Rows that the cursor steps over count if there are no others, or if `fixed` says so.
        """
        wanted = self.text.casefold()
        self.missing = False
        if not wanted:
            return None
        steps_over = not fixed and any(not row.fixed for row in rows)
        for n in range(len(rows)):
            if n % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            row = rows[(start + (step or 1) * (n + abs(step))) % len(rows)]
            if not (row.fixed and steps_over) and wanted in label(row).casefold():
                return row
        self.missing = True
        return None

    def line(self, width: int) -> Line:
        """What stands in the list's first line meanwhile."""
        pen = Pen(width, "head")
        pen.put(0, "▎", "accent")
        end = width - 1
        keys = ("Up Down", "b:fg", " next  ", "dim", "Enter", "b:fg", " opens  ", "dim", "Esc", "b:fg", " back", "dim")
        if width >= 76:
            end = pen.right(width - 1, *keys)
        x = pen.run(1, "find ", "faint", head(self.text, max(1, end - 20)), "b:hi")
        x = pen.put(x, "▏", "accent")
        if self.missing and x + 12 < end:
            pen.put(x + 2, "in no row", "warn")
        return pen.line()
