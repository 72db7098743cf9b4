"""Plain aligned text for people, as wide as the terminal, and JSON for programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

from cachetop.base import cells
from cachetop.base.hostile import clean
from cachetop.base.record import Record


def emit(record: Record) -> None:
    """Print one object as JSON: indented for a terminal, on one line for a pipe."""
    print(record.to_json(indent=2 if sys.stdout.isatty() else None))


def say(text: str) -> None:
    """Narration, on stderr."""
    print(text, file=sys.stderr)


def ask(question: str) -> str:
    """The answer of whoever sits at the terminal; empty where the input ends, which agrees to nothing."""
    try:
        return input(question)
    except EOFError:
        print()
        return ""


def room() -> int:
    """Cells that a line may take: as many as the terminal has, without a terminal any number."""
    return shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 10_000


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Aligned lines; `right` holds one character per column, `>` for right-aligned ones.

    The first column gives way when the terminal is too narrow: it is cut in the middle. Cells are cleaned.
    """
    body = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(cells.width, column)) for column in zip(head, *body, strict=True)]
    widths[0] = max(12, min(widths[0], room() - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    for row in [list(head), *body]:
        row[0] = cells.shorten(row[0], widths[0])
        parts = [
            cells.right(cell, width) if i < len(right) and right[i] == ">" else cells.left(cell, width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return lines
