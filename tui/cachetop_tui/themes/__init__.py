"""The looks of the app: token tables, palettes made of them, and the Textual themes that go with them."""

from __future__ import annotations

import locale
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from textual.app import App
from textual.theme import Theme

from cachetop_tui.themes.palette import Palette
from cachetop_tui.themes.tokens import CONTRAST, DARK, LIGHT

ASCII_CLASS: Final = "-ascii"
"""The class of an app that draws ASCII only."""


def _theme(name: str, tokens: dict[str, str], dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=tokens["accent"],
        secondary=tokens["link"],
        accent=tokens["accent"],
        warning=tokens["warn"],
        error=tokens["err"],
        success=tokens["ok"],
        foreground=tokens["fg"],
        background=tokens["bg"],
        surface=tokens["side"],
        panel=tokens["head"],
        boost=tokens["input"],
        dark=dark,
        variables={
            "quiet": tokens["dim"],
            "block-cursor-background": tokens["sel"],
            "block-cursor-foreground": tokens["hi"],
            "block-cursor-text-style": "none",
            "border": tokens["rule"],
            "border-blurred": tokens["rule"],
            "input-selection-background": tokens["sel"],
            "scrollbar": tokens["rule"],
            "scrollbar-background": tokens["bg"],
        },
    )


ANSI_NAME: Final = "cachetop-ansi"
_ANSI = Theme(
    name=ANSI_NAME,
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_blue",
    warning="ansi_bright_yellow",
    error="ansi_bright_red",
    success="ansi_bright_green",
    foreground="ansi_white",
    background="ansi_black",
    surface="ansi_black",
    panel="ansi_black",
    boost="ansi_black",
    dark=True,
    variables={
        "quiet": "ansi_white",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "block-cursor-background": "ansi_blue",
        "block-cursor-foreground": "ansi_bright_white",
        "block-cursor-text-style": "none",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-cursor-text-style": "none",
        "input-selection-background": "ansi_blue",
        "input-selection-foreground": "ansi_bright_white",
        "screen-selection-background": "ansi_blue",
        "screen-selection-foreground": "ansi_bright_white",
    },
)

THEMES: Final = (
    _theme("cachetop-dark", DARK, True),
    _theme("cachetop-light", LIGHT, False),
    _theme("cachetop-contrast", CONTRAST, True),
    _ANSI,
)


@lru_cache(maxsize=8)
def palette(mode: str, ascii_only: bool = False) -> Palette:
    """The palette of a mode (`dark`, `light`, `contrast`, `ansi`, `plain`), made once."""
    return Palette(mode, ascii_only)


def current(app: App[Any]) -> Palette:
    """The palette to paint with in `app` now; a theme of Textual's own gets the one nearest to it."""
    theme = app.current_theme
    mode = "plain" if app.no_color else "ansi" if theme.ansi else "dark" if theme.dark else "light"
    if mode == "dark" and theme.name == "cachetop-contrast":
        mode = "contrast"
    return palette(mode, app.has_class(ASCII_CLASS))


def wanted(name: str, env: Mapping[str, str]) -> str:
    """The theme that a configured `name` means; `auto` is what fits the terminal."""
    return preferred(env) if name == "auto" else f"cachetop-{name}"


def preferred(env: Mapping[str, str]) -> str:
    """The theme to start with: sixteen colours where the terminal has no more, or where none are wanted."""
    wanted = env.get("TEXTUAL_THEME", "")
    if wanted in {theme.name for theme in THEMES}:
        return wanted
    if "NO_COLOR" in env:
        return "cachetop-ansi"
    if env.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "cachetop-dark"
    term = env.get("TERM", "")
    many = "256color" in term or "direct" in term or term.startswith(("xterm-kitty", "alacritty", "foot", "ghostty"))
    return "cachetop-dark" if many else "cachetop-ansi"


def wants_ascii(env: Mapping[str, str]) -> bool:
    """Whether to draw ASCII only: `CACHETOP_ASCII` says so, or the locale names another encoding than UTF-8.

    Where nothing names a locale (a bare container) the terminal is taken to know UTF-8; the Linux console is not.
    """
    asked = env.get("CACHETOP_ASCII", "")
    if asked:
        return asked != "0"
    if env.get("TERM") == "linux":
        return True
    names = [env[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(name)]
    if names == ["C.UTF-8", "C"] or names == ["C.UTF-8", "POSIX"]:
        names = names[1:]  # Python itself put the first one there (PEP 538)
    if not names:
        return False
    language, _, encoding = names[0].partition("@")[0].partition(".")
    if not encoding:
        encoding = "ascii" if language in ("C", "POSIX") else locale.getpreferredencoding(False)
    return encoding.lower().replace("-", "") != "utf8"
