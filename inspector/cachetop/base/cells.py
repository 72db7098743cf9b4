"""How many cells of a terminal a text takes, for lines that are aligned without a drawing library."""

from __future__ import annotations

import unicodedata


def width(text: str) -> int:
    """Cells that `text` takes: two for wide characters (Unicode TR 11), none for combining ones."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def left(text: str, cells: int) -> str:
    """`text` with blanks behind it, `cells` wide."""
    return text + " " * (cells - width(text))


def right(text: str, cells: int) -> str:
    """`text` with blanks before it, `cells` wide."""
    return " " * (cells - width(text)) + text


def shorten(text: str, cells: int) -> str:
    """Cut in the middle by `…`, keeping 42 % at the end: the end tells siblings apart."""
    if width(text) <= cells:
        return text
    tail = max(1, int((cells - 1) * 0.42))
    return f"{fitting(text, cells - 1 - tail)}…{fitting(text[::-1], tail)[::-1]}"


def fitting(text: str, cells: int) -> str:
    """The beginning of `text` that fits."""
    taken = 0
    for number, character in enumerate(text):
        taken += _cell(character)
        if taken > cells:
            return text[:number]
    return text
