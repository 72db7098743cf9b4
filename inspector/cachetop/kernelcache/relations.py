"""What entries say about each other: which release compiled a kernel last, which configuration won an autotuning,
which graphs use a kernel. Kept up entry by entry, so that one new entry costs what it changes."""

from __future__ import annotations

import re
from functools import lru_cache

from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Row
from cachetop.kernelcache.records import Entry, Producer

Family = tuple[str, str, tuple[str, ...]]
_NUMBERS = re.compile(r"\d{1,6}")


class Relations:
    """Fed with rows whose facts are read."""

    def __init__(self) -> None:
        self._newest: dict[Family, str] = {}
        self._winners: set[tuple[str, str]] = set()
        self._sources: dict[tuple[str, str], Family] = {}
        self._best: dict[Family, str] = {}
        self._used: dict[tuple[str, str], tuple[float | None, bool]] = {}

    def add(self, row: Row) -> bool:
        """Take in what a row says; returns whether that may change the verdicts on other rows."""
        entry, facts = row.entry, row.facts
        if facts is None:
            return False
        if facts.winner is not None:
            return self._won(entry.cache, facts.winner)
        if row.state != "complete":
            return False
        if facts.uses and row.use is not None and row.use[1] is not None:
            for key in facts.uses:
                last, reused = self._used.get((entry.cache, key), (None, False))
                last = max((one for one in (last, row.use[0]) if one is not None), default=None)
                self._used[entry.cache, key] = (last, reused or row.use[1])
        if not compared(entry):
            return False
        changes = False
        if facts.source is not None:
            family = self._sources[entry.cache, entry.key] = (entry.cache, facts.source, entry.sm)
            if (entry.cache, entry.key) in self._winners:
                changes = self._best.setdefault(family, entry.key) == entry.key
        mine = release(row)
        if mine is None or entry.name is None or not entry.sm:
            return changes
        family = (entry.cache, entry.name, entry.sm)
        before = self._newest.get(family)
        if before is None or numbers(mine) > numbers(before):
            self._newest[family] = mine
            return True if before is not None else changes
        return changes

    def newest(self, row: Row) -> str | None:
        """The newest release that compiled the same kernel for the same SM in the same cache."""
        entry = row.entry
        return self._newest.get((entry.cache, entry.name or "", entry.sm))

    def winner_over(self, row: Row) -> str | None:
        """The configuration that autotuning noted as better than this one; None when it noted none, or this one."""
        entry, facts = row.entry, row.facts
        if facts is None or facts.source is None or (entry.cache, entry.key) in self._winners:
            return None
        return self._best.get((entry.cache, facts.source, entry.sm))

    def used_by_graphs(self, row: Row) -> tuple[float | None, bool] | None:
        """(last use, whether there was one) of the graphs that use this kernel; None when none is known to."""
        return self._used.get((row.entry.cache, row.entry.key))

    def _won(self, cache: str, key: str) -> bool:
        self._winners.add((cache, key))
        family = self._sources.get((cache, key))
        if family is None:
            return False
        self._best.setdefault(family, key)
        return True


def compared(entry: Entry) -> bool:
    """Whether an entry is one kernel (or module, or operator) that releases compile anew."""
    return entry.kind == "triton" or entry.part in ("triton", "module", "operator")


def release(row: Row) -> str | None:
    """The release that made an entry: Triton's, or that of another package; None where its files do not tell."""
    made = producer(row)
    return made.triton or (made.package.rpartition(" ")[2] if made.package else None)


def producer(row: Row) -> Producer:
    """Who made an entry: what its files say, else what its place says."""
    found = row.facts.producer if row.facts is not None else UNKNOWN_PRODUCER
    return row.maker if found == UNKNOWN_PRODUCER else found


@lru_cache(1024)
def numbers(text: str | None) -> tuple[int, ...]:
    """A release to compare: `3.8.0+git` -> (3, 8, 0). Triton writes none up to 3.2, which sorts first."""
    return tuple(int(one) for one in _NUMBERS.findall((text or "").partition("+")[0])[:4])
