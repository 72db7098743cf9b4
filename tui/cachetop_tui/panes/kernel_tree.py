"""Kernel entries grouped for the pane: cache, SM, entry. Made off the event loop, and kept up at the cost of what
changed, since there may be very many."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from heapq import merge

from cachetop.kernelcache.records import Cache, Entry, Kernels

NO_SM = "any"
"""The group of entries that name no SM."""
_ONLY_WITH_ENTRIES = ("hf-kernels", "vllm")
"""Kinds whose folder also holds, or is, something else: it being there says nothing."""
_FEW = 256
"""Entries that are put in their place one by one."""
_MANY = 4096
"""Entries that went or changed from which on the groups are made anew."""

_CHUNK = 1024
"""Entries that are compared in one go, while which nothing else runs."""
_SORTED = 4096
"""Entries that are sorted in one go."""
_FEWER = 10
"""Where a group has so many times more entries than come, a place is looked for for each of these."""

Order = tuple[float, str, str]


@dataclass(frozen=True, slots=True)
class SmGroup:
    """The entries of one cache for one SM (or one set of them), newest first.

    An entry keeps its place while it is compiled and judged: only what is made or deleted moves others.
    """

    key: str
    sm: str
    entries: tuple[Entry, ...]
    size_on_disk: int
    rules: tuple[tuple[str, int], ...]
    """Stale rules with how many entries they hit, most first."""
    stale: int
    moving: int = 0
    """How many entries it takes, from the first, to show every one that is being compiled."""


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """One cache with its groups, highest SM first."""

    key: str
    cache: Cache
    groups: tuple[SmGroup, ...]
    entries: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything the pane draws, with its totals."""

    kernels: Kernels
    caches: tuple[CacheGroup, ...]
    stale: int
    compiling: int
    appeared: tuple[Entry, ...] = ()
    """Entries that were not there in the snapshot before."""
    compiled: tuple[Entry, ...] = ()
    """Entries that are done and were not, or were not there, in the snapshot before."""
    totals: tuple[tuple[str, str, int, int], ...] = ()
    """(cache, rule, entries that it hits, their bytes on disk), sorted."""
    named: tuple[tuple[str, str], ...] = ()
    """(key, name) of entries that appeared lately without a name and have one now."""


def key_of(entry: Entry) -> str:
    """What tells this entry from every other one."""
    return f"{entry.cache}\0{entry.path}"


def order_of(entry: Entry) -> Order:
    """Where an entry stands in its group: newest first."""
    return -entry.created, entry.key, entry.path


def _rank(sm: str) -> tuple[int, str]:
    found = re.search(r"(\d{2,4})", sm)
    return (-int(found[1]) if found else 1, sm)


@dataclass(slots=True)
class _Bucket:
    """A group as it is kept. Where an entry belongs is worked out when it is asked for: keys for all of them would
    take more memory than the entries' places."""

    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    compiling: set[Order] = field(default_factory=set)
    group: SmGroup | None = None

    def fill(self, entries: list[Entry]) -> None:
        """Take many entries, all at once."""
        self.entries = _joined(self.entries, entries)
        for entry in entries:
            self._count(order_of(entry), entry, 1)

    def add(self, entry: Entry) -> None:
        """Put one entry in its place."""
        key = order_of(entry)
        self.entries.insert(self._place(key), entry)
        self._count(key, entry, 1)

    def take(self, entry: Entry) -> None:
        """Take one entry out; it is there."""
        key = order_of(entry)
        del self.entries[self._place(key)]
        self._count(key, entry, -1)

    def swap(self, old: Entry, new: Entry) -> None:
        """Put an entry where its older picture is."""
        if order_of(old) != order_of(new):
            self.take(old)
            self.add(new)
            return
        key = order_of(old)
        self.entries[self._place(key)] = new
        self._count(key, old, -1)
        self._count(key, new, 1)

    def _place(self, key: Order) -> int:
        return bisect_left(self.entries, key, key=order_of)

    def _count(self, key: Order, entry: Entry, by: int) -> None:
        self.group = None
        self.size += by * entry.size_on_disk
        if entry.stale:
            self.rules[entry.stale[0].rule] += by
        if entry.state == "compiling":
            (self.compiling.add if by > 0 else self.compiling.discard)(key)

    def as_group(self, cache: str, name: str) -> SmGroup:
        """The group; the same object while nothing in it changed."""
        if self.group is None:
            rules = +self.rules
            moving = max((self._place(key) + 1 for key in self.compiling), default=0)
            self.group = SmGroup(
                f"{cache}\0{name}\0",
                name,
                tuple(self.entries),
                self.size,
                tuple(sorted(rules.items(), key=lambda pair: (-pair[1], pair[0]))),
                rules.total(),
                moving,
            )
        return self.group


def _joined(old: list[Entry], more: list[Entry]) -> list[Entry]:
    """Both in order; `old` is that already. Sorting all in one go would hold every other thread meanwhile."""
    parts = [sorted(more[n : n + _SORTED], key=order_of) for n in range(0, len(more), _SORTED)]
    fresh = list(merge(*parts, key=order_of))
    if len(old) < _FEWER * len(fresh):
        return list(merge(old, fresh, key=order_of)) if old else fresh
    out: list[Entry] = []
    start = 0
    for entry in fresh:
        place = bisect_left(old, order_of(entry), start, key=order_of)
        out += old[start:place]
        out.append(entry)
        start = place
    return out + old[start:]


def _told_apart(old: tuple[Entry, ...], entries: tuple[Entry, ...]) -> tuple[list[Entry], list[Entry]]:
    """The entries of either that are not in the other one."""
    before, now = set(map(id, old)), set(map(id, entries))
    return [one for one in old if id(one) not in now], [one for one in entries if id(one) not in before]


class Grower:
    """Keeps the tree of one picture after the other."""

    def __init__(self) -> None:
        self._entries: tuple[Entry, ...] = ()
        self._buckets: dict[str, dict[str, _Bucket]] = {}
        self._totals: dict[tuple[str, str], list[int]] = {}
        self._nameless: set[str] = set()
        self._building: set[tuple[str, str]] = set()

    def grow(self, kernels: Kernels, appeared: frozenset[tuple[str, str]] = frozenset()) -> Tree:
        """Group a snapshot; `appeared` holds the (cache, path) of entries that were not there before."""
        gone, come = self._differences(kernels.entries)
        self._entries = kernels.entries
        if len(gone) > _MANY:  # the verdicts on all of them, for example
            self._buckets.clear()
            self._totals.clear()
            self._fill(kernels.entries)
        else:
            self._replace(gone, come)
        new = tuple(entry for entry in come if (entry.cache, entry.path) in appeared) if appeared else ()
        named = []
        for entry in come if self._nameless else ():
            if entry.name and (key := key_of(entry)) in self._nameless:
                self._nameless.discard(key)
                named.append((key, entry.name))
        if len(self._nameless) < 10_000:
            self._nameless.update(key_of(entry) for entry in new if not entry.name)
        tree = self._tree(kernels, new, tuple(named))
        compiled = self._compiled(gone, come, appeared)
        return replace(tree, compiled=compiled) if compiled else tree

    def _compiled(
        self, gone: list[Entry], come: list[Entry], appeared: frozenset[tuple[str, str]]
    ) -> tuple[Entry, ...]:
        """Entries that appeared and are done, each once, with the name it has then."""
        if not appeared and not self._building:
            return ()
        done = []
        wanted = appeared | self._building
        now = {place: entry for entry in come if (place := (entry.cache, entry.path)) in wanted}
        self._building -= {place for entry in gone if (place := (entry.cache, entry.path)) not in now}
        for place, entry in now.items():
            if entry.state == "compiling":
                self._building.add(place)
            else:
                self._building.discard(place)
                done.append(entry)
        return tuple(done)

    def _differences(self, entries: tuple[Entry, ...]) -> tuple[list[Entry], list[Entry]]:
        """(entries that are no more as they were, entries that are new or other than they were)."""
        old = self._entries
        gone: list[Entry] = []
        come: list[Entry] = []
        for start in range(0, len(old), _CHUNK):
            mine, theirs = old[start : start + _CHUNK], entries[start : start + _CHUNK]
            if len(mine) > len(theirs):
                return _told_apart(old, entries)
            if mine == theirs:
                continue
            for one, other in zip(mine, theirs, strict=False):
                if one is other:
                    continue
                if one.path != other.path or one.cache != other.cache:  # one before it went
                    return _told_apart(old, entries)
                gone.append(one)
                come.append(other)
        come += entries[len(old) :]
        return gone, come

    def _fill(self, entries: Iterable[Entry]) -> None:
        found: dict[str, dict[str, list[Entry]]] = {}
        for entry in entries:
            found.setdefault(entry.cache, {}).setdefault(_name(entry), []).append(entry)
            self._sum(entry, 1)
        for cache, groups in found.items():
            for name, members in groups.items():
                self._bucket(cache, name).fill(members)

    def _replace(self, gone: list[Entry], come: list[Entry]) -> None:
        after = {(entry.cache, entry.path): entry for entry in come}
        for entry in gone:
            self._sum(entry, -1)
            new = after.get((entry.cache, entry.path))
            bucket = self._bucket(entry.cache, _name(entry))
            if new is not None and _name(new) == _name(entry):
                bucket.swap(entry, new)
                del after[entry.cache, entry.path]
                self._sum(new, 1)
            else:
                bucket.take(entry)
        if len(after) > _FEW:
            self._fill(after.values())
            return
        for entry in after.values():
            self._bucket(entry.cache, _name(entry)).add(entry)
            self._sum(entry, 1)

    def _bucket(self, cache: str, name: str) -> _Bucket:
        return self._buckets.setdefault(cache, {}).setdefault(name, _Bucket())

    def _sum(self, entry: Entry, by: int) -> None:
        for rule in {one.rule for one in entry.stale} if entry.stale else ():
            total = self._totals.setdefault((entry.cache, rule), [0, 0])
            total[0] += by
            total[1] += by * entry.size_on_disk

    def _tree(self, kernels: Kernels, new: tuple[Entry, ...], named: tuple[tuple[str, str], ...]) -> Tree:
        out = []
        stale = compiling = 0
        for cache in kernels.caches:
            buckets = {name: one for name, one in self._buckets.get(cache.id, {}).items() if one.entries}
            if not buckets and not cache.problem and (not cache.exists or cache.kind in _ONLY_WITH_ENTRIES):
                continue
            groups = tuple(buckets[name].as_group(cache.id, name) for name in sorted(buckets, key=_rank))
            stale += sum(group.stale for group in groups)
            compiling += sum(len(one.compiling) for one in buckets.values())
            out.append(CacheGroup(f"{cache.id}\0", cache, groups, sum(len(group.entries) for group in groups)))
        totals = tuple(sorted((*key, count, size) for key, (count, size) in self._totals.items() if count))
        return Tree(kernels, tuple(out), stale, compiling, new, totals=totals, named=named)


def grow(kernels: Kernels, appeared: frozenset[tuple[str, str]] = frozenset()) -> Tree:
    """The tree of one snapshot; `appeared` holds the (cache, path) of entries that were not there before."""
    return Grower().grow(kernels, appeared)


def _name(entry: Entry) -> str:
    return ", ".join(entry.sm) or NO_SM
