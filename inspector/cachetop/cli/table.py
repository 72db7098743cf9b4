"""Plain aligned text for people, as wide as the terminal, and JSON for programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

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


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Aligned lines; `right` holds one character per column, `>` for right-aligned ones.

    The first column gives way when the terminal is too narrow: it is cut in the middle. Cells are cleaned.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max(len(head[i]), *(len(row[i]) for row in cells), 0) if cells else len(head[i]) for i in range(len(head))
    ]
    room = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 10_000
    widths[0] = max(12, min(widths[0], room - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    for row in [list(head), *cells]:
        row[0] = shorten(row[0], widths[0])
        parts = [
            cell.rjust(width) if i < len(right) and right[i] == ">" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def shorten(text: str, width: int) -> str:
    """Cut in the middle by `…`, keeping 42 % at the end: the end tells siblings apart."""
    if len(text) <= width:
        return text
    tail = max(1, int((width - 1) * 0.42))
    return text[: width - 1 - tail] + "…" + text[-tail:]
