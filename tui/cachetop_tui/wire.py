"""What goes over the wire: of each new picture only the cells that differ from what the terminal shows already.

Textual sends a region again whenever a widget in it was refreshed, with a reset after every piece of text. Over a
slow line that is most of what is sent. A `Shadow` knows every cell on the terminal and writes the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from rich.color import ColorSystem
from rich.console import Console
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.strip import Strip

from cachetop_tui.paint import cells

_GAP = 4
"""Cells that are rather sent again than jumped over; a jump takes as many bytes."""
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "9": "29"}
Piece = tuple[int, int, Iterable[Strip]]
"""A stretch of a line: row, column, and what stands from there on."""
_Row = tuple[list[str], list[str]]
"""The characters of a row and, beside them, the SGR codes of each; the cell after a wide character is empty."""


class Shadow:
    """The cells of the terminal, as far as they are known."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._width = 0
        self._unsteady: set[int] = set()

    def forget(self) -> None:
        """Nothing is known any more: the terminal was resized, or something else has written on it."""
        self._rows = []

    def sequence(self, pieces: Iterable[Piece], width: int, height: int, colors: ColorSystem) -> str:
        """What brings `pieces` on a terminal of `width` x `height` cells; empty where they are there already."""
        if self._width != width or len(self._rows) != height:
            self._width = width
            self._rows = [([""] * width, ["?"] * width) for _ in range(height)]
            self._unsteady = set()
        out = _Writer(width)
        for y, x, strips in pieces:
            if 0 <= y < height and 0 <= x < width:
                self._write(out, y, x, strips, colors)
        return out.text()

    def _write(self, out: _Writer, y: int, x: int, strips: Iterable[Strip], colors: ColorSystem) -> None:
        chars, codes, steady = _cells_of(strips, self._width - x, colors)
        end = x + len(chars)
        old_chars, old_codes = self._rows[y]
        if old_chars[x:end] == chars and old_codes[x:end] == codes:
            return
        if steady and y not in self._unsteady:
            for first, last in _changed(old_chars[x:end], old_codes[x:end], chars, codes):
                out.put(y, x + first, chars[first:last], codes[first:last])
            old_chars[x:end], old_codes[x:end] = chars, codes
            return
        # Terminals disagree about the width of some characters: such a row is sent whole, each place told.
        old_chars[x:end], old_codes[x:end] = chars, codes
        for at, char in enumerate(old_chars):
            if old_codes[at] != "?" and char:
                out.put(y, at, [char], [old_codes[at]])
                if not (len(char) == 1 and _steady(char)):
                    out.lose()
        if all(len(char) == 1 and _steady(char) for char in old_chars):
            self._unsteady.discard(y)
        else:
            self._unsteady.add(y)


class _Writer:
    """Collects text for the terminal and knows where its cursor stands and in which style it writes."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._at: tuple[int, int] | None = None
        self._codes = ""

    def put(self, y: int, x: int, chars: list[str], codes: list[str]) -> None:
        """Write cells from (x, y) on."""
        self._go(y, x)
        start = 0
        for i in range(1, len(chars) + 1):
            if i == len(chars) or codes[i] != codes[start]:
                self._out += (change(self._codes, codes[start]), *chars[start:i])
                self._codes = codes[start]
                start = i
        end = x + len(chars)
        self._at = (y, end) if end < self._width else None

    def lose(self) -> None:
        """The cursor may stand elsewhere than it should."""
        self._at = None

    def _go(self, y: int, x: int) -> None:
        if self._at == (y, x):
            return
        if self._at is not None and self._at[0] == y and x > self._at[1]:
            by = x - self._at[1]
            self._out.append(f"\x1b[{by}C" if by > 1 else "\x1b[C")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")

    def text(self) -> str:
        """All of it, the style given back."""
        return "".join((*self._out, change(self._codes, ""))) if self._out else ""


def _cells_of(strips: Iterable[Strip], most: int, colors: ColorSystem) -> tuple[list[str], list[str], bool]:
    """At most `most` cells of some strips: characters, their codes, and whether every terminal counts them alike."""
    chars: list[str] = []
    codes: list[str] = []
    steady = True
    for strip in strips:
        for text, style, control in strip:
            if control:
                continue
            code = Strip.render_ansi(style, colors) if style is not None else ""
            if text.isascii() and text.isprintable():
                chars += text
                codes += [code] * len(text)
                continue
            for char, wide in cells(text):
                steady = steady and wide == 1 and len(char) == 1 and _steady(char)
                chars += (char, *[""] * (wide - 1))
                codes += [code] * wide
    del chars[most:], codes[most:]
    return chars, codes, steady


def _steady(char: str) -> bool:
    """Whether all terminals draw it in one cell: letters of Europe, and the blocks that this app is drawn with."""
    code = ord(char)
    return code < 0x0300 or 0x2000 <= code < 0x2060 or 0x2190 <= code < 0x2600 or 0x2713 <= code < 0x2719 or (
        0x2800 <= code < 0x2900
    )  # fmt: skip


def _changed(old: list[str], old_codes: list[str], new: list[str], codes: list[str]) -> Iterator[tuple[int, int]]:
    """Stretches (first, after the last) that differ, those with a short gap of one style between them joined."""
    first, last = -1, -1
    for i, (a, b, c, d) in enumerate(zip(old, new, old_codes, codes, strict=True)):
        if a == b and c == d:
            continue
        if first < 0:
            first = i
        elif i - last > _GAP or codes[last : i + 1].count(codes[last]) < i - last:
            yield first, last + 1
            first = i
        last = i
    if first >= 0:
        yield first, last + 1


@lru_cache(maxsize=4096)
def change(old: str, new: str) -> str:
    """The shortest sequence that turns one style (its SGR codes) into another; empty where they are the same."""
    if old == new:
        return ""
    if not new:
        return "\x1b[m"
    attributes, front, back = _parts(old)
    wanted, new_front, new_back = _parts(new)
    codes = list(dict.fromkeys(_OFF.get(code, "0") for code in attributes if code not in wanted))
    gone = set(codes)
    codes += [code for code in wanted if code not in attributes or _OFF.get(code) in gone]
    if front != new_front:
        codes.append(new_front or "39")
    if back != new_back:
        codes.append(new_back or "49")
    whole = f"0;{new}"
    step = ";".join(codes)
    return f"\x1b[{whole if '0' in codes or len(whole) < len(step) else step}m"


@lru_cache(maxsize=4096)
def _parts(codes: str) -> tuple[tuple[str, ...], str, str]:
    """SGR codes as attributes, colour and background."""
    attributes: list[str] = []
    front = back = ""
    left = iter(codes.split(";")) if codes else iter(())
    for code in left:
        if code in ("38", "48"):
            kind = next(left, "")
            color = ";".join([code, kind, *(next(left, "") for _ in range(3 if kind == "2" else 1))])
            front, back = (color, back) if code == "38" else (front, color)
        elif code.isdigit() and (30 <= int(code) <= 39 or 90 <= int(code) <= 97):
            front = code
        elif code.isdigit() and (40 <= int(code) <= 49 or 100 <= int(code) <= 107):
            back = code
        elif code:
            attributes.append(code)
    return tuple(attributes), front, back


def pieces_of(update: CompositorUpdate) -> list[Piece] | None:
    """What an update of Textual brings where; None for one that is not understood."""
    if isinstance(update, LayoutUpdate):
        return [(y, update.region.x, line) for y, line in enumerate(update.strips, update.region.y)]
    if not isinstance(update, ChopsUpdate):
        return None
    found: list[Piece] = []
    for y, start, stop in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= stop and end > start:
                found.append((y, x, (strip if end <= stop else strip.crop(0, min(end, stop) - x),)))
    return found


class _Difference(CompositorUpdate):
    """An update that sends what the terminal does not show already."""

    def __init__(self, pieces: list[Piece], shadow: Shadow, width: int, height: int) -> None:
        self._pieces, self._shadow, self._size = pieces, shadow, (width, height)

    def render_segments(self, console: Console) -> str:
        """See `CompositorUpdate`."""
        colors = console._color_system or ColorSystem.TRUECOLOR
        return self._shadow.sequence(self._pieces, *self._size, colors)


class Sparing(App[None]):
    """An app that sends differences, and nothing while nobody looks."""

    pauses = True
    """Whether to send nothing while the terminal says that another window has the focus."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shadow = Shadow()
        self._silent = False

    def _display(self, screen: Any, renderable: Any) -> None:
        if self._silent:
            return
        if isinstance(renderable, CompositorUpdate):
            pieces = pieces_of(renderable)
            if pieces is None:
                self._shadow.forget()
            else:
                renderable = _Difference(pieces, self._shadow, *self.size)
        super()._display(screen, renderable)

    def say_paused(self, paused: bool) -> None:
        """Show that nothing more will come, or that it goes on."""

    def watch_app_focus(self, focus: bool) -> None:
        """Say so and fall silent, or catch up with what was not sent."""
        if not focus and self.pauses:
            self.say_paused(True)
            self.call_after_refresh(self._fall_silent)
        elif focus:
            self.say_paused(False)
            if self._silent:
                self._silent = False
                self.screen.refresh()

    def _fall_silent(self) -> None:
        self._silent = not self.app_focus

    def on_resize(self) -> None:
        """Terminals move lines about when they get another size."""
        self.repaint_all()

    def repaint_all(self) -> None:
        """Send every cell again: another program may have written over them."""
        self._shadow.forget()
        if self.is_running:
            self.screen.refresh()
