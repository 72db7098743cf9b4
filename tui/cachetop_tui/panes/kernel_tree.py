"""Kernel entries grouped for the pane: cache, SM, entry. Made off the event loop, since there may be many."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from cachetop.kernelcache.records import Cache, Entry, Kernels

NO_SM = "any"
"""The group of entries that name no SM."""
_ONLY_WITH_ENTRIES = ("hf-kernels", "vllm")
"""Kinds whose folder also holds, or is, something else: it being there says nothing."""


@dataclass(frozen=True, slots=True)
class SmGroup:
    """The entries of one cache for one SM (or one set of them), newest first, those in flight before all."""

    key: str
    sm: str
    entries: tuple[Entry, ...]
    size_on_disk: int
    rules: tuple[tuple[str, int], ...]
    """Stale rules with how many entries they hit, most first."""
    stale: int


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
    building: frozenset[tuple[str, str]] = frozenset()
    """(cache, path) of those that appeared and are not done yet: for `grow` of the next snapshot."""


def key_of(entry: Entry) -> str:
    """What tells this entry from every other one."""
    return f"{entry.cache}\0{entry.path}"


def _rank(sm: str) -> tuple[int, str]:
    found = re.search(r"(\d{2,4})", sm)
    return (-int(found[1]) if found else 1, sm)


def grow(
    kernels: Kernels,
    appeared: frozenset[tuple[str, str]] = frozenset(),
    building: frozenset[tuple[str, str]] = frozenset(),
) -> Tree:
    """Group a snapshot; `appeared` holds the (cache, path) of entries that were not there before.

    `building` is that of the tree before, so that a kernel counts as compiled once, with the name it has then.
    """
    by_cache: dict[str, dict[str, list[Entry]]] = {}
    for entry in kernels.entries:
        name = ", ".join(entry.sm) or NO_SM
        by_cache.setdefault(entry.cache, {}).setdefault(name, []).append(entry)
    out: list[CacheGroup] = []
    stale = compiling = 0
    for cache in kernels.caches:
        named = by_cache.pop(cache.id, {})
        if not named and not cache.problem and (not cache.exists or cache.kind in _ONLY_WITH_ENTRIES):
            continue
        groups = []
        for name in sorted(named, key=_rank):
            entries = sorted(named[name], key=lambda e: (e.state != "compiling", -e.created, e.key))
            rules = Counter(entry.stale[0].rule for entry in entries if entry.stale)
            bad = sum(rules.values())
            stale += bad
            compiling += sum(entry.state == "compiling" for entry in entries)
            size = sum(entry.size_on_disk for entry in entries)
            key = f"{cache.id}\0{name}\0"
            groups.append(SmGroup(key, name, tuple(entries), size, tuple(rules.most_common()), bad))
        out.append(CacheGroup(f"{cache.id}\0", cache, tuple(groups), sum(len(group.entries) for group in groups)))
    watched = appeared | building
    seen = tuple(one for one in kernels.entries if (one.cache, one.path) in watched) if watched else ()
    return Tree(
        kernels, tuple(out), stale, compiling,
        appeared=tuple(one for one in seen if (one.cache, one.path) in appeared),
        compiled=tuple(one for one in seen if one.state != "compiling"),
        building=frozenset((one.cache, one.path) for one in seen if one.state == "compiling"),
    )  # fmt: skip
