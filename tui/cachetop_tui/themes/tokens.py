"""The colour tokens: one table for each theme, one name for each purpose.

`dark` and `light` are VS Code's Dark Modern and Light Modern, widened by colours for phases, processes and
states; every text pair holds a contrast of 4.5 to 1 or better. `ansi` names the sixteen slots of the terminal
by number and lets the terminal decide what they look like: with the slots of xterm, VS Code and the Linux console
text on the ground holds 4.5 to 1, too. Nothing that must be read is ever drawn in slot 8.
"""

from __future__ import annotations

from typing import Final

DARK: Final[dict[str, str]] = {
    "bg": "#1F1F1F", "side": "#181818", "head": "#252526", "line": "#2B2B2B", "rule": "#3C3C3C", "track": "#313131",
    "input": "#313131", "sel": "#04395E", "sel2": "#2A2D2E", "badge": "#4D4D4D",
    "hi": "#F2F2F2", "fg": "#CCCCCC", "dim": "#9D9D9D", "faint": "#8E8E8E",
    "accent": "#0078D4", "onaccent": "#FFFFFF", "link": "#4DAAFC", "live": "#4DAAFC",
    "ok": "#89D185", "warn": "#D7BA5F", "err": "#F6867C", "ink": "#161616",
    "p.import": "#8FA1B8", "p.disk": "#4D9DE8", "p.vram": "#45BFA6", "p.compile": "#D99A4E", "p.pages": "#82C97E",
    "p.pages2": "#5E9E5B", "p.export": "#C796CB",
    "v.a": "#6291C6", "v.b": "#82C97E", "v.c": "#A48FC8", "v.other": "#828282",
    "s.key": "#569CD6", "s.fn": "#DCDCAA", "s.num": "#B5CEA8", "s.str": "#CE9178", "s.com": "#7CA668",
    "s.var": "#9CDCFE", "s.type": "#4EC9B0", "s.dir": "#C586C0",
}  # fmt: skip

LIGHT: Final[dict[str, str]] = {
    "bg": "#FFFFFF", "side": "#F8F8F8", "head": "#F3F3F3", "line": "#E5E5E5", "rule": "#CECECE", "track": "#E4E4E4",
    "input": "#ECECEC", "sel": "#CCE3F7", "sel2": "#EDEDED", "badge": "#D6D6D6",
    "hi": "#111111", "fg": "#3B3B3B", "dim": "#616161", "faint": "#6A6A6A",
    "accent": "#005FB8", "onaccent": "#FFFFFF", "link": "#005FB8", "live": "#005FB8",
    "ok": "#226E22", "warn": "#805200", "err": "#B3261E", "ink": "#FFFFFF",
    "p.import": "#5B6F8A", "p.disk": "#1F6FC0", "p.vram": "#0F7B6C", "p.compile": "#A65E00", "p.pages": "#2F8132",
    "p.pages2": "#6BAA6D", "p.export": "#86458E",
    "v.a": "#4673A3", "v.b": "#226E22", "v.c": "#7A5FB0", "v.other": "#757575",
    "s.key": "#0000FF", "s.fn": "#795E26", "s.num": "#076B46", "s.str": "#A31515", "s.com": "#006B00",
    "s.var": "#001080", "s.type": "#1D6579", "s.dir": "#9A00C0",
}  # fmt: skip

CONTRAST: Final[dict[str, str]] = {
    **DARK,
    "bg": "#000000", "side": "#000000", "head": "#000000", "line": "#6FC3DF", "rule": "#6FC3DF", "track": "#2A2A2A",
    "input": "#1A1A1A", "sel": "#0A3A57", "sel2": "#1A1A1A", "badge": "#4D4D4D",
    "hi": "#FFFFFF", "fg": "#FFFFFF", "dim": "#D4D4D4", "faint": "#C4C4C4",
    "accent": "#0F4A85", "link": "#6FC3FF", "live": "#6FC3FF", "ok": "#A5F2A0", "warn": "#FFD75E", "err": "#FF9C92",
}  # fmt: skip
"""High contrast: black ground, white text, lines that can be seen."""

ANSI: Final[dict[str, int]] = {
    "bg": 0, "side": 0, "head": 0, "line": 8, "rule": 8, "track": 0, "input": 0, "sel": 4, "sel2": 0, "badge": 8,
    "hi": 15, "fg": 7, "dim": 7, "faint": 7, "accent": 4, "onaccent": 15, "link": 14, "live": 14,
    "ok": 10, "warn": 11, "err": 9, "ink": 0,
    "p.import": 7, "p.disk": 14, "p.vram": 13, "p.compile": 11, "p.pages": 10, "p.pages2": 2, "p.export": 13,
    "v.a": 14, "v.b": 10, "v.c": 13, "v.other": 7,
    "s.key": 14, "s.fn": 11, "s.num": 10, "s.str": 9, "s.com": 2, "s.var": 7, "s.type": 14, "s.dir": 13,
}  # fmt: skip
