"""A page as blocks, and its two appearances: text wrapped to a terminal, and Markdown.

Texts may hold `code` and **bold**; a block never holds markup of either output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachetop.base import cells

_NARROW = 72
_GAP = 2


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Running text; empty lines part paragraphs."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of items."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table. The first cell of each row names it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Command:
    """A shell command as a heading of its own."""

    text: str


Block = Heading | Paragraph | Bullets | Grid | Command


def markdown(blocks: Iterable[Block]) -> str:
    """The page as Markdown, one block after another, ending in a newline."""
    parts = []
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Paragraph(text):
                parts.append(text.strip())
            case Bullets(items):
                parts.append("\n".join(f"- {item}" for item in items))
            case Command(text):
                parts.append(f"### `{text}`")
            case Grid(head, rows):
                lines = [_row(head), "|" + " --- |" * len(head)]
                lines += [_row((f"**{row[0]}**", *row[1:])) for row in rows]
                parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(parts: Sequence[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"


def plain(blocks: Iterable[Block], width: int, bold: bool = False) -> str:
    """The page as text at most `width` columns wide; headings in bold where asked, else underlined."""
    lines: list[str] = []
    for block in blocks:
        if lines:
            lines.append("")
        match block:
            case Heading(text, level):
                lines += _heading(text, level, bold)
            case Paragraph(text):
                for i, part in enumerate(text.strip().split("\n\n")):
                    lines += [""] * bool(i) + wrap(part, width)
            case Bullets(items):
                for item in items:
                    lines += _hang("- ", item, width)
            case Command(text):
                lines.append(_bold(f"$ {text}") if bold else f"$ {text}")
            case Grid():
                lines += _stack(block, width) if width < _NARROW else _columns(block, width, bold)
    return "\n".join(lines) + "\n"


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


def _heading(text: str, level: int, bold: bool) -> list[str]:
    if bold:
        return [_bold(text)]
    return [text, ("=" if level == 1 else "-") * cells.width(text)]


def _hang(mark: str, text: str, width: int) -> list[str]:
    """Text behind a mark, the following lines indented below it."""
    first, *rest = wrap(text, width - len(mark))
    return [mark + first, *(" " * len(mark) + line for line in rest)]


def _stack(grid: Grid, width: int) -> list[str]:
    """A table for a narrow terminal: each row a small list."""
    lines = []
    for row in grid.rows:
        lines += wrap(row[0], width)
        for name, cell in zip(grid.head[1:], row[1:], strict=True):
            lines += _hang("  ", f"{name}: {cell}", width)
    return lines


def _columns(grid: Grid, width: int, bold: bool) -> list[str]:
    table = [grid.head, *grid.rows]
    first = min(max(cells.width(row[0]) for row in table), 24)
    others = len(grid.head) - 1
    share = (width - first - _GAP * others) // others
    widths = [first] + [share] * others
    lines = []
    for number, row in enumerate(table):
        wrapped = [wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        height = max(len(cell) for cell in wrapped)
        for i in range(height):
            parts = [
                cells.left(cell[i] if i < len(cell) else "", size) for cell, size in zip(wrapped, widths, strict=True)
            ]
            line = (" " * _GAP).join(parts).rstrip()
            lines.append(_bold(line) if bold and not number else line)
        if not number:
            lines.append((" " * _GAP).join("-" * size for size in widths))
    return lines


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a word that is longer is broken. At least one line."""
    width = max(width, 2)
    lines, line = [], ""
    for word in text.replace("**", "").split():
        while word:
            if not line:
                line, word = _split(word, width)
            elif cells.width(line) + 1 + cells.width(word) <= width:
                line, word = f"{line} {word}", ""
            else:
                lines.append(line)
                line = ""
    return [*lines, line]


def _split(word: str, width: int) -> tuple[str, str]:
    first = cells.fitting(word, width)
    return first, word[len(first) :]
