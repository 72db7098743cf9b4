"""A sheet as plain text, for a terminal IPython and wherever HTML is not drawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from cachetop.base import cells
from cachetop.base.hostile import show
from cachetop.notebook.sheet import Bar, Cell, Sheet, Table

_CELL_MOST = 80
_FIRST_LEAST = 28
"""Columns below which the first column of a table does not give way: a line is then longer than the terminal."""


def text(sheet: Sheet) -> str:
    """All of it, lines no longer than the terminal is wide where a table's first column can give way."""
    return "\n".join(_lines(sheet))


def _lines(sheet: Sheet) -> Iterator[str]:
    yield show(sheet.title)
    widest = max((len(name) for name, _ in sheet.facts), default=0)
    for name, said in sheet.facts:
        yield f"  {show(name):<{widest}}  {show(said)}"
    for table in sheet.tables:
        yield ""
        yield from _table(table)
    if sheet.remarks:
        yield ""
    for tone, said in sheet.remarks:
        yield show(said) if tone == "note" else f"{tone}: {show(said)}"


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield show(table.title)
    rows = [[_cell(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(cells.width(row[column]) for row in rows) for column in range(len(table.head))]
    room = shutil.get_terminal_size((120, 24)).columns - 2
    spare = room - sum(widths) - 2 * (len(widths) - 1)
    widths[0] = max(min(widths[0], _FIRST_LEAST), min(widths[0], widths[0] + spare))
    for row in rows:
        row[0] = cells.shorten(row[0], widths[0])
        parts = [
            cells.right(cell, width) if table.right[n : n + 1] == ">" else cells.left(cell, width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(parts).rstrip()
    if table.left_out:
        yield f"  and {table.left_out} more"


def _cell(cell: Cell) -> str:
    said = show(cell.text if isinstance(cell, Bar) else cell)
    return cells.shorten(said, _CELL_MOST)
