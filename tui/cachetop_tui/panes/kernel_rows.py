"""Which rows the kernels pane has: what the person unfolded, and as many of the newest entries as there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cachetop.base.hostile import show
from cachetop.kernelcache.records import Entry, Kernels
from cachetop_tui.marks import Row, sentences
from cachetop_tui.panes import names
from cachetop_tui.panes.kernel_tree import CacheGroup, SmGroup, Tree, key_of

_PREVIEWS = (12, 8, 5, 3, 2, 1)


def rows(tree: Tree | None, width: int, height: int, unfolded: Mapping[str, bool], wanted: str) -> list[Row]:
    """All rows for a pane with `height` lines below its headers.

    A group nobody folded or unfolded shows its newest entries, as many as let every group be seen.
    """
    if tree is None:
        return []
    if not tree.caches:
        return _empty(tree.kernels, width)
    if wanted:
        return _filtered(tree, width, wanted.casefold())
    if height <= 4:
        return _digest(tree, height)
    for preview in _PREVIEWS:
        out = _all(tree, unfolded, preview)
        if len(out) <= height:
            return out
    return _all(tree, unfolded, 0)


def _all(tree: Tree, unfolded: Mapping[str, bool], preview: int) -> list[Row]:
    out: list[Row] = []
    for cache in tree.caches:
        is_open = unfolded.get(cache.key, True)
        out.append(_cache(cache, is_open))
        for group in cache.groups if is_open else ():
            out += _group(group, unfolded.get(group.key), preview)
    return out


def _cache(cache: CacheGroup, is_open: bool) -> Row:
    return Row(cache.key, "cache", cache, 0, is_open if cache.groups else None)


def _group(group: SmGroup, asked: bool | None, preview: int) -> list[Row]:
    if asked is None and 0 < len(group.entries) <= preview + 1:
        asked = True
    if asked:
        return [Row(group.key, "sm", group, 1, True), *map(_entry, group.entries)]
    if asked is False:
        return [Row(group.key, "sm", group, 1, False)]
    # Whatever is being built is always in sight.
    shown = [entry for i, entry in enumerate(group.entries) if i < preview or entry.state == "compiling"]
    rest = len(group.entries) - len(shown)
    out = [Row(group.key, "sm", group, 1, bool(shown)), *map(_entry, shown)]
    if preview and rest:
        out.append(Row(f"{group.key}more", "more", (group, rest), 2))
    return out


def _entry(entry: Entry) -> Row:
    return Row(key_of(entry), "entry", entry, 2)


def _digest(tree: Tree, height: int) -> list[Row]:
    """The few lines of a pane that is not in focus: every cache, what is being built, then the groups."""
    chosen: dict[str, list[Row]] = {cache.key: [] for cache in tree.caches}
    left = height - len(tree.caches)
    for cache in tree.caches:
        for group in cache.groups:
            for entry in group.entries:
                if entry.state != "compiling" or left <= 0:
                    break
                chosen[cache.key].append(Row(key_of(entry), "entry", entry, 1))
                left -= 1
    for cache in tree.caches:
        for group in cache.groups[: max(0, left)]:
            chosen[cache.key].append(Row(group.key, "sm", group, 1, False))
            left -= 1
    return [row for cache in tree.caches for row in (_cache(cache, True), *chosen[cache.key])]


def _filtered(tree: Tree, width: int, wanted: str) -> list[Row]:
    out: list[Row] = []
    for cache in tree.caches:
        below: list[Row] = []
        for group in cache.groups:
            hits = group.entries
            if wanted not in group.sm and wanted not in cache.cache.kind:
                hits = tuple(e for e in group.entries if wanted in (e.name or e.key).casefold())
            if hits:
                below += [Row(group.key, "sm", group, 1, True), *map(_entry, hits)]
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
