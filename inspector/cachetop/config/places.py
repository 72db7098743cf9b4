"""Where in a TOML text a key stands: for errors that name the line, and for changing one value and nothing else."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MOST_LINES = 500
"""Lines that one value may take."""
Path = tuple[str | int, ...]
"""The names that lead to a key; the number of a table in an array of tables stands after its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table's header or a key with its value, as offsets into the text; `line` counts from 1."""

    path: Path
    line: int
    start: int
    """Where its first line begins."""
    value: int
    """Where its value begins; for a header where the line ends."""
    end: int
    """After its value, before a comment."""
    header: bool = False


def places(text: str) -> Iterator[Place]:
    """Every header and every assignment of a valid TOML text, in their order. Inside a value nothing is looked at."""
    table: Path = ()
    counts: dict[Path, int] = {}
    at, line = 0, 1
    while at < len(text):
        stop = _line_end(text, at)
        written = text[at:stop].strip()
        if written.startswith("["):
            table = _header(written, counts)
            yield Place(table, line, at, stop, stop, True)
        elif written and not written.startswith("#"):
            value, names = _key(text, at, stop)
            end, stop = _value(text, value)
            yield Place((*table, *names), line, at, value, end)
        line += text.count("\n", at, stop) + 1
        at = stop + 1


def find(text: str, path: Path) -> Place | None:
    """The key, or the header, at `path`."""
    return next((place for place in places(text) if place.path == path), None)


def line_of(text: str, path: Path) -> int | None:
    """The line where `path`, or what it belongs to, is written; None where that cannot be said."""
    try:
        every = list(places(text))
    except ValueError:
        return None
    for length in range(len(path), 0, -1):
        for place in every:
            if place.path[:length] == path[:length]:
                return place.line
    return None


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _header(written: str, counts: dict[Path, int]) -> Path:
    names = _names(tomllib.loads(written))
    path: Path = ()
    for i, name in enumerate(names):
        path = (*path, name)
        if written.startswith("[[") and i == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _names(nested: Any) -> tuple[str, ...]:
    """`{"a": {"b": 0}}` -> ("a", "b"); an array of tables counts as its table."""
    out: list[str] = []
    while nested and isinstance(nested, (dict, list)):
        if isinstance(nested, list):
            nested = nested[0]
            continue
        name, nested = next(iter(nested.items()))
        out.append(name)
    return tuple(out)


def _key(text: str, at: int, stop: int) -> tuple[int, tuple[str, ...]]:
    """Where the value begins, and the names before it."""
    equals = text.find("=", at, stop)
    while equals >= 0:
        try:
            names = _names(tomllib.loads(f"{text[at:equals]}= 0"))
        except tomllib.TOMLDecodeError:
            equals = text.find("=", equals + 1, stop)
            continue
        begin = equals + 1
        return begin + len(text[begin:stop]) - len(text[begin:stop].lstrip()), names
    raise ValueError("no key")


def _value(text: str, begin: int) -> tuple[int, int]:
    """After the value that begins there, and where its last line ends."""
    stop = begin
    for _ in range(_MOST_LINES):
        stop = _line_end(text, stop)
        if _reads(text[begin:stop]):
            break
        stop += 1
    else:
        raise ValueError("a value that does not end")
    hash_at = text.find("#", begin, stop)
    while hash_at >= 0:
        if _reads(text[begin:hash_at].rstrip()):
            return begin + len(text[begin:hash_at].rstrip()), stop
        hash_at = text.find("#", hash_at + 1, stop)
    return begin + len(text[begin:stop].rstrip()), stop


def _reads(value: str) -> bool:
    try:
        tomllib.loads(f"x = {value.removesuffix(chr(13))}")
    except tomllib.TOMLDecodeError:
        return False
    return True
