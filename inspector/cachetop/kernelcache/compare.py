"""One kernel beside itself: the same name compiled for another SM, and how a stage of the two differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from cachetop.kernelcache import sm
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.stages import Text

LINES_MOST = 4000
"""Lines of each stage that are compared."""
_AROUND = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A line of a difference: `sign` is `+` (in the new alone), `-` (in the old alone), ` ` (in both), `@` (where)."""

    sign: str
    text: str


def counterparts(entry: Entry, entries: Iterable[Entry], most: int = 8) -> tuple[Entry, ...]:
    """The newest complete entry of the same cache and name for each other SM, in the order of the SMs; of more than
    `most` those whose SMs are nearest."""
    found: dict[tuple[str, ...], Entry] = {}
    for one in entries:
        same = one.cache == entry.cache and one.name == entry.name and one.part == entry.part
        if not same or not one.name or not one.sm or one.sm == entry.sm or one.state not in ("complete", "relocated"):
            continue
        known = found.get(one.sm)
        if known is None or one.created > known.created:
            found[one.sm] = one
    here = _number(entry)
    near = sorted(found.values(), key=lambda one: abs(_number(one) - here))[:most]
    return tuple(sorted(near, key=lambda one: [sm.order(name) for name in one.sm]))


def _number(entry: Entry) -> int:
    return max((sm.order(name)[0] for name in entry.sm), default=0)


def difference(old: Text, new: Text) -> tuple[Change, ...]:
    """How `new` differs from `old`, with three lines around each change; empty when they are the same.

    At most `LINES_MOST` lines of each are compared. Not for an event loop: it may take a second.
    """
    out = []
    mine, theirs = old.lines[:LINES_MOST], new.lines[:LINES_MOST]
    for line in list(difflib.unified_diff(mine, theirs, n=_AROUND, lineterm=""))[2:]:
        out.append(Change("@", line) if line.startswith("@@") else Change(line[:1], line[1:]))
    return tuple(out)
