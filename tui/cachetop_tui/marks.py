"""One line of a list as data: what stands where, in style words, ready to be compared and painted.

A `Line` is built by a pure function from a snapshot and compared with the one it replaces, so that only lines
which really changed are sent to the terminal. A `Pen` builds it, placing text from the left or from the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from cachetop_tui.paint import Canvas, Part, cells, width_of


@dataclass(frozen=True, slots=True)
class Text:
    """Text from column `x`."""

    x: int
    text: str
    word: str

    def paint(self, canvas: Canvas) -> None:
        """Write it on the one row of `canvas`."""
        canvas.put(self.x, 0, self.text, self.word)


@dataclass(frozen=True, slots=True)
class Thin:
    """A heavy line of `width` cells, `filled` of them in `token`."""

    x: int
    width: int
    filled: float
    token: str

    def paint(self, canvas: Canvas) -> None:
        """Draw it on the one row of `canvas`."""
        canvas.thin(self.x, 0, self.width, [(0, self.filled, self.token)])


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled bar of sorted parts, on each that is wide enough its letter, or the first of its words that fits."""

    x: int
    width: int
    parts: tuple[Part, ...]
    letters: str = ""
    words: tuple[tuple[str, ...], ...] = ()

    def paint(self, canvas: Canvas) -> None:
        """Draw it on the one row of `canvas`."""
        canvas.pieces(self.x, 0, self.width, self.parts, "track")
        if canvas.palette.ascii_only:
            self._letters(canvas)
            return
        for i, (letter, (start, end, token)) in enumerate(zip(self.letters, self.parts, strict=False)):
            first = math.ceil(start)
            fitting = (text for text in self.words[i] if len(text) <= int(end) - first - 2) if self.words else ()
            if end - start >= 2.4:
                canvas.put(self.x + int(start) + 1, 0, next(iter(fitting), letter), f"b:ink@{token}")

    def _letters(self, canvas: Canvas) -> None:
        """Fill every part with its own letter, which need not be that of its token."""
        for letter, (start, end, token) in zip(self.letters, self.parts, strict=False):
            canvas.put(self.x + round(start), 0, letter * (round(end) - round(start)), token)


@dataclass(frozen=True, slots=True)
class Chip:
    """A letter on the colour of its part of a bar."""

    x: int
    letter: str
    token: str

    def paint(self, canvas: Canvas) -> None:
        """Draw it on the one row of `canvas`."""
        canvas.chip(self.x, 0, self.letter, self.token)


@dataclass(frozen=True, slots=True)
class Trace:
    """Row number `row` (0 is the top) of a history line that is `rows` high; `levels` go from 0 to 1."""

    x: int
    width: int
    levels: tuple[float, ...]
    row: int
    rows: int

    def paint(self, canvas: Canvas) -> None:
        """Draw it on the one row of `canvas`."""
        whole = Canvas(canvas.width, self.rows, canvas.background, canvas.palette)
        whole.braille(self.x, 0, self.width, self.rows, self.levels, "link")
        canvas.put(self.x, 0, whole.text()[self.row][self.x : self.x + self.width], "link")


Mark = Text | Thin | Bar | Chip | Trace


@dataclass(frozen=True, slots=True)
class Line:
    """What one line shows; `ground` is the background token of the whole line, empty for the list's own."""

    marks: tuple[Mark, ...] = ()
    ground: str = ""

    def paint(self, canvas: Canvas, ground: str = "") -> None:
        """Draw it on the one row of `canvas`; `ground` wins over the line's own."""
        if ground or self.ground:
            canvas.fill(0, canvas.width, 0, ground or self.ground)
        for mark in self.marks:
            mark.paint(canvas)

    @property
    def text(self) -> str:
        """The words of the line, from left to right, two blanks between pieces that do not touch."""
        out, end = "", 0
        for mark in sorted((m for m in self.marks if isinstance(m, Text)), key=lambda m: m.x):
            out += ("  " if out and mark.x > end else "") + mark.text
            end = mark.x + width_of(mark.text)
        return out

    def marked(self, text: str, word: str) -> Line:
        """The line with every place where `text` stands in it, in whatever case, written as `word`."""
        wanted = text.casefold()
        shown: list[str] = []  # what stands in each cell
        for mark in self.marks if wanted else ():
            if isinstance(mark, Text):
                shown += [" "] * (mark.x + width_of(mark.text) - len(shown))
                at = mark.x
                for char, wide in cells(mark.text):
                    shown[at : at + wide] = [char, *[""] * (wide - 1)]
                    at += wide
        column = [x for x, char in enumerate(shown) for _ in char.casefold()]  # of each letter of the text
        whole = "".join(shown).casefold()
        found: list[Mark] = []
        at = whole.find(wanted) if shown else -1
        while at >= 0:
            start, end = column[at], column[at + len(wanted) - 1] + 1
            found.append(Text(start, "".join(shown[start:end]), word))
            at = whole.find(wanted, at + len(wanted))
        return replace(self, marks=(*self.marks, *found)) if found else self


@dataclass(frozen=True, slots=True)
class Link(Line):
    """A line of a document on which the cursor can stand: Enter does what the document does with `target`."""

    target: Any = None


@dataclass(frozen=True, slots=True)
class Tabs(Line):
    """A line of a document with places to click."""

    places: tuple[tuple[int, int, Any], ...] = ()
    """(first column, column after the last, the target as in `Link`)."""

    def at(self, x: int) -> Any:
        """The target at a column, None for none."""
        return next((target for start, end, target in self.places if start <= x < end), None)


def beside(left: Sequence[Line], right: Sequence[Line], column: int) -> list[Line]:
    """Two columns of lines as one, the second from `column` on. What can be clicked in them cannot be any more."""
    out = []
    for one, other in zip_longest(left, right, fillvalue=Line()):
        moved = tuple(replace(mark, x=mark.x + column) for mark in other.marks)
        out.append(Line(one.marks + moved, one.ground))
    return out


@dataclass(frozen=True, slots=True)
class Row:
    """A place in a list, cheap to make by the hundred thousand: who it is, not yet how it looks."""

    key: str
    kind: str
    subject: Any = None
    depth: int = 0
    open: bool | None = None
    """Whether it is unfolded; None for a row with nothing below it."""
    fixed: bool = False
    """The cursor steps over it."""


class Pen:
    """Collects the marks of one line `width` cells wide."""

    def __init__(self, width: int, ground: str = "") -> None:
        self.width = width
        self._ground = ground
        self._marks: list[Mark] = []

    def put(self, x: int, text: str, word: str = "fg") -> int:
        """Text from column `x`; returns the column after it."""
        if text:
            self._marks.append(Text(x, text, word))
        return x + width_of(text)

    def run(self, x: int, *parts: str) -> int:
        """`run(x, text, word, text, word, ...)`, one after the other."""
        for text, word in zip(parts[::2], parts[1::2], strict=True):
            x = self.put(x, text, word)
        return x

    def right(self, end: int, *parts: str) -> int:
        """Like `run`, ending before column `end`; returns the column it starts at."""
        start = end - sum(width_of(text) for text in parts[::2])
        self.run(start, *parts)
        return start

    def add(self, mark: Mark) -> None:
        """Any other mark."""
        self._marks.append(mark)

    def line(self) -> Line:
        """The finished line."""
        return Line(tuple(self._marks), self._ground)


def title(width: int, key: str, name: str, focused: bool, *parts: str) -> Line:
    """The header of a pane: key, if any, name, and at the right what fits of `parts`, the last ones dropped first."""
    pen = Pen(width, "head")
    if focused:
        pen.put(0, "▎", "accent")
    x = pen.put(1, key, "fg" if focused else "faint") + 1 if key else 1
    x = pen.put(x, name, "b:hi" if focused else "b:fg")
    shown = list(parts)
    while shown and sum(width_of(text) for text in shown[::2]) > width - x - 3:
        shown = shown[:-2]
    pen.right(width - 1, *shown)
    return pen.line()


def sentences(text: str, width: int) -> list[str]:
    """`text` wrapped at blanks into lines of at most `width` cells; a longer word is broken."""
    lines: list[str] = []
    now, used = "", 0
    for word in text.split():
        wide = width_of(word)
        if wide > width > 0:
            if now:
                lines.append(now)
                now = ""
            *whole, word = _broken(word, width)
            lines += whole
            wide = width_of(word)
        if now and used + 1 + wide > width:
            lines.append(now)
            now = ""
        now, used = (f"{now} {word}", used + 1 + wide) if now else (word, wide)
    return [*lines, now] if now else lines


def _broken(word: str, width: int) -> list[str]:
    """A word in pieces of at most `width` cells, and at least one character."""
    if word.isascii():
        return [word[at : at + width] for at in range(0, len(word), width)]
    pieces, now, used = [], "", 0
    for char in word:
        wide = width_of(char)
        if now and used + wide > width:
            pieces.append(now)
            now, used = "", 0
        now, used = now + char, used + wide
    return [*pieces, now]
