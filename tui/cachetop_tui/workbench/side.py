"""The activity bar at the far left, and the side bar with the tree of the chosen activity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import ClassVar

from textual import events
from textual.message import Message

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.config import SETTINGS
from cachetop.conversion.records import Job
from cachetop.hub.records import Repo
from cachetop.kernelcache.records import Entry
from cachetop.summary import StatusProblem
from cachetop_tui.commands import registry
from cachetop_tui.cut import head, middle
from cachetop_tui.documents.settings import written
from cachetop_tui.finding import EveryOpen, Place, below
from cachetop_tui.lines import LineView
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Line, Pen, Row
from cachetop_tui.paint import Canvas
from cachetop_tui.panes import gpu_data, kernel_tree, models_data, names
from cachetop_tui.workbench.chrome import NAMES, Painted, key_of
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.plan import ACTIVITY_WORDS

ACTIVITIES = ("models", "kernels", "gpus", "conversion", "problems", "settings")
_TITLES = {"models": "models", "kernels": "kernels", "gpus": "gpu", "conversion": "runs", "problems": "problems",
           "settings": "settings"}  # fmt: skip


class ActivityBar(Painted):
    """One letter for each activity under its key; the chosen one is marked, what runs or is wrong is counted."""

    DEFAULT_CSS = "ActivityBar { width: 6; height: 1fr; }"

    class Picked(Message):
        """An activity was clicked."""

        def __init__(self, activity: str) -> None:
            super().__init__()
            self.activity = activity

    def __init__(self) -> None:
        super().__init__(id="activity")
        self._state: tuple[str, int, int] = (ACTIVITIES[0], 0, 0)

    def show(self, activity: str, running: int, problems: int) -> None:
        """Mark `activity`; so many conversions run, so many problems are there."""
        if (activity, running, problems) != self._state:
            self._state = (activity, running, problems)
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it."""
        chosen, running, problems = self._state
        for i, activity in enumerate(ACTIVITIES):
            y, on = 1 + 3 * i, activity == chosen
            canvas.put(1, y, key if len(key := key_of(activity)) == 1 else "", "faint")
            words = canvas.width >= ACTIVITY_WORDS
            canvas.put(3, y, NAMES[activity] if words else NAMES[activity][0], "b:hi" if on else "dim")
            if on:
                canvas.put(0, y, "▎", "accent")
            number = running if activity == "conversion" else problems if activity == "problems" else 0
            if number:
                canvas.right(4, y + 1, f"{min(number, 999)}", "live" if activity == "conversion" else "warn")

    def on_click(self, event: events.Click) -> None:
        """Tell which activity was clicked."""
        index = (event.y - 1) // 3
        if event.y >= 1 and index < len(ACTIVITIES):
            self.post_message(self.Picked(ACTIVITIES[index]))


class SideBar(LineView):
    """The tree of the chosen activity. Enter opens what a row stands for, as in the panes."""

    BACKGROUND: ClassVar[str] = "side"
    LETTERS_FIND: ClassVar[bool] = True
    DEFAULT_CSS = "SideBar { background: $surface; }"

    class Moved(Message):
        """The cursor went into another cache, or there are more or fewer rows."""

    class Left(Message):
        """The cursor wants to go below the last row."""

    def __init__(self, picture: Picture) -> None:
        super().__init__(id="side")
        self._picture = picture
        self._laid: tuple[int, str | None] = (0, None)
        self.activity = ACTIVITIES[0]

    @property
    def place(self) -> str | None:
        """The cache root in which the row under the cursor lies; None where the tree is not about a cache."""
        row, models, tree = self.cursor, self._picture.models, self._picture.tree
        if self.activity == "models" and models is not None and models.roots:
            return row.subject[3].root if row is not None and row.kind == "repo" else models.roots[0].path
        if self.activity == "kernels" and tree is not None and row is not None:
            name = row.subject[3].cache if row.kind == "entry" else None
            for one in tree.caches:
                if one.cache.id == name or row.key in (one.key, *(group.key for group in one.groups)):
                    return one.cache.path
        return None

    def _draw(self, top: Sequence[Line] | None = None, quiet: bool = False) -> None:
        super()._draw(top, quiet)
        laid = (len(self.shown_rows), self.place)
        if laid != self._laid and not quiet:
            self._laid = laid
            self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """One row up or down; below the last one is what could go."""
        before = self.cursor
        super().action_move(by)
        if by > 0 and before is not None and self.cursor is not None and before.key == self.cursor.key:
            self.post_message(self.Left())

    def choose(self, activity: str) -> None:
        """Show the tree of `activity`."""
        if activity in _TITLES and activity != self.activity:
            self.activity = activity
            self.touched = self.placed = False
            self.update_lines()

    def headers(self, width: int) -> list[Line]:
        """The title."""
        pen = Pen(width)
        if self.has_focus:
            pen.put(0, "▎", "accent")
        pen.put(2, _TITLES[self.activity].upper(), "b:fg" if self.has_focus else "dim")
        pen.right(width - 1, registry.named("view.side").key, "b:fg", " hides", "dim")
        return [pen.line()]

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """See `tree`."""
        return tree(self.activity, self._picture, self.unfolded)

    def folded(self) -> Iterator[Place]:
        """See `LineView`."""
        return below(tree(self.activity, self._picture, EveryOpen()), self.label)

    def line(self, row: Row, width: int) -> Line:
        """Name, and at the right a size or a count."""
        name, right, token, _ = row.subject
        pen = Pen(width)
        if row.open is not None:
            pen.put(1 + 2 * row.depth, "▾" if row.open else "▸", "dim")
        x = 3 + 2 * row.depth
        right = head(right, max(8, width // 2))  # a setting may be long
        start = pen.right(width - 1, right, "dim") if right else width
        if row.kind == "repo":
            organisation, name = names.repo(name, start - x - 1)
            pen.run(x, organisation, "dim", name, token)
        else:
            pen.put(x, middle(name, start - x - 1), token)
        return pen.line()


def tree(activity: str, picture: Picture, unfolded: Mapping[str, bool]) -> Sequence[Row]:
    """The rows of an activity: (name, right, style word, what it stands for) each, to any depth."""
    made = Listing()

    def branch(key: str, name: str, right: str, opened: bool, depth: int = 0, token: str = "b:fg") -> bool:
        is_open = unfolded.get(key, opened)
        made.add(Row(key, "branch", (name, right, token, None), depth, is_open))
        return is_open

    def leaf(key: str, kind: str, name: str, right: str, token: str, target: object, depth: int = 1) -> None:
        made.add(Row(key, kind, (name, right, token, target), depth))

    if activity == "models" and picture.models is not None:
        for kind, size, repos in picture.totals.summary(picture.models).kinds:
            if branch(f"type\0{kind}", f"{clean(kind, 10)}s", units.size(size), True):
                made.run(repos, _repo, models_data.key_of)
    elif activity == "kernels" and picture.tree is not None:
        for cache in picture.tree.caches:
            if not cache.groups:
                continue
            if branch(cache.key, clean(cache.cache.id, 24), units.size(cache.cache.size_on_disk), True):
                for group in cache.groups:
                    right = f"▲ {group.stale:,}" if group.stale else f"{len(group.entries):,}"
                    name = clean(group.sm, 20)
                    if branch(group.key, name, right, False, 1, "warn" if group.stale else "link"):
                        made.run(group.entries, _entry, kernel_tree.key_of)
    elif activity == "gpus" and picture.gpus is not None:
        for gpu in picture.gpus.gpus:
            used = units.memory(gpu.in_use)
            place, name = gpu_data.place(gpu), gpu_data.short_name(gpu)
            name = name.rpartition(" MIG ")[2] if gpu.mig else name
            if branch(f"gpu\0{place}", f"{gpu.label} {name}", used, True):
                for process in sorted(gpu.processes, key=lambda p: (-(p.memory or 0), p.pid)):
                    name = f"{process.pid} {clean(process.command or '?', 60)}"
                    leaf(f"{place}\0{process.pid}", "process", name, units.memory(process.memory), "fg",
                         (gpu, process))  # fmt: skip
    elif activity == "conversion" and picture.jobs is not None:
        made.run(picture.jobs.jobs, _job, attrgetter("id"))
    elif activity == "problems":
        for rule in dict.fromkeys(problem.rule for problem in picture.problems):
            found = [problem for problem in picture.problems if problem.rule == rule]
            if branch(f"rule\0{rule}", clean(rule, 24), f"{len(found):,}", True, token="warn"):
                made.run([*enumerate(found)], _problem, _number, f"{rule}\0")
    elif activity == "settings" and picture.told is not None:
        for section, known in SETTINGS.items():
            if branch(f"section\0{section}", f"[{section}]", str(len(known)), True):
                for key, setting in known.items():
                    text = written(setting, picture.told.written(section, key))
                    token = "b:fg" if picture.told.names(section, key) else "fg"
                    leaf(f"{section}\0{key}", "setting", key, text, token, (section, key))
    if not made:
        made.add(Row("none", "note", ("nothing here yet", "", "dim", None), 0, fixed=True))
    return made


def _repo(repo: Repo) -> Row:
    size = units.size(models_data.on_disk(repo))
    return Row(models_data.key_of(repo), "repo", (clean(repo.id), size, "fg", repo), 1)


def _entry(entry: Entry) -> Row:
    name, token = clean(entry.name or entry.key, 200), "warn" if entry.stale else "fg"
    return Row(kernel_tree.key_of(entry), "entry", (name, units.size(entry.size_on_disk), token, entry), 2)


def _job(job: Job) -> Row:
    name = clean(job.files[0].rpartition("/")[2]) if job.files else job.id
    token = {"running": "live", "queued": "live", "failed": "err", "lost": "err"}.get(job.state, "fg")
    return Row(job.id, "job", (name, job.state, token, job), 0)


def _problem(one: tuple[int, StatusProblem]) -> Row:
    number, problem = one
    return Row(f"{problem.rule}\0{number}", "problem", (clean(problem.subject, 200), "", "fg", problem), 1)


def _number(one: tuple[int, StatusProblem]) -> str:
    return str(one[0])
