"""A buffer of terminal cells that turns into finished strips.

Painters write text and bars in style words (`themes.palette`) and never see a colour. Text is taken as it is,
one character after the other: no markup, no escape codes. A wide character takes two cells, and what cannot be
placed in a cell of its own (joiners, flags, skin tones) never disturbs the columns to its right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.strip import Strip

from cachetop_tui.themes.palette import Palette

_TO_ASCII: Final = str.maketrans({
    "●": "*", "○": "o", "▲": "!", "▼": "D", "▸": ">", "▾": "v", "✓": "+", "✗": "x", "│": "|", "─": "-", "┆": ":",
    "▎": "|", "▏": "|", "·": "-", "…": "~", "›": ">", "→": ">", "–": "-", "×": "x", "°": " ", "└": "`", "├": "|",
    "┬": "+", "┴": "+", "┼": "+", "┌": "+", "┐": "+", "┘": "+", "━": "=", "╸": "=", "╺": "=", "▁": ".", "▂": ".",
    "▃": ":", "▄": "-", "▅": "=", "▆": "+", "▇": "*", "█": "#", "░": ".", "▔": "-", "−": "-", "≈": "~", "↑": "^",
    "↓": "v", "┃": "|", "▐": "|", "\N{REPLACEMENT CHARACTER}": "?",
})  # fmt: skip
_LEFT: Final = " ▏▎▍▌▋▊▉█"
_UP: Final = " ▁▂▃▄▅▆▇█"
_MARKS_KEPT: Final = 2
PART_LETTERS: Final = {
    "v.a": "a", "v.b": "b", "v.c": "c", "v.other": "-", "p.disk": "A", "p.vram": "A", "p.import": "i",
    "p.compile": "B", "p.pages": "C", "p.pages2": "c", "p.export": "e",
}  # fmt: skip
"""What a part of a bar is drawn with where only ASCII can be shown."""

Part = tuple[float, float, str]
"""A stretch of a bar: from, to (in cells, fractions allowed), token."""


@lru_cache(maxsize=4096)
def cells(text: str) -> tuple[tuple[str, int], ...]:
    """`text` as (character with its marks, cells it takes) pairs, each 1 or 2 cells wide.

    A control character becomes U+FFFD: whatever a caller forgot to clean, no escape code leaves the canvas.
    """
    if text.isascii() and text.isprintable():
        return tuple((c, 1) for c in text)
    out: list[tuple[str, int]] = []
    for char in text:
        code = ord(char)
        lonely = 0x1F1E6 <= code <= 0x1F1FF or 0x1F3FB <= code <= 0x1F3FF  # its width depends on its neighbour
        if code < 32 or 127 <= code < 160 or lonely:
            char = "\N{REPLACEMENT CHARACTER}"
        width = get_character_cell_size(char)
        if width:
            out.append((char, width))
        elif out and unicodedata.category(char) in ("Mn", "Me") and not 0xFE00 <= ord(char) <= 0xFE0F:
            base, taken = out[-1]
            if len(base) <= _MARKS_KEPT:
                out[-1] = (base + char, taken)
    return tuple(out)


def width_of(text: str) -> int:
    """How many cells `text` takes on a canvas."""
    return len(text) if text.isascii() else sum(width for _, width in cells(text))


def fold(text: str) -> str:
    """`text` in ASCII, as wide as before: known glyphs by their stand-in, anything else by `?`."""
    text = text.translate(_TO_ASCII)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * w for c, w in cells(text))


class Canvas:
    """`height` rows of `width` cells over the background token `background`; (0, 0) is the top left."""

    def __init__(self, width: int, height: int, background: str = "bg", palette: Palette | None = None) -> None:
        self.width, self.height, self.background = max(0, width), max(0, height), background
        self.palette = palette or Palette("dark")
        self._chars = [[" "] * self.width for _ in range(self.height)]
        self._words = [["fg"] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, text: str, word: str = "fg") -> int:
        """Write `text` from column `x`, clipped; returns the column after it. Keeps the background that is there."""
        if not 0 <= y < self.height:
            return x + width_of(text)
        chars, words = self._chars[y], self._words[y]
        keeps = "@" not in word
        for char, wide in cells(text):
            if x >= self.width:
                x += wide
                continue
            if x >= 0 and x + wide <= self.width:
                self._clear(chars, x)
                if wide == 2:
                    self._clear(chars, x + 1)
                for at in range(x, x + wide):
                    below = words[at].partition("@")[2] if keeps else ""
                    words[at] = f"{word}@{below}" if below else word
                chars[x] = char
                if wide == 2:
                    chars[x + 1] = ""
            x += wide
        return x

    def _clear(self, chars: list[str], x: int) -> None:
        """Blank the other half of a wide character that is about to lose one of its cells."""
        if chars[x] == "" and x:
            chars[x - 1] = chars[x] = " "
        elif x + 1 < self.width and chars[x + 1] == "":
            chars[x + 1] = " "

    def run(self, x: int, y: int, *parts: str) -> int:
        """`run(x, y, text, word, text, word, ...)`: several pieces one after the other."""
        for text, word in zip(parts[::2], parts[1::2], strict=True):
            x = self.put(x, y, text, word)
        return x

    def right(self, end: int, y: int, *parts: str) -> int:
        """Like `run`, ending before column `end`; returns the column it starts at."""
        x = end - sum(width_of(text) for text in parts[::2])
        self.run(x, y, *parts)
        return x

    def free(self, x: int, y: int) -> bool:
        """Whether nothing is written there."""
        return self._chars[y][x] == " "

    def fill(self, start: int, end: int, y: int, token: str) -> None:
        """Give columns `start` to `end` of row `y` the background `token`, keeping what is written."""
        if 0 <= y < self.height:
            words = self._words[y]
            for x in range(max(0, start), min(self.width, end)):
                words[x] = f"{words[x].partition('@')[0]}@{token}"

    def rule(self, y: int, word: str = "line", glyph: str = "─") -> None:
        """A line across the whole width."""
        self.put(0, y, glyph * self.width, word)

    def pieces(self, x: int, y: int, width: int, parts: Sequence[Part], track: str | None = None) -> None:
        """A bar of `width` cells out of sorted parts that do not overlap, with edges of an eighth of a cell.

        `track` is the token of what no part covers; None leaves the background and, in ASCII, blanks.
        """
        base = track or self.background
        for i in range(width):
            self._piece(x + i, y, _shares(parts, i, base), base, track)

    def _piece(self, x: int, y: int, shares: list[tuple[str, float]], base: str, track: str | None) -> None:
        palette = self.palette
        most = max(shares, key=lambda share: share[1])[0]
        if palette.ascii_only:
            text, word = (PART_LETTERS.get(most, "#"), most) if most != base else ("." if track else " ", "faint")
            self.put(x, y, text, word)
        elif track and palette.flat and most == base:
            self.put(x, y, "░", "rule")
        elif palette.plain:
            self.put(x, y, " " if most == base else "█", f"{most}@{most}")
        else:
            first, last = shares[0][0], shares[-1][0]
            eighths = 8 if len(shares) == 1 else round(shares[0][1] * 8)
            if 0 < eighths < 8:
                self.put(x, y, _LEFT[eighths], f"{first}@{last}")
            else:
                token = first if eighths else last
                self.put(x, y, " " if token == base else "█", f"{token}@{token}")

    def bar(
        self, x: int, y: int, width: int, parts: Iterable[tuple[float, str]], total: float, track: str | None = "track"
    ) -> None:
        """A bar of (value, token) parts one after the other on a scale of `total`; nothing to draw if that is 0."""
        at, out = 0.0, []
        for value, token in parts:
            if total > 0 and value > 0:
                start, at = at, min(width, at + value / total * width)
                out.append((start, at, token))
        self.pieces(x, y, width, out, track)

    def thin(self, x: int, y: int, width: int, parts: Sequence[Part], track: str | None = "rule") -> None:
        """A heavy line instead of a filled bar, so that neighbouring rows never melt together; half-cell edges."""
        for i in range(width):
            left, right = (_covering(parts, i + half, 0.25 if track else 0.14) for half in (0.0, 0.5))
            if left is None and right is None:
                if track:
                    hollow = self.palette.ascii_only or self.palette.plain
                    self.put(x + i, y, "." if self.palette.ascii_only else "░" if hollow else "━", track)
            elif self.palette.ascii_only:
                self.put(x + i, y, "=", left or right or "fg")
            elif left is None:
                self.put(x + i, y, "╺", right or "fg")
            else:
                self.put(x + i, y, "╸" if right is None and not track else "━", left)

    def area(self, x: int, y: int, height: int, values: Sequence[float], top: float, token: str) -> None:
        """Columns from the bottom of `height` rows, one value each, on a scale of `top`."""
        for i, value in enumerate(values):
            level = max(0.0, min(1.0, value / top if top > 0 else 0.0)) * height
            for row in range(height):
                eighths = max(0, min(8, round((level - (height - 1 - row)) * 8)))
                if eighths == 8 and not self.palette.ascii_only:
                    self.put(x + i, y + row, "█", f"{token}@{token}")
                elif eighths:
                    self.put(x + i, y + row, _UP[eighths], token)

    def braille(self, x: int, y: int, width: int, height: int, levels: Sequence[float], word: str = "link") -> None:
        """A line through `levels` (0 to 1, two for each cell, the last at the right edge), four steps a row."""
        steps = height * 4
        places = [max(0, min(steps - 1, round(level * (steps - 1)))) for level in levels[-width * 2 :]]
        shift = width * 2 - len(places)
        bits = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
        grid = [[0] * width for _ in range(height)]
        for k, place in enumerate(places):
            before = places[k - 1] if k else place
            low, high = min(before, place), max(before, place)
            low += before == low != high
            for step in range(low, high + 1 - (before == high != low)):
                grid[height - 1 - step // 4][(k + shift) // 2] |= bits[(k + shift) % 2][step % 4]
        for row, line in enumerate(grid):
            for i, pattern in enumerate(line):
                if pattern:
                    self.put(x + i, y + row, "-" if self.palette.ascii_only else chr(0x2800 + pattern), word)

    def chip(self, x: int, y: int, letter: str, token: str) -> None:
        """A letter on the colour of a part, three cells wide; `[a]` where colour cannot be relied on."""
        if self.palette.ascii_only:
            self.put(x, y, f"[{letter}]", token)
        else:
            self.put(x, y, f" {letter} ", f"b:ink@{token}")

    def text(self) -> list[str]:
        """The characters of each row, as a terminal would show them."""
        rows = ["".join(chars) for chars in self._chars]
        return [fold(row) for row in rows] if self.palette.ascii_only else rows

    def strips(self) -> list[Strip]:
        """The rows as finished strips, neighbouring cells of one style joined."""
        return [self._strip(chars, words) for chars, words in zip(self._chars, self._words, strict=True)]

    def _strip(self, chars: list[str], words: list[str]) -> Strip:
        segments: list[Segment] = []
        start = 0
        for x in range(1, self.width + 1):
            if x == self.width or words[x] != words[start]:
                text = "".join(chars[start:x])
                if self.palette.ascii_only:
                    text = fold(text)
                segments.append(Segment(text, self.palette.style(words[start], self.background)))
                start = x
        return Strip(segments, self.width)


def _shares(parts: Sequence[Part], cell: int, base: str) -> list[tuple[str, float]]:
    """How cell number `cell` is divided: (token, share) from left to right, at most two."""
    got: list[tuple[str, float]] = []
    at = float(cell)
    for start, end, token in parts:
        low, high = max(start, at), min(end, cell + 1)
        if high - low > 1e-6:
            if low - at > 1e-6:
                got.append((base, low - at))
            got.append((token, high - low))
            at = high
    if cell + 1 - at > 1e-6:
        got.append((base, cell + 1 - at))
    if len(got) <= 2:
        return got
    filled = [share for share in got if share[0] != base]
    if len(filled) > 1:  # more than one part in the cell: the first and the last of them share it
        return [(filled[0][0], 0.5), (filled[-1][0], 0.5)]
    share = max(filled[0][1], 0.2)  # a sliver between two blanks stays visible
    return [(filled[0][0], share), (base, 1 - share)]


def _covering(parts: Sequence[Part], start: float, least: float) -> str | None:
    """The token of the first part that covers at least `least` of the half cell from `start`."""
    return next((t for a, b, t in parts if min(b, start + 0.5) - max(a, start) >= least - 1e-9), None)
