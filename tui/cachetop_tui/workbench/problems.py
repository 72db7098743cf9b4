"""What needs attention: found off the event loop from the snapshots, listed in the bottom panel with its fix."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import msgspec

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
from cachetop_tui.marks import Line, Pen, Row, sentences
from cachetop_tui.workbench.picture import Picture

if TYPE_CHECKING:
    from cachetop.prune.selection import Selection

FULL = 0.02
"""A file system with less than this share free is a problem."""
_ERRORS = {"unreadable", "io-error", "corrupt", "disk-full", "gpu", "xid"}


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

    BACKGROUND: ClassVar[str] = "side"
    FOLDS: ClassVar[bool] = False
    DEFAULT_CSS = "ProblemsPane { background: $surface; display: none; }"

    def __init__(self, picture: Picture) -> None:
        super().__init__(id="problems")
        self._picture = picture

    def headers(self, width: int) -> list[Line]:
        """The title with the count."""
        pen = Pen(width, "head")
        if self.has_focus:
            pen.put(0, "▎", "accent")
        count = len(self._picture.problems)
        key = named("problems.focus").key
        x = pen.put(1, key, "fg" if self.has_focus else "faint") + 1 if key else 1
        x = pen.put(x, "PROBLEMS", "b:hi" if self.has_focus else "b:fg")
        pen.put(x + 2, f"{count:,}" if count else "none", "warn" if count else "dim")
        fix, copy = named("list.open").key, named("copy").key
        pen.right(width - 1, fix, "b:fg", " fix  ", "dim", copy, "b:fg", " copies the fix", "dim")
        return [pen.line()]

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """Two rows for each problem: what it is, and what to do."""
        problems = self._picture.problems

        def key(place: int) -> str:
            one = problems[place // 2]
            return f"{place // 2}\0{one.rule}\0{one.subject}" + ("\0fix" if place % 2 else "")

        def row(place: int) -> Row:
            is_fix = place % 2 == 1
            return Row(key(place), "fix" if is_fix else "problem", problems[place // 2], int(is_fix), fixed=is_fix)

        out = Listing()
        out.run(range(2 * len(problems)), row, key)
        if not out:
            text = "Nothing needs attention." if self._picture.models is not None else "Looking …"
            out.add(*[Row("none", "note", part, fixed=True) for part in sentences(text, width - 4)])
        return out

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        pen = Pen(width)
        if row.kind == "note":
            pen.put(3, row.subject, "dim")
            return pen.line()
        problem: StatusProblem = row.subject
        if row.kind == "fix":
            pen.put(5, head(fix_of(problem), width - 6), "link")
            return pen.line()
        bad = problem.rule in _ERRORS
        pen.put(1, "✗" if bad else "▲", "err" if bad else "warn")
        x = pen.put(3, clean(problem.rule, 20), "err" if bad else "warn") + 2
        x = pen.put(x, middle(clean(problem.subject), max(12, (width - x) // 3)), "b:fg") + 2
        pen.put(x, head(show(problem.message, 400), width - x - 1), "fg")
        return pen.line()
