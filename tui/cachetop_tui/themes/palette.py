"""A palette turns the style words of the painters into terminal styles.

A style word is `flags:foreground@background`, each part optional: `b:hi@sel` is bold, token `hi` on token `sel`;
`dim` is token `dim` on whatever lies below. Flags: `b` bold, `i` italic, `u` underline, `r` reverse.
"""

from __future__ import annotations

from functools import cached_property

from rich.color import Color
from rich.style import Style

from cachetop_tui.themes.tokens import ANSI, CONTRAST, DARK, LIGHT

MODES = ("dark", "light", "contrast", "ansi", "plain")
_TABLES = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST, "plain": DARK}
_PLAIN_GROUND = frozenset({"bg", "side", "head", "track", "input", "sel2", "line", "rule", ""})
"""Backgrounds that stay the terminal's own when there is no colour; every other one is drawn reversed."""


class Palette:
    """Styles of one mode: `dark`, `light`, `contrast`, `ansi` (sixteen colours) or `plain` (no colour at all)."""

    def __init__(self, mode: str, ascii_only: bool = False) -> None:
        if mode not in MODES:
            raise ValueError(f"{mode!r} is not a palette mode; there are {', '.join(MODES)}")
        self.mode = mode
        self.ascii_only = ascii_only
        self._styles: dict[tuple[str, str], Style] = {}

    @property
    def plain(self) -> bool:
        """Whether there is no colour, only bold and reverse."""
        return self.mode == "plain"

    @property
    def flat(self) -> bool:
        """Whether a track has the colour of the background, so that it needs a glyph to be seen."""
        return self.mode in ("ansi", "plain")

    @cached_property
    def _colors(self) -> dict[str, Color]:
        if self.mode == "ansi":
            return {token: Color.from_ansi(slot) for token, slot in ANSI.items()}
        return {token: Color.parse(value) for token, value in _TABLES[self.mode].items()}

    def style(self, word: str, under: str = "bg") -> Style:
        """The style of a style word over the background token `under`. Raises KeyError for an unknown token."""
        found = self._styles.get((word, under))
        if found is None:
            found = self._styles[word, under] = self._make(word, under)
        return found

    def _make(self, word: str, under: str) -> Style:
        flags, _, rest = word.rpartition(":")
        front, _, back = rest.partition("@")
        front, back = front or "fg", back or under
        bold, italic, underline = "b" in flags or None, "i" in flags or None, "u" in flags or None
        if self.plain:
            if front not in DARK or back not in DARK:
                raise KeyError(front if front not in DARK else back)
            # A cell filled with its own colour is drawn by its glyph; reversing it would empty it.
            reverse = "r" in flags or (back not in _PLAIN_GROUND and front != back)
            return Style(bold=bold or (True if front == "hi" else None), underline=underline, reverse=reverse or None)
        if back == "sel":  # the selected row keeps its contrast: no dim text on it, one white in sixteen colours
            if self.mode == "ansi" and not front.startswith("p."):
                front = "hi"
            front = {"dim": "fg", "faint": "fg"}.get(front, front)
        return Style(
            color=self._colors[front],
            bgcolor=self._colors[back],
            bold=bold,
            italic=italic,
            underline=underline,
            reverse="r" in flags or None,
        )
