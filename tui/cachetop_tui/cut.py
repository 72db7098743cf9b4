"""Names cut to the cells there are, so that what tells siblings apart stays readable."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop_tui.paint import cells, width_of

_EXTENSION = 11
"""The longest ending of a name that counts as an extension: `safetensors`."""


def head(text: str, width: int) -> str:
    """The beginning of `text`, at most `width` cells, an ellipsis where something is missing."""
    if width_of(text) <= width:
        return text
    return _first(text, width - 1) + "…" if width > 0 else ""


def middle(text: str, width: int, tail: float = 0.42) -> str:
    """Both ends of `text`: names differ at their end as often as at their beginning."""
    if width_of(text) <= width:
        return text
    if width < 5:
        return head(text, width)
    kept = max(3, int((width - 1) * tail))
    return _first(text, width - 1 - kept) + "…" + _last(text, kept)


def file_name(path: str, width: int) -> str:
    """The name of the file at an untrusted `path`; its extension goes before its stem does."""
    name = clean(path.rstrip("/").rpartition("/")[2] or path)
    if width_of(name) <= width:
        return name
    stem, dot, extension = name.rpartition(".")
    if not (dot and stem and extension.isalnum() and len(extension) <= _EXTENSION):
        return middle(name, width)
    return head(name, width) if width_of(stem) <= width - 2 else middle(stem, width)


def inner_path(path: str, width: int) -> str:
    """An untrusted path below a known folder: the file, and of the folders around it the nearest that fit."""
    whole = clean(path)
    if width_of(whole) <= width:
        return whole
    parts = whole.split("/")
    for first in range(1, len(parts) - 1):
        shorter = "…/" + "/".join(parts[first:])
        if width_of(shorter) <= width:
            return shorter
    return file_name(path, width)


def path_name(path: str, width: int) -> str:
    """An untrusted path, cut in the middle, with most of the room for its end."""
    return middle(clean(path), width, tail=0.6)


def _first(text: str, width: int) -> str:
    kept = ""
    for char, wide in cells(text):
        if wide > width:
            break
        width -= wide
        kept += char
    return kept


def _last(text: str, width: int) -> str:
    kept: list[str] = []
    for char, wide in reversed(cells(text)):
        if wide > width:
            break
        width -= wide
        kept.append(char)
    return "".join(reversed(kept))
