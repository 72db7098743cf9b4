"""Which rows the kernels pane has: what the person unfolded, and as many of the newest entries as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter
from pathlib import Path

from cachetop.kernelcache.records import Entry, Kernels
from cachetop_tui.finding import Place
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Row
from cachetop_tui.panes import names
from cachetop_tui.panes.kernel_tree import CacheGroup, SmGroup, Tree, key_of
from cachetop_tui.panes.notes import notes

_verdicts = attrgetter("stale")
_MOVING_MOST = 50
"""How far down a group an entry that is being compiled is still shown where nobody unfolded the group."""
_FAR = 5000
"""How many entries of a group the one under the cursor is looked for in."""


DIGEST = 4
"""Up to so many lines the pane shows a choice of its rows."""
STALE = "stale"
"""What to type into the filter line for the entries with a verdict."""


@dataclass(slots=True)
class View:
    """What the pane shows besides the snapshot: folds, filter, what just appeared, which SM is on which GPU."""

    unfolded: Mapping[str, bool] = field(default_factory=dict)
    filter: str = ""
    fresh: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """Keys of entries that just appeared, when, and their names."""
    sms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    held: bool = False
    """Whether somebody moves about in the rows, so that none goes or changes places but with its entry."""
    cursor: str | None = None
    """The key of the row under a cursor that somebody moved: it stays in any case."""
    shown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of the entries that were shown last, by group, where nobody folded or unfolded it."""
    hits: dict[str, tuple[SmGroup, str, tuple[Entry, ...]]] = field(default_factory=dict)
    """What a filter found, by group."""
    called: dict[str, tuple[SmGroup, list[str]]] = field(default_factory=dict)
    """What a filter looks at, by group: the names of its entries, the keys of those that have none. Very many entries
    lie all over the memory, and their names do not: each letter is looked for in a fourth of the time."""


def rows(tree: Tree | None, width: int, height: int, view: View) -> Sequence[Row]:
    """All rows for a pane with `height` lines below its headers.

    A group nobody folded or unfolded shows its newest entries, as many as let every group be seen.
    """
    if tree is None:
        return []
    if not tree.caches:
        return _empty(tree.kernels, width)
    if view.filter:
        return _filtered(tree, width, view.filter.casefold(), view)
    view.hits.clear()  # they would keep the entries of this picture for as long as nobody filters again
    view.called.clear()
    if height <= DIGEST:
        return _digest(tree, height, view)
    auto = [
        group
        for cache in tree.caches
        if view.unfolded.get(cache.key, True)
        for group in cache.groups
        if group.key not in view.unfolded
    ]
    chosen = _held(auto, view) if view.held else _newest(tree, auto, height, view)
    view.shown = {key: tuple(map(key_of, entries)) for key, entries in chosen.items()}
    return _all(tree, view.unfolded, chosen)


def _newest(tree: Tree, auto: list[SmGroup], height: int, view: View) -> dict[str, tuple[Entry, ...]]:
    """As many of the newest entries of each group as there is room for."""
    auto.sort(key=lambda group: -group.entries[0].created)
    counts = {group.key: _moving(group, view) for group in auto}
    every = {group.key: group for group in auto}
    chosen = {key: every[key].entries[:count] for key, count in counts.items()}
    left = height - len(_all(tree, view.unfolded, chosen))
    while left > 0 and auto:
        auto = [group for group in auto if counts[group.key] < len(group.entries)]
        for group in auto[:left]:
            counts[group.key] += 1
        left -= len(auto[:left])
    chosen = {key: every[key].entries[:count] for key, count in counts.items()}
    for key, entries in chosen.items():
        if view.cursor in view.shown.get(key, ()):
            here = (one for one in every[key].entries[len(entries) : _FAR] if key_of(one) == view.cursor)
            chosen[key] = (*entries, *here)
    return chosen


def _held(auto: list[SmGroup], view: View) -> dict[str, tuple[Entry, ...]]:
    """The entries that were shown, where they were; what is new or being compiled comes in above them."""
    chosen = {}
    for group in auto:
        before = view.shown.get(group.key, ())
        wanted, moving = set(before), _moving(group, view)
        kept = []
        for place, entry in enumerate(group.entries):
            if place < moving or key_of(entry) in wanted:
                kept.append(entry)
                wanted.discard(key_of(entry))
            elif not wanted:
                break
        chosen[group.key] = tuple(kept)
    return chosen


def _all(tree: Tree, unfolded: Mapping[str, bool], chosen: Mapping[str, tuple[Entry, ...]]) -> Listing:
    out = Listing()
    for cache in tree.caches:
        is_open = unfolded.get(cache.key, True)
        out.add(_cache(cache, is_open))
        for group in cache.groups if is_open else ():
            asked = unfolded.get(group.key)
            _group(out, group, chosen.get(group.key, ()) if asked is None else group.entries if asked else ())
    return out


def folded(tree: Tree, view: View) -> Iterator[Place]:
    """Every group and entry, in the order in which they stand when all is unfolded; none where a filter does that."""
    for cache in tree.caches if not view.filter else ():
        for group in cache.groups:
            yield Place(group.key, group.sm, (cache.key,))
            above = (cache.key, group.key)
            for entry in group.entries:
                yield Place(key_of(entry), entry.name or entry.key, above)


def _cache(cache: CacheGroup, is_open: bool) -> Row:
    return Row(cache.key, "cache", cache, 0, is_open if cache.groups else None)


def _group(out: Listing, group: SmGroup, entries: tuple[Entry, ...]) -> None:
    """A group with some of its entries; it counts as unfolded once all of them are there."""
    out.add(Row(group.key, "sm", (group, bool(entries)), 1, len(entries) >= len(group.entries)))
    out.run(entries, _entry, key_of)


def _entry(entry: Entry) -> Row:
    return Row(key_of(entry), "entry", entry, 2)


def _moving(group: SmGroup, view: View) -> int:
    """How many entries it takes to show all that are being built or just appeared; these come first."""
    last = min(group.moving, _MOVING_MOST)
    for i, entry in enumerate(group.entries):
        if i > last + len(view.fresh):
            break
        if i >= last and key_of(entry) in view.fresh:
            last = i + 1
    return last


def _digest(tree: Tree, height: int, view: View) -> list[Row]:
    """The few lines of a pane that is not in focus: what is being built, the caches, what is stale, the rest."""
    wanted: list[str] = []
    for cache in tree.caches:
        for group in cache.groups:
            for entry in group.entries[: min(2, _moving(group, view))]:
                wanted += [cache.key, key_of(entry)]
    wanted += [cache.key for cache in tree.caches if cache.groups]
    stale = [(cache, group) for cache in tree.caches for group in cache.groups if group.stale]
    wanted += [group.key for _, group in sorted(stale, key=lambda pair: -pair[1].stale)]
    wanted += [cache.key for cache in tree.caches]
    wanted += [group.key for cache in tree.caches for group in cache.groups]
    kept = set(list(dict.fromkeys(wanted))[:height])
    out: list[Row] = []
    for cache in tree.caches:
        if cache.key in kept:
            out.append(_cache(cache, True))
        for group in cache.groups:
            if group.key in kept:
                out.append(Row(group.key, "sm", (group, False), 1, False))
            moving = group.entries[: min(2, _moving(group, view))]
            out += [Row(key_of(entry), "entry", entry, 1) for entry in moving if key_of(entry) in kept]
    return out


def _filtered(tree: Tree, width: int, wanted: str, view: View) -> Sequence[Row]:
    out = Listing()
    for cache in tree.caches:
        found = [(group, hits) for group in cache.groups if (hits := _hits(group, cache, wanted, view))]
        if found:
            out.add(_cache(cache, True))
        for group, hits in found:
            out.add(Row(group.key, "sm", (group, True), 1, True))
            out.run(hits, _entry, key_of)
    if wanted == STALE:
        return out or notes("No kernel is stale.", width, "dim")
    return out or notes(f"No kernel, SM or cache has {wanted!r} in its name.", width, "dim")


def _hits(group: SmGroup, cache: CacheGroup, wanted: str, view: View) -> tuple[Entry, ...]:
    """The entries of a group that a filter means, looked for once while neither changes."""
    if wanted in group.sm or wanted in cache.cache.kind:
        return group.entries
    known = view.hits.get(group.key)
    if known is None or known[0] is not group or known[1] != wanted:
        hits = _stale(group) if wanted == STALE else _having(wanted, group, view)
        known = view.hits[group.key] = group, wanted, hits
    return known[2]


def _stale(group: SmGroup) -> tuple[Entry, ...]:
    """The entries of a group with a verdict; most often all of a foreign SM, or none."""
    if group.stale in (0, len(group.entries)):
        return group.entries if group.stale else ()
    return tuple(compress(group.entries, map(_verdicts, group.entries)))


def _having(wanted: str, group: SmGroup, view: View) -> tuple[Entry, ...]:
    """The entries of a group with the wanted text in their names, or in the keys of those that have none."""
    called = view.called.get(group.key)
    if called is None or called[0] is not group:
        called = view.called[group.key] = group, [entry.name or entry.key for entry in group.entries]
    names = called[1]
    said = {name: wanted in name.casefold() for name in set(names)}  # very many entries have few names
    return tuple(compress(group.entries, map(said.__getitem__, names)))


def _empty(kernels: Kernels, width: int) -> list[Row]:
    out = notes("No compiled kernels here yet.", width, "fg")
    for cache in kernels.caches:
        path = names.home(cache.path, str(Path.home()))
        out += notes(f"{path} does not exist ({cache.kind}; {cache.reason}).", width, "dim")
    if not kernels.caches:
        out += notes("No cache folder is known to look in.", width, "dim")
    return out + notes("They fill when a program compiles for a GPU, for example with torch.compile.", width, "dim")
