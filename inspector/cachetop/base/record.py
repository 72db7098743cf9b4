"""The base of every snapshot, and its JSON.

A snapshot is a frozen `msgspec.Struct`: built off the user-interface thread, handed over whole, compared by
value. `to_json` is what `--json` prints, so the field names are the public contract: they may be added to,
never renamed or re-typed.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the public objects: immutable, keyword-only, with their documented JSON."""

    def to_json(self, indent: int | None = None) -> str:
        """This object as one JSON document, `indent` spaces per level or on one line."""
        raw = msgspec.json.encode(self)
        return (msgspec.json.format(raw, indent=indent) if indent else raw).decode()

    def to_dict(self) -> dict[str, Any]:
        """This object as plain dicts and lists."""
        return msgspec.json.decode(msgspec.json.encode(self))  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        """What a notebook shows: self-contained HTML without script, every text in it escaped."""
        return import_module("cachetop.notebook.show").html(self)  # type: ignore[no-any-return]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The same as HTML and as plain text, for whatever IPython draws it with."""
        return import_module("cachetop.notebook.show").bundle(self)  # type: ignore[no-any-return]


class Problem(Record, frozen=True):
    """One thing that is wrong with one subject: a rule's name, a sentence for people, and what to run."""

    rule: str
    message: str
    fix: str | None = None
    """A command that mends it or looks closer, where there is one."""


def why(error: OSError) -> str:
    """The system's own words for an error: `Permission denied`, without path and number."""
    return os.strerror(error.errno) if error.errno else str(error)
