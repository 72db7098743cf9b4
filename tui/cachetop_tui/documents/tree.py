"""JSON as a tree: every object and array folds; what is not unfolded is not laid out, so a large one opens at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from cachetop.base.hostile import clean
from cachetop_tui.cut import head
from cachetop_tui.finding import Place
from cachetop_tui.marks import Line, Pen, Row

_OPEN_DEPTH = 1
_MOST = 500
"""How many members of one object or array are listed."""
_LONGEST = 2000


def rows(value: Any, unfolded: Mapping[str, bool], width: int) -> list[Row]:
    """The rows in sight of `value`; `unfolded` tells for a row's key whether the person folded or unfolded it."""
    return list(_rows(value, "$", "", 0, unfolded, width))


def _rows(value: Any, key: str, name: str, depth: int, unfolded: Mapping[str, bool], width: int) -> Iterator[Row]:
    inner = isinstance(value, dict | list) and bool(value)
    is_open = unfolded.get(key, depth < _OPEN_DEPTH) if inner else None
    yield Row(key, "node", _line(value, name, depth, is_open, width), depth=depth, open=is_open)
    if not is_open:
        return
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for label, member in islice(members, _MOST):
        yield from _rows(member, f"{key}\0{label}", str(label), depth + 1, unfolded, width)
    if len(value) > _MOST:
        pen = Pen(width)
        pen.put(4 + 2 * depth, f"and {len(value) - _MOST:,} more", "dim")
        yield Row(f"{key}\0…", "line", pen.line(), depth=depth + 1)


def places(value: Any) -> Iterator[Place]:
    """Everything in `value` that can be unfolded to, by what its row says."""
    return _places(value, "$", "", ())


def _places(value: Any, key: str, name: str, above: tuple[str, ...]) -> Iterator[Place]:
    inner = isinstance(value, dict | list) and bool(value)
    yield Place(key, f"{clean(name, 80)}: {_written(value, hint=False)[0]}" if name else "", above)
    if inner:
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for label, member in islice(members, _MOST):
            yield from _places(member, f"{key}\0{label}", str(label), (*above, key))


def _line(value: Any, name: str, depth: int, is_open: bool | None, width: int) -> Line:
    pen = Pen(width)
    x = 2 + 2 * depth
    if is_open is not None:
        pen.put(x, "▾" if is_open else "▸", "dim")
    x = pen.put(x + 2, clean(name, 80), "link") if name else x + 2
    if name:
        x = pen.put(x, ": ", "faint")
    text, word = _written(value, hint=not is_open)
    pen.put(x, head(text, max(1, width - x - 1)), word)
    return pen.line()


def _written(value: Any, hint: bool) -> tuple[str, str]:
    if isinstance(value, dict):
        return (f"{{{len(value):,}}}" + (_hint(value) if hint else "")) if value else "{}", "dim"
    if isinstance(value, list):
        return f"[{len(value):,}]", "dim"
    if isinstance(value, str):
        return clean(json.dumps(value[:_LONGEST], ensure_ascii=False), _LONGEST), "ok"
    return json.dumps(value), "warn" if value is None else "hi"


def _hint(value: dict[str, Any]) -> str:
    """What an object is about, so that folded ones can be told apart."""
    for name in ("label", "name", "text", "self_ref", "schema_name"):
        if isinstance(value.get(name), str) and value[name]:
            return f"  {clean(value[name], 60)}"
    return ""
