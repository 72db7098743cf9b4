"""What needs attention: found off the event loop from the snapshots, listed in the bottom panel with its fix."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import events
from textual.binding import BindingType
from textual.message import Message

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models
from cachetop.kernelcache.records import Kernels
from cachetop.summary import FIXES, WATCH_FIX, StatusProblem, stale_problems
from cachetop.summary import problems as found_in
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import head, middle
from cachetop_tui.lines import LineView
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Line, Pen, Row, Text, sentences
from cachetop_tui.paint import width_of
from cachetop_tui.panel.tabline import PROBLEMS, TABS, TabLine, tab_line
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.plan import RUN_LINES

if TYPE_CHECKING:
    from cachetop.prune.selection import Selection

FULL = 0.02
"""A file system with less than this share free is a problem."""
_WRAPPED = 200
"""Up to so many problems each takes as many lines as its words do."""
_BESIDE = 24
"""Cells that must be left for a message to begin beside what it is about."""
_ERRORS = {"unreadable", "io-error", "read-error", "corrupt", "disk-full", "gpu", "xid"}


def fix_of(problem: StatusProblem) -> str:
    """The command that mends it, or looks closer."""
    return problem.fix or FIXES.get(problem.rule, "cachetop doctor")


def review_of(problem: StatusProblem) -> Selection | None:
    """What to review where its fix is a plan for deleting; None where it is something else."""
    from cachetop.prune.selection import Selection

    words = shlex.split(fix_of(problem))
    if words[:2] != ["cachetop", "prune"] or len(words) != 5 or words[4] != "--dry-run":
        return None
    what, flag = words[2:4]
    names = () if flag.startswith("-") else (flag,)
    made = Selection(
        what, names, stale=flag == "--stale", incomplete=flag == "--incomplete", detached=flag == "--detached"
    )
    return None if made.is_empty else made


def judged(selection: Selection, gpus: Gpus | None) -> Selection:
    """`selection` judged by the SMs of the GPUs on the screen, so that the review finds what the panes call stale.

    Where there is none, or one without a known SM, it stays as it is.
    """
    sms = [gpu.sm for gpu in gpus.gpus] if gpus is not None else []
    known = tuple(dict.fromkeys(sm for sm in sms if sm))
    return replace(selection, assume_sm=known) if known and all(sms) else selection


class Finder:
    """Finds problems part by part, so that a GPU sample does not cost a walk over the kernels. Used from the feeds."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[StatusProblem, ...]] = {}

    def models(self, models: Models) -> None:
        """The hub cache has changed."""
        self._parts["models"] = (
            *found_in(models, Kernels(), Gpus(available=True)),
            *full_disks(root.path for root in models.roots),
        )

    def kernels(self, kernels: Kernels, totals: Iterable[tuple[str, str, int, int]]) -> None:
        """The kernel caches have changed; `totals` are (cache, rule, entries, bytes on disk)."""
        caches = found_in(Models(), msgspec.structs.replace(kernels, entries=()), Gpus(available=True))
        self._parts["kernels"] = (*caches, *stale_problems(totals))

    def gpus(self, gpus: Gpus) -> None:
        """A new sample."""
        self._parts["gpus"] = tuple(found_in(Models(), Kernels(), gpus))

    def watch(self, mode: str, reason: str | None) -> None:
        """How changes are noticed now."""
        self._parts["watch"] = ()
        if mode != "inotify" and reason:
            fix = WATCH_FIX if "max_user_watches" in reason else None
            self._parts["watch"] = (StatusProblem(rule="watch", subject=mode, message=reason, fix=fix),)

    @property
    def found(self) -> tuple[StatusProblem, ...]:
        """All of them: models, kernels, GPUs, the watch."""
        return tuple(one for part in ("models", "kernels", "gpus", "watch") for one in self._parts.get(part, ()))


def full_disks(paths: Iterable[str]) -> list[StatusProblem]:
    """One problem for each path whose file system is nearly full; what cannot be asked is left out."""
    out = []
    for path in paths:
        try:
            disk = os.statvfs(path)
        except OSError:
            continue
        if disk.f_blocks and disk.f_bavail < FULL * disk.f_blocks:
            free = units.size(disk.f_bavail * disk.f_frsize)
            message = f"only {free} of {units.size(disk.f_blocks * disk.f_frsize)} are free"
            out.append(StatusProblem(rule="disk-full", subject=path, message=message))
    return out


class ProblemsPane(LineView):
    """Lists the problems, each with its fix: Enter opens the review of a plan, or the whole words; `y` copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [named(name).binding() for name in ("runs.tab", "runs.tab.back")]
    BACKGROUND: ClassVar[str] = "side"
    FOLDS: ClassVar[bool] = False
    DEFAULT_CSS = "ProblemsPane { background: $surface; display: none; }"

    class TabPicked(Message):
        """Another tab of the panel is wanted."""

        def __init__(self, tab: int) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, picture: Picture) -> None:
        super().__init__(id="problems")
        self._picture = picture

    @property
    def _tabs(self) -> TabLine | None:
        """The panel's tabs; None where there is no room for them."""
        runs = len(self._picture.jobs.jobs) if self._picture.jobs is not None else 0
        tabs = tab_line(PROBLEMS, runs, len(self._picture.problems))
        return tabs if self.size.height > RUN_LINES and tabs.end < self.size.width else None

    @property
    def tab_places(self) -> tuple[tuple[int, int], ...]:
        """(first column, the one after the last) of each tab on the second line; none while there are no tabs."""
        tabs = self._tabs
        return tabs.places if tabs is not None else ()

    def headers(self, width: int) -> list[Line]:
        """The panel's tabs and what the keys do, in a low panel a title with the count."""
        fix, copy = named("list.open").key, named("copy").key
        keys = (fix, "b:fg", " fix  ", "dim", copy, "b:fg", " copies the fix", "dim")
        count, tabs = len(self._picture.problems), self._tabs
        pen = Pen(width, "" if tabs else "head")
        if self.has_focus:
            pen.put(0, "▎", "accent")
        if tabs is None:
            key = named("problems.focus").key
            x = pen.put(1, key, "fg" if self.has_focus else "faint") + 1 if key else 1
            x = pen.put(x, "PROBLEMS", "b:hi" if self.has_focus else "b:fg")
            x = pen.put(x + 2, f"{count:,}" if count else "none", "warn" if count else "dim")
        else:
            for mark in tabs.texts:
                x = pen.put(mark.x, mark.text, mark.word)
        if x + 2 + sum(width_of(text) for text in keys[::2]) < width:
            pen.right(width - 1, *keys)
        return [Line((Text(0, "─" * width, "line"),)), pen.line()] if tabs else [pen.line()]

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """Some rows for each problem: what it is, in as many lines as that takes, and what to do.

        Where there are very many problems each has two, made when they are seen.
        """
        out, problems = Listing(), self._picture.problems
        if len(problems) > _WRAPPED:
            places = range(2 * len(problems))
            out.run(
                places,
                lambda n: _row(problems[n // 2], *divmod(n, 2)),
                lambda n: _key(problems[n // 2], *divmod(n, 2)),
            )
        else:
            for i, problem in enumerate(problems):
                key, more = _key(problem, i, 0), _told(problem, width)[1:]
                out.add(_row(problem, i, 0))
                out.add(*[Row(f"{key}\0{n}", "more", text, 1, fixed=True) for n, text in enumerate(more)])
                out.add(_row(problem, i, 1))
        if not out:
            text = "Nothing needs attention." if self._picture.models is not None else "Looking …"
            out.add(*[Row("none", "note", part, fixed=True) for part in sentences(text, width - 4)])
        return out

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        pen = Pen(width)
        if row.kind in ("note", "more"):
            pen.put(3 if row.kind == "note" else 5, row.subject, "dim" if row.kind == "note" else "fg")
            return pen.line()
        problem: StatusProblem = row.subject
        if row.kind == "fix":
            pen.put(5, head(fix_of(problem), width - 6), "link")
            return pen.line()
        bad = problem.rule in _ERRORS
        rule, subject = _named(problem, width)
        pen.put(1, "✗" if bad else "▲", "err" if bad else "warn")
        x = pen.put(3, rule, "err" if bad else "warn") + 2
        x = pen.put(x, subject, "b:fg") + 2
        told = _told(problem, width)
        pen.put(x, head(" ".join(told), width - x - 1) if len(self._picture.problems) > _WRAPPED else told[0], "fg")
        return pen.line()

    def action_tab(self, by: int) -> None:
        """The next tab of the panel (1) or the one before (-1)."""
        self._to_tab((PROBLEMS + by) % len(TABS))

    def _to_tab(self, tab: int) -> None:
        self.post_message(self.TabPicked(tab))

    def on_click(self, event: events.Click) -> None:
        """A click on a tab goes there; elsewhere as in every list."""
        tabs = self._tabs
        tab = tabs.at(event.x) if tabs is not None and event.y == 1 and event.button != 3 else None
        if tab is not None:
            event.prevent_default()
            self._to_tab(tab)


def _key(problem: StatusProblem, place: int, fix: int) -> str:
    return f"{place}\0{problem.rule}\0{problem.subject}" + ("\0fix" if fix else "")


def _row(problem: StatusProblem, place: int, fix: int) -> Row:
    """The row of a problem, or that of its fix."""
    return Row(_key(problem, place, fix), "fix" if fix else "problem", problem, fix, fixed=bool(fix))


def _named(problem: StatusProblem, width: int) -> tuple[str, str]:
    """The rule and what it is about, as far as that may be cut."""
    rule = clean(problem.rule, 20)
    return rule, middle(clean(problem.subject), max(12, (width - width_of(rule) - 5) // 2))


def _told(problem: StatusProblem, width: int) -> list[str]:
    """The message: what stands beside the rule and what it is about, then whole lines."""
    used = sum(width_of(part) + 2 for part in _named(problem, width)) + 3
    message = show(problem.message, 400)
    room = width - used - 1
    if width_of(message) <= room:
        return [message]
    if room < _BESIDE:
        return ["", *sentences(message, width - 6)]
    first = sentences(message, room)[0]
    return [first, *sentences(message[len(first) :].strip(), width - 6)]
