"""Below the tree of the side bar: where the chosen cache lies, what could go, the last runs, how full the disks are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from cachetop.base import units
from cachetop.base.disks import Disk
from cachetop.base.hostile import clean
from cachetop.conversion.records import Job, Run
from cachetop.prune.prospects import UNUSED_DAYS, Prospect
from cachetop_tui import words
from cachetop_tui.cut import head, middle, path_name
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row
from cachetop_tui.panel.figures import pages_of
from cachetop_tui.panes import names
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.problems import FULL
from cachetop_tui.workbench.side import SideBar

if TYPE_CHECKING:
    from cachetop_tui.workbench.overview import Overview

TREE_LEAST = 16
"""Lines that the tree keeps, if it has so many."""
_RUNS = 4
_WORDS = {
    "detached": ("▲", "warn", "detached rev", "detached revs"),
    "partials": ("✗", "err", "dead partial", "dead partials"),
    "stale": ("▲", "warn", "stale kernel", "stale kernels"),
    "unused": ("○", "fg", f"unused > {UNUSED_DAYS} d", f"unused > {UNUSED_DAYS} d"),
}
FILTERS = {
    "detached": ("models", "detached sort=reclaimable"),
    "partials": ("models", "partial=stale sort=size"),
    "stale": ("kernels", "stale"),
    "unused": ("models", f"accessed>{UNUSED_DAYS}d sort=size"),
}
"""What could go -> the pane that shows it, and what to type into its filter line."""
_STATES = {
    "queued": ("○", "live"), "running": ("○", "live"), "done": ("✓", "ok"), "failed": ("✗", "err"),
    "cancelled": ("–", "dim"), "lost": ("✗", "err"),
}  # fmt: skip


class Glance(LineView):
    """What the mock-up's side bar has below its tree, as far as there is room: whole sections, the last ones first out.

    Enter on what could go filters its pane, on a run opens its report.
    """

    BACKGROUND: ClassVar[str] = "side"
    DEFAULT_CSS = "Glance { background: $surface; }"

    def __init__(self, picture: Picture, side: SideBar) -> None:
        super().__init__(id="glance")
        self._picture = picture
        self._side = side

    def fitting(self, room: int) -> list[Row]:
        """The rows of as many sections as `room` lines hold."""
        out: list[Row] = []
        for i, section in enumerate(sections(self._picture, self._side.place, self.unfolded)):
            blank = [Row(f"blank\0{i}", "blank", fixed=True)]
            if section and len(out) + len(section) + 1 > room:
                break
            out += blank + section if section else []
        return out

    @property
    def room(self) -> int:
        """Lines that the sections may take beside the tree."""
        parent = self.parent
        height = parent.size.height if isinstance(parent, Widget) else 0
        return height - min(len(self._side.shown_rows) + 1, TREE_LEAST)

    def rows(self, width: int, height: int) -> list[Row]:
        """See `LineView`."""
        return self.fitting(height)

    def headers(self, width: int) -> list[Line]:
        """None: the tree has the title."""
        return []

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        pen = Pen(width)
        if row.kind == "branch":
            name, right, _, _ = row.subject
            if self.has_focus and row.key == self._cursor:
                pen.put(0, "▎", "accent")
            pen.put(1, "▾" if row.open else "▸", "dim")
            pen.put(3, name, "b:fg")
            pen.right(width - 1, right, "dim")
        elif row.kind == "fact":
            cut = path_name if row.key.endswith("0") else head  # the path is the first
            pen.put(3, cut(row.subject, width - 4), "dim")
        elif row.kind != "blank":
            glyph, token, name, right, word = _leaf(row)
            pen.put(3, glyph, token)
            x = 5 if glyph else 3
            start = pen.right(width - 1, head(right, max(8, width - x - 12)), word)
            pen.put(x, middle(name, start - x - 1), "fg")
        return pen.line()

    def action_move(self, by: int) -> None:
        """One row up or down; above the first one is the tree."""
        before = self.cursor
        super().action_move(by)
        if by < 0 and before is not None and self.cursor is not None and before.key == self.cursor.key:
            self.screen.set_focus(self._side)


def share(side: SideBar, glance: Glance) -> None:
    """Give the tree what it needs, the sections what they fit into, and what is left to nobody."""
    height = side.parent.size.height if isinstance(side.parent, Widget) else 0
    if not height:
        return
    tree = len(side.shown_rows) + 1
    rows = len(glance.fitting(glance.room))
    if rows == 0:
        _set(side, height)
    else:
        _set(side, min(tree, height - rows))
        _set(glance, height - min(tree, height - rows))
    glance.display = rows > 0


def go(overview: Overview) -> bool:
    """Put the cursor into the sections of a side bar that is laid out; False where there is no room for any row."""
    glance = overview.query_one(Glance)
    share(overview.query_one(SideBar), glance)
    if not glance.display or not any(not row.fixed for row in glance.fitting(glance.room)):
        return False
    overview.focus_pane("glance")
    return True


def _set(widget: Widget, height: int) -> None:
    wanted = widget.styles.height
    if wanted is None or wanted.value != height or wanted.is_fraction:
        widget.styles.height = height


def sections(picture: Picture, place: str | None, unfolded: dict[str, bool]) -> list[list[Row]]:
    """Facts on the cache root at `place`, CAN GO, RUNS and DISK, each as its rows."""
    outlook = picture.outlook
    disks = outlook.disks if outlook is not None else ()
    prospects = outlook.prospects if outlook is not None else ()
    runs = picture.jobs.jobs if picture.jobs is not None else ()
    by_id = {run.job.id: run for run in picture.runs}
    found = f"{min(_RUNS, len(runs))} of {len(runs)}"
    return [
        [Row(f"fact\0{i}", "fact", text, fixed=True) for i, text in enumerate(facts(picture, place, disks))],
        _section("CAN GO", "frees up to", unfolded, [Row(f"can\0{one.name}", "prospect", one) for one in prospects]),
        _section("RUNS", found, unfolded, [Row(f"run\0{job.id}", "job", ("", "", by_id.get(job.id), job))
                                           for job in runs[:_RUNS]]),
        _section("DISK", "full     free", unfolded, [Row(f"disk\0{one.point}", "disk", one, fixed=True)
                                                     for one in disks]),
    ]  # fmt: skip


def _section(name: str, right: str, unfolded: dict[str, bool], rows: list[Row]) -> list[Row]:
    if not rows:
        return []
    is_open = unfolded.get(name, True)
    return [Row(name, "branch", (name, right, "b:fg", None), 0, is_open), *(rows if is_open else [])]


def facts(picture: Picture, place: str | None, disks: tuple[Disk, ...]) -> list[str]:
    """Path, deciding variable and file system of the cache root at `place`; nothing for none."""
    roots = [(root.path, root.reason) for root in (picture.models.roots if picture.models is not None else ())]
    roots += [(one.path, one.reason) for one in (picture.tree.kernels.caches if picture.tree is not None else ())]
    for path, reason in roots:
        if path == place:
            disk = next((one for one in disks if path in one.paths), None)
            on = "file system unknown" if disk is None else f"{clean(disk.kind, 12)} on {clean(disk.point)}"
            if disk is not None and disk.in_memory:
                on = f"{clean(disk.kind, 12)}: gone after reboot"
            return [names.home(path, str(Path.home())), clean(reason), on]
    return []


def _leaf(row: Row) -> tuple[str, str, str, str, str]:
    """Glyph with its token, name, what stands at the right and its token."""
    if row.kind == "prospect":
        return _prospect(row.subject)
    if row.kind == "job":
        return _job(row.subject[3], row.subject[2])
    disk: Disk = row.subject
    full = "?" if disk.full is None else words.share(disk.full, 1.0)
    name = f"{clean(disk.point)} tmpfs" if disk.in_memory else clean(disk.point)
    right = f"{full}  {'?' if disk.free is None else units.size(disk.free):>7}"
    tight = disk.free is not None and disk.total is not None and disk.free < FULL * disk.total
    return "", "fg", name, right, "err" if tight else "dim"


def _prospect(one: Prospect) -> tuple[str, str, str, str, str]:
    glyph, token, single, several = _WORDS[one.name]
    if one.count is None or one.size is None:
        return glyph, "dim", f"? {several}", "?", "dim"
    if not one.count:
        return glyph, "faint", f"no {several}" if one.name != "unused" else f"none {several}", "–", "dim"
    return glyph, token, f"{one.count:,} {single if one.count == 1 else several}", units.size(one.size), "fg"


def _job(job: Job, run: Run | None) -> tuple[str, str, str, str, str]:
    glyph, token = _STATES.get(job.state, ("·", "dim"))
    name = clean(job.files[0].rpartition("/")[2]) if len(job.files) == 1 else words.count(len(job.files), "file")
    if job.state in ("queued", "running"):
        return glyph, token, name, _so_far(job, run), "live"
    if job.state in ("failed", "lost"):
        why = next((one.message for one in reversed(run.notices) if one.level == "error"), "") if run else ""
        why = (run.reason if run else None) or why or job.status or job.state
        return glyph, token, name, clean(why, 60), "err"
    return glyph, token, name, job.state if job.seconds is None else units.duration(job.seconds), "dim"


def _so_far(job: Job, run: Run | None) -> str:
    """`n of m` pages where the run tells, else what it does."""
    if run is None or job.state != "running":
        return job.state
    done = len(run.pages)
    pages = pages_of(run, done)
    if done and pages:
        return f"{done} of {pages}"
    return next((phase.name for phase in run.phases if phase.open), job.state)
