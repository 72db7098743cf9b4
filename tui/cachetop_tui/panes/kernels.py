"""The kernels pane: cache, SM, kernel, with the verdict on each and what it cost to build."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpus
from cachetop.kernelcache.records import Entry
from cachetop_tui import words
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import middle, path_name
from cachetop_tui.finding import Place
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row, title
from cachetop_tui.paint import width_of
from cachetop_tui.panes import kernel_rows, names
from cachetop_tui.panes.kernel_rows import View
from cachetop_tui.panes.kernel_tree import NO_SM, CacheGroup, SmGroup, Tree, key_of

FRESH_SECONDS = 3.0
_MARKED = 50
"""How many entries at most are marked as new: the newest."""
_FADES_EVERY = 0.25
_STAGES = ("source", "ttir", "ttgir", "llir", "ptx", "cubin", "json")
_SM_WIDTH = 6
"""Cells that the longest usual name of an SM takes: `sm_120`."""
_BROKEN = ("orphan", "truncated")


class _Columns:
    """Where the columns end, placed from the right edge."""

    def __init__(self, width: int) -> None:
        self.has_build, self.has_used = width >= 62, width >= 54
        self.used = width - 1
        self.build = self.used - (8 if self.has_used else 0)
        self.disk = self.build - (9 if self.has_build else 0)
        self.verdict = self.disk - 9


def headers(tree: Tree | None, width: int, height: int, view: View, focused: bool) -> list[Line]:
    """The header with the totals, and the names of the columns where there is room for them."""
    parts = ["scanning …", "live"]
    if tree is not None:
        kernels = tree.kernels
        total = words.count(len(kernels.entries), "entry", "entries")
        parts = [total, "dim", f"   {units.size(kernels.size_on_disk)}", "dim"]
        if kernels.scanning:
            parts = ["scanning …   ", "live", *parts]
        if tree.stale:
            parts += [f"   ▲ {tree.stale:,} stale", "warn"]
    if view.fresh:
        _, name = list(view.fresh.values())[-1]
        parts = [f"● {middle(name, 24)} new" if name else "● new entry", "b:live", "   ", "dim", *parts]
    if view.filter:
        parts = [f"filter: {clean(view.filter, 40)}", "warn", "   ", "dim", *parts]
    out = [title(width, named("kernels.focus").key, "KERNELS", focused, *parts)]
    if height > 5:
        pen = Pen(width)
        at = _Columns(width)
        names = "CACHE / SM / KERNEL"
        pen.put(3, names if at.verdict - 10 > 3 + len(names) else "KERNEL", "faint")
        pen.right(at.verdict, "VERDICT", "faint")
        pen.right(at.disk, "ON DISK", "faint")
        if at.has_build:
            pen.right(at.build, "BUILD", "faint")
        if at.has_used:
            pen.right(at.used, "USED", "faint")
        out.append(pen.line())
    return out


def line(row: Row, width: int, view: View, now: float) -> Line:
    """How one row looks."""
    pen = Pen(width)
    at = _Columns(width)
    if row.kind == "note":
        pen.put(3, row.subject[0], row.subject[1])
    elif row.kind == "cache":
        _cache(pen, at, row)
    elif row.kind == "sm":
        _group(pen, at, row, view)
    else:
        _entry(pen, at, row, view, now)
    return pen.line()


def _cache(pen: Pen, at: _Columns, row: Row) -> None:
    group: CacheGroup = row.subject
    cache = group.cache
    if row.open is not None:
        pen.put(1, "▾" if row.open else "▸", "dim")
    x = pen.put(3, clean(cache.id, 24), "b:fg")
    many = words.count(group.entries, "entry", "entries") if group.groups else "empty" if cache.exists else ""
    start = pen.right(at.verdict, many, "dim")
    if cache.problem:
        pen.put(x + 2, middle(clean(cache.problem), start - x - 4), "err")
    else:
        room = start - x - 4
        why = "tmpfs: gone after reboot" if cache.filesystem in ("tmpfs", "ramfs") else ""
        path = names.home(cache.path, str(Path.home()))
        if room > 6:
            x = pen.put(x + 2, path_name(path, room), "dim")
            if why and x + 2 + len(why) < start - 1:
                pen.put(x + 2, why, "warn")
    pen.right(at.disk, units.size(cache.size_on_disk), "fg")


def _group(pen: Pen, at: _Columns, row: Row, view: View) -> None:
    group: SmGroup = row.subject[0]
    pen.put(3, "▾" if row.subject[1] else "▸", "dim")
    foreign = any(rule == "foreign-sm" for rule, _ in group.rules)
    gpus = view.sms.get(group.sm, ())
    x = pen.put(5, "no SM named" if group.sm == NO_SM else clean(group.sm, 40), "b:warn" if foreign else "b:link")
    total = len(group.entries)
    said: tuple[str, ...]
    if not group.stale:
        said, token = (words.count(total, "entry", "entries"), f"{total:,}"), "dim"
    else:
        rule = clean(group.rules[0][0], 24)
        all_one = len(group.rules) == 1 and group.stale == total
        verdict = f"▲ {group.stale:,} {rule}" if all_one else f"▲ {group.stale:,} of {total:,} stale"
        said, token = (verdict, f"▲ {group.stale:,} stale", f"▲ {group.stale:,}"), "warn"
    fitting = next((text for text in said if x + 2 + width_of(text) <= at.verdict), said[-1])
    start = pen.right(at.verdict, fitting, token)
    x = max(x, 5 + _SM_WIDTH)  # what is said of one SM stands below what is said of the other
    says = ("no GPU here can load it", "no GPU here") if foreign else ("runs on " + _gpus(gpus),) if gpus else ()
    for text in says:
        if x + 2 + len(text) < start - 1:
            pen.put(x + 2, text, "warn" if foreign else "dim")
            break
    pen.right(at.disk, units.size(group.size_on_disk), "fg")


def _gpus(indices: Sequence[int]) -> str:
    return f"GPU {indices[0]}" if len(indices) == 1 else f"GPUs {', '.join(map(str, indices))}"


def _verdict(entry: Entry) -> tuple[str, str, str]:
    """Glyph, token and word for what is to be said about an entry."""
    if entry.stale:
        rule = entry.stale[0].rule
        broken = rule in _BROKEN
        return "✗" if broken else "▲", "err" if broken else "warn", clean(rule, 24)
    if entry.problems:
        return "✗", "err", clean(entry.problems[0].rule, 24)
    if entry.state == "orphan":
        return "✗", "err", "orphan"
    if entry.state == "relocated":
        return "▲", "warn", "relocated"
    return "●", "ok", "" if entry.state == "complete" else clean(entry.state, 24)


def _entry(pen: Pen, at: _Columns, row: Row, view: View, now: float) -> None:
    entry: Entry = row.subject
    x = 3 + 2 * row.depth
    name = clean(entry.name or entry.key, 400)
    if entry.state == "compiling":
        tail = "building"
        if entry.stage in _STAGES:
            step = f"{_STAGES.index(entry.stage) + 1}/{len(_STAGES)}"
            tail = f"building {entry.stage} {step}" if pen.width >= 70 else f"building {step}"
        pen.put(x, "○", "live")
        pen.put(x + 2, middle(name, at.verdict - x - 4 - len(tail)), "fg")
        pen.right(at.verdict, tail, "live")
        pen.right(at.disk, units.size(entry.size_on_disk), "live")
        if at.has_build:
            pen.right(at.build, f"{max(0.0, now - entry.created):.0f} s", "live")
        if at.has_used:
            pen.right(at.used, "now", "live")
        return
    glyph, token, verdict = _verdict(entry)
    born = view.fresh.get(key_of(entry))
    is_new = born is not None
    pen.put(x, glyph, "b:live" if is_new else token)
    if is_new and not verdict:
        verdict, token = "new", "live"
    room = at.verdict - x - 3 - (width_of(verdict) + 1 if verdict else 0)
    pen.put(x + 2, middle(name, room), "fg")
    pen.right(at.verdict, verdict, token if token != "ok" else "dim")
    pen.right(at.disk, units.size(entry.size_on_disk), "fg")
    if at.has_build:
        build = "–" if entry.build_milliseconds is None else units.duration(entry.build_milliseconds / 1000)
        pen.right(at.build, build, "dim" if entry.build_milliseconds is not None else "faint")
    if not at.has_used:
        return
    used = "now" if is_new else words.used(max(entry.last_used or 0, entry.created), now)
    pen.right(at.used, used, "b:live" if is_new else "fg" if used == "now" else "dim")


class KernelsPane(LineView):
    """The kernels pane as a widget."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id="kernels")
        self.clock = clock
        self.shown: Tree | None = None
        self._fresh: dict[str, tuple[float, str]] = {}
        self._fading = False
        self._laid = (0, 0)
        self.view = View(self.unfolded, fresh=self._fresh)

    def show(self, tree: Tree) -> None:
        """Show a new snapshot, marking for a moment what just appeared in it."""
        now = time.monotonic()
        self.shown = tree
        for entry in tree.appeared[-_MARKED:]:
            self._fresh[key_of(entry)] = (now, clean(entry.name or "", 400))
        for key in list(self._fresh)[:-_MARKED]:
            del self._fresh[key]
        for key, name in tree.named:  # its folder came first, its name a stage later
            if (born := self._fresh.get(key)) is not None:
                self._fresh[key] = (born[0], clean(name, 400))
        self.update_lines(arrived=True)
        if tree.appeared and self.is_mounted and not self._fading:
            self._fading = True
            self.set_timer(FRESH_SECONDS, self._fade)

    def _fade(self) -> None:
        """Take the mark off entries that are new no more, and come again for the next of them."""
        now = time.monotonic()
        until = now - FRESH_SECONDS + _FADES_EVERY / 2
        for key in [key for key, (born, _) in self._fresh.items() if born <= until]:
            del self._fresh[key]
        self._fading = bool(self._fresh)
        if self._fading:
            oldest = min(born for born, _ in self._fresh.values())
            self.set_timer(max(_FADES_EVERY, oldest + FRESH_SECONDS - now), self._fade)
        self.update_lines()

    def tick(self) -> None:
        """Once a second: only what is being built has a number that moves."""
        if self.shown is not None and self.shown.compiling:
            self.update_lines()

    def show_gpus(self, gpus: Gpus) -> None:
        """Show which SM runs on which GPU."""
        sms: dict[str, tuple[int, ...]] = {}
        for gpu in gpus.gpus:
            if gpu.sm:
                sms[gpu.sm] = (*sms.get(gpu.sm, ()), gpu.index)
        if sms != self.view.sms:
            self.view.sms = sms
            self.update_lines()

    def set_filter(self, text: str) -> None:
        """Show only entries with `text` in their name, and the whole of an SM or cache that is named so."""
        self.view.filter = text
        self.update_lines()

    def headers(self, width: int) -> list[Line]:
        """See `LineView`."""
        return headers(self.shown, width, self.size.height, self.view, self.has_focus)

    @property
    def whole(self) -> bool:
        """See `RowView`."""
        return self.size.height - 1 > kernel_rows.DIGEST

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """See `LineView`. Where somebody moves about, what is shown stays as long as its entry does."""
        self.view.held = self.touched and self.has_focus and self._laid == (width, height)
        self._laid = (width, height)
        self.view.cursor = self._cursor if self.placed else None
        return kernel_rows.rows(self.shown, width, height, self.view)

    def folded(self) -> Iterator[Place]:
        """See `LineView`."""
        return iter(()) if self.shown is None else kernel_rows.folded(self.shown, self.view)

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        return line(row, width, self.view, self.clock())
