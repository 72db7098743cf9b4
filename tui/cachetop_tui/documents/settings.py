"""The settings as a document: every one with its value, where that comes from, and what it does."""

from __future__ import annotations

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.config import APP
from cachetop_tui.documents.layout import fact, heading, paragraph
from cachetop_tui.marks import Line, Pen
from cachetop_tui.settings import Told, keymap


def lines(told: Told, width: int, now: float) -> list[Line]:
    """The document."""
    there = told.mark is not None
    out = heading("Settings", width, "changes are seen within two seconds")
    out += fact("file", clean(told.path), width, "b:hi", "" if there else "not there: everything is as it comes")
    if told.problem:
        out += paragraph(show(told.problem, 600), width, "err")
        out += paragraph("Until that is mended, everything is as it comes.", width, "warn")
    out += heading("[app]", width)
    for name, setting in APP.items():
        value = told.value(name, setting.default)
        named = told.config is not None and name in told.config.told
        out.append(_setting(name, _written(value), named, width))
        note = f"{setting.help}." + (f" One of: {', '.join(setting.choices)}." if setting.choices else "")
        out += [_indented(part) for part in _wrapped(note, width)]
    if told.config is not None:
        out += heading("[prune]", width)
        out += fact("undo", units.duration(told.config.undo), width)
        out += fact("keep", ", ".join(clean(glob) for glob in told.config.keep) or "–", width)
        out += fact("policy", f"{len(told.config.policy)} rules", width)
    out += heading("[keys]", width, "a command's id, and its keys")
    own = told.config.keys if told.config is not None else {}
    for name, keys in own.items():
        out += fact(clean(name, 15), ", ".join(clean(key, 30) for key in keys) or "none", width)
    for warning in keymap(told)[1]:
        out += paragraph(f"▲ {warning}", width, "warn")
    if not own:
        out += paragraph('None of your own. Example:   "runs.new" = ["n", "ctrl+n"]', width, "dim")
    return out


def _written(value: object) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else f'"{value}"'


def _setting(name: str, value: str, named: bool, width: int) -> Line:
    pen = Pen(width)
    pen.put(2, name, "b:fg")
    pen.put(18, value, "hi" if named else "fg")
    pen.right(width - 2, "from the file" if named else "default", "link" if named else "faint")
    return pen.line()


def _wrapped(text: str, width: int) -> list[str]:
    from cachetop_tui.marks import sentences

    return sentences(text, width - 22)


def _indented(text: str) -> Line:
    pen = Pen(80)
    pen.put(18, text, "dim")
    return pen.line()
