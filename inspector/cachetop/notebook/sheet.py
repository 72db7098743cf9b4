"""What is shown of a record, once: a title, some facts, tables, remarks. `markup` and `plain` draw it.

Texts in a sheet are not safe yet: drawing cleans, masks and escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetop.base import units

MOST_ROWS = 40
"""Rows of a table that are drawn; how many were left out is said."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell that is a share of something: `part` of `whole`, with its text."""

    part: float
    whole: float
    text: str


Cell = str | Bar


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; `right` has a `>` for each column that is set to the right."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: str = ""
    left_out: int = 0


@dataclass(slots=True)
class Sheet:
    """One record as it is shown. `tone` of a remark: note, warning or error."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def fact(self, name: str, text: str) -> None:
        """Add a fact."""
        self.facts.append((name, text))

    def table(self, title: str, head: str, rows: Sequence[tuple[Cell, ...]], right: str = "") -> None:
        """Add a table, unless it is empty; `head` holds the columns' names, separated by `|`."""
        if rows:
            kept = tuple(rows[:MOST_ROWS])
            self.tables.append(Table(title, tuple(head.split("|")), kept, right, len(rows) - len(kept)))

    def remark(self, tone: str, text: str) -> None:
        """Add a remark."""
        self.remarks.append((tone, text))


count = units.many
"""`1 file`, `3 files`."""
