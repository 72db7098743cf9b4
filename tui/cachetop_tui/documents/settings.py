"""The settings as a document: every one with its value and where that comes from; Enter changes it."""

from __future__ import annotations

from typing import Any

from cachetop.base.hostile import clean, show
from cachetop.config import SETTINGS, Setting
from cachetop.config.schema import KEYS_EXAMPLE
from cachetop.config.writing import toml
from cachetop_tui import words
from cachetop_tui.commands.registry import named
from cachetop_tui.documents.layout import MARGIN, fact, heading, paragraph
from cachetop_tui.marks import Line, Link, Pen, sentences
from cachetop_tui.settings import Told, keymap

_VALUE = 20
_TITLES = {"app": "the app", "convert": "conversions", "prune": "pruning"}


def lines(told: Told, width: int, now: float) -> list[Line]:
    """The document."""
    there = told.mark is not None
    change, reset, edit = (named(one).key for one in ("document.pin", "settings.reset", "settings.edit"))
    out = heading("Settings", width, "a change of the file is seen within two seconds")
    out += fact("file", clean(told.path), width, "b:hi", "" if there else "not there: the defaults hold")
    pen = Pen(width)
    pen.run(MARGIN, change, "b:fg", " changes   ", "dim", reset, "b:fg", " resets   ", "dim", edit, "b:fg",
            " opens the file in your editor", "dim")  # fmt: skip
    out.append(pen.line())
    if told.problem:
        out += paragraph(show(told.problem, 600), width, "err")
        out += paragraph("Until that is mended, the defaults hold.", width, "warn")
    for section, settings in SETTINGS.items():
        out += heading(f"[{section}]", width, _TITLES.get(section, ""))
        for key, setting in settings.items():
            out += _setting(told, section, key, setting, width)
    out += heading("[keys]", width, "a command's id, and its keys")
    own = told.config.keys if told.config is not None else {}
    for name, keys in own.items():
        out.append(
            _row(("keys", name), clean(name, 40), ", ".join(clean(key, 30) for key in keys) or "none", True, width)
        )
    for warning in keymap(told)[1]:
        out += paragraph(f"▲ {warning}", width, "warn")
    pen = Pen(width)
    pen.run(MARGIN, "Own keys for a command", "link", f"   as {KEYS_EXAMPLE}", "dim")
    line = pen.line()
    return [*out, Link(line.marks, line.ground, ("keys", ""))]


def _setting(told: Told, section: str, key: str, setting: Setting, width: int) -> list[Line]:
    value = told.written(section, key)
    out: list[Line] = [_row((section, key), key, written(setting, value), told.names(section, key), width)]
    note = f"{setting.help}." + (f" One of: {', '.join(setting.choices)}." if setting.choices else "")
    for part in sentences(note, width - _VALUE - MARGIN):
        pen = Pen(width)
        pen.put(_VALUE, part, "dim")
        out.append(pen.line())
    return out


def written(setting: Setting, value: Any) -> str:
    """A setting's value as the file would say it."""
    if value is None:
        return "–"
    text: str = words.count(len(value), "rule") if setting.kind == "rules" else clean(toml(value), 300)
    return text


def _row(target: tuple[str, str], name: str, value: str, named: bool, width: int) -> Link:
    pen = Pen(width)
    x = pen.put(MARGIN, name, "b:fg") + 2
    start = pen.right(width - MARGIN, "from the file" if named else "default", "link" if named else "faint")
    shown = sentences(value, max(8, start - max(x, _VALUE) - 2)) or [""]
    pen.put(max(x, _VALUE), shown[0] + (" …" if len(shown) > 1 else ""), "b:hi" if named else "fg")
    line = pen.line()
    return Link(line.marks, line.ground, target)
