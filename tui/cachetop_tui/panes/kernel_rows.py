"""Which rows the kernels pane has: what the person unfolded, and as many of the newest entries as there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cachetop.base.hostile import show
from cachetop.kernelcache.records import Entry, Kernels
from cachetop_tui.marks import Row, sentences
from cachetop_tui.panes import names
from cachetop_tui.panes.kernel_tree import CacheGroup, SmGroup, Tree, key_of


@dataclass(slots=True)
class View:
    """What the pane shows besides the snapshot: folds, filter, what just appeared, which SM is on which GPU."""

    unfolded: Mapping[str, bool] = field(default_factory=dict)
    filter: str = ""
    fresh: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """Keys of entries that just appeared, when, and their names."""
    sms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def rows(tree: Tree | None, width: int, height: int, view: View) -> list[Row]:
    """All rows for a pane with `height` lines below its headers.

    A group nobody folded or unfolded shows its newest entries, as many as let every group be seen.
    """
    if tree is None:
        return []
    if not tree.caches:
        return _empty(tree.kernels, width)
    if view.filter:
        return _filtered(tree, width, view.filter.casefold())
    if height <= 4:
        return _digest(tree, height, view)
    unfolded = view.unfolded
    auto = [
        group
        for cache in tree.caches
        if unfolded.get(cache.key, True)
        for group in cache.groups
        if group.key not in unfolded
    ]
    auto.sort(key=lambda group: -group.entries[0].created)
    shown = {group.key: _moving(group, view) for group in auto}
    left = height - len(_all(tree, unfolded, shown))
    while left > 0 and auto:
        auto = [group for group in auto if shown[group.key] < len(group.entries)]
        for group in auto[:left]:
            shown[group.key] += 1
        left -= len(auto[:left])
    return _all(tree, unfolded, shown)


def _all(tree: Tree, unfolded: Mapping[str, bool], shown: Mapping[str, int]) -> list[Row]:
    out: list[Row] = []
    for cache in tree.caches:
        is_open = unfolded.get(cache.key, True)
        out.append(_cache(cache, is_open))
        for group in cache.groups if is_open else ():
            asked = unfolded.get(group.key)
            out += _group(group, shown.get(group.key, 0) if asked is None else len(group.entries) if asked else 0)
    return out


def _cache(cache: CacheGroup, is_open: bool) -> Row:
    return Row(cache.key, "cache", cache, 0, is_open if cache.groups else None)


def _group(group: SmGroup, shown: int) -> list[Row]:
    """A group with its first `shown` entries; it counts as unfolded once all of them are there."""
    head = Row(group.key, "sm", (group, shown > 0), 1, shown >= len(group.entries))
    return [head, *map(_entry, group.entries[:shown])]


def _entry(entry: Entry) -> Row:
    return Row(key_of(entry), "entry", entry, 2)


def _moving(group: SmGroup, view: View) -> int:
    """How many entries it takes to show all that are being built or just appeared; these come first."""
    last = 0
    for i, entry in enumerate(group.entries):
        if entry.state == "compiling" or key_of(entry) in view.fresh:
            last = i + 1
        elif i > last + len(view.fresh):
            break
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
            moving = group.entries[: _moving(group, view)]
            out += [Row(key_of(entry), "entry", entry, 1) for entry in moving if key_of(entry) in kept]
    return out


def _filtered(tree: Tree, width: int, wanted: str) -> list[Row]:
    out: list[Row] = []
    for cache in tree.caches:
        below: list[Row] = []
        for group in cache.groups:
            hits = group.entries
            if wanted not in group.sm and wanted not in cache.cache.kind:
                hits = tuple(e for e in group.entries if wanted in (e.name or e.key).casefold())
            if hits:
                below += [Row(group.key, "sm", (group, True), 1, True), *map(_entry, hits)]
        if below:
            out += [_cache(cache, True), *below]
    return out or notes(f"No kernel, SM or cache has {wanted!r} in its name.", width, "dim")


def notes(text: str, width: int, word: str) -> list[Row]:
    """A sentence as rows the cursor steps over."""
    return [
        Row(f"note\0{text}\0{i}", "note", (line, word), fixed=True)
        for i, line in enumerate(sentences(show(text), width - 6))
    ]


def _empty(kernels: Kernels, width: int) -> list[Row]:
    out = notes("No compiled kernels here yet.", width, "fg")
    for cache in kernels.caches:
        path = names.home(cache.path, str(Path.home()))
        out += notes(f"{path} does not exist ({cache.kind}; {cache.reason}).", width, "dim")
    if not kernels.caches:
        out += notes("No cache folder is known to look in.", width, "dim")
    return out + notes("They fill when a program compiles for a GPU, for example with torch.compile.", width, "dim")
