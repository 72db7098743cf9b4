"""Filter expressions: `size>1GB`, `accessed>7d`, `type=model`, the grammar of `hf cache ls --filter`.

An expression is `key op value`. Sizes are decimal (`1GB` = 10^9). An age `accessed>7d` means longer ago than
seven days, and an unknown time never matches. Texts compare by `=` and `!=`, whatever their case, `*` standing
for anything. `resident>50%` compares a share, `resident>1GB` its bytes. Some keys may stand alone: `partial`.
"""

from __future__ import annotations

import fnmatch
import operator
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cachetop.base import units

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_SHAPE = re.compile(r"\s*([A-Za-z_]+)\s*(>=|<=|!=|>|<|=)\s*([^=<>].*?)\s*\Z")

Getter = Callable[[Any], Any]
Predicate = Callable[[Any], bool]


def compile_filters(
    expressions: Iterable[str],
    keys: Mapping[str, tuple[str, Getter]],
    now: float | None = None,
    words: Mapping[str, Predicate] | None = None,
) -> Predicate:
    """One predicate out of several expressions, joined with AND.

    `keys` maps a key to ("size" | "age" | "number" | "text" | "part", getter). A text getter may return a string or
    several; several match when one of them does. That of a part returns (part, whole) in bytes. `words` are
    expressions of one word. Raises ValueError with a sentence that names the keys.
    """
    moment = time.time() if now is None else now
    tests = [(words or {}).get(text.strip().lower()) or _one(text, keys, moment) for text in expressions]
    return lambda subject: all(test(subject) for test in tests)


def _one(expression: str, keys: Mapping[str, tuple[str, Getter]], now: float) -> Predicate:
    found = _SHAPE.match(expression)
    if not found:
        raise ValueError(
            f"{expression!r} is not a filter; write for example size>1GB (keys: {', '.join(sorted(keys))})"
        )
    key, sign, value = found[1].lower(), found[2], found[3]
    if key not in keys:
        raise ValueError(f"{key!r} is not a filter here; there are {', '.join(sorted(keys))}")
    kind, getter = keys[key]
    compare = _OPERATORS[sign]
    if kind == "text":
        return _text(getter, sign, value, key)
    if kind == "part":
        return _part(getter, compare, value)
    limit: float
    if kind == "size":
        limit = units.parse_size(value)
    elif kind == "age":
        limit = units.parse_span(value)
    else:
        try:
            limit = float(value)
        except ValueError:
            raise ValueError(f"{value!r} in the filter {expression!r} is not a number") from None

    def test(subject: Any) -> bool:
        got = getter(subject)
        if got is None:
            return False
        return compare(now - got if kind == "age" else got, limit)

    return test


def _part(getter: Getter, compare: Callable[[Any, Any], bool], value: str) -> Predicate:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value)
    limit = float(share[1]) if share else units.parse_size(value)

    def test(subject: Any) -> bool:
        got = getter(subject)
        if got is None or (share and not got[1]):
            return False
        return compare(100 * got[0] / got[1] if share else got[0], limit)

    return test


def _text(getter: Getter, sign: str, value: str, key: str) -> Predicate:
    if sign not in ("=", "!="):
        raise ValueError(f"the filter on {key!r} compares texts: only = and != do that")
    pattern = re.compile(fnmatch.translate(value), re.IGNORECASE)

    def test(subject: Any) -> bool:
        got = getter(subject)
        several = () if got is None else (got,) if isinstance(got, str) else got
        hit = any(pattern.match(one) for one in several)
        return hit if sign == "=" else not hit

    return test
