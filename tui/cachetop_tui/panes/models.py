"""The models pane: repo, revision, file, with what is on disk, in RAM and in VRAM."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpus
from cachetop.hub.choose import preset_of
from cachetop.hub.facts import refs_of
from cachetop.hub.rates import Rates
from cachetop.hub.records import Beside, File, Models, Partial, Repo
from cachetop_tui import words
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import head, inner_path, path_name
from cachetop_tui.finding import Place
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row, Thin, title
from cachetop_tui.paint import width_of
from cachetop_tui.panes import model_files, names
from cachetop_tui.panes import models_data as data
from cachetop_tui.panes.model_rows import View, choose_repos, folded, order, rows
from cachetop_tui.panes.order import settle

__all__ = ["ModelsPane", "View", "headers", "line", "rows"]


class _Columns:
    """Where the columns end, placed from the right edge."""

    def __init__(self, width: int) -> None:
        self.narrow = width < 62
        self.used = width - 1
        self.vram = self.used - 8
        self.ram = self.used - 7 if self.narrow else self.vram - 8
        self.disk = self.ram - (7 if self.narrow else 13)
        self.name = self.disk - 9
        """Names end before this column."""


def headers(models: Models | None, width: int, height: int, view: View, focused: bool) -> list[Line]:
    """The header with the totals, and the names of the columns where there is room for them."""
    parts = ["scanning …", "live"]
    if models is not None:
        summary = view.totals.summary(models)
        size, warm = summary.size, summary.warm
        shown = f"{len(choose_repos(models, view).repos):,} of " if view.filter else ""
        parts = [
            f"{shown}{words.count(len(models.repos), 'repo')}",
            "dim",
            f"   {units.size(size)} on disk",
            "dim",
        ]
        if models.scanning:
            parts += ["   scanning …", "live"]
        if warm is not None:
            parts += [f"   {units.size(warm)} of it in RAM", "dim"]
    if view.filter:
        preset = preset_of(view.filter)
        asked = f"preset: {preset}" if preset else f"filter: {clean(view.filter, 40)}"
        parts = [asked, "warn", "   ", "dim", *parts]
    if height <= 4:
        return [title(width, named("models.focus").key, "MODELS", focused, *parts)]
    pen = Pen(width)
    at = _Columns(width)
    pen.put(3, "REPO", "faint")
    pen.right(at.disk, "ON DISK", "faint")
    pen.right(at.ram, "IN RAM", "faint")
    if not at.narrow:
        pen.right(at.vram, "VRAM", "faint")
    pen.right(at.used, "USED", "faint")
    return [title(width, named("models.focus").key, "MODELS", focused, *parts), pen.line()]


def line(row: Row, width: int, view: View, now: float) -> Line:
    """How one row looks."""
    pen = Pen(width)
    at = _Columns(width)
    if row.kind == "note":
        pen.put(3, row.subject[0], row.subject[1])
    elif row.kind == "repo":
        _repo(pen, at, row, view, now)
    elif row.kind == "revision":
        _revision(pen, at, row, view)
    elif row.kind == "beside":
        _beside(pen, at, row.subject)
    elif row.kind == "folder":
        _folder(pen, at, row)
    elif row.kind == "file":
        file: File = row.subject
        x = 3 + 2 * row.depth
        name = file.name if row.depth == 2 else file.name.rpartition("/")[2]
        pen.put(x, inner_path(name, at.name - x - 1), "dim")
        _numbers(pen, at, file.size, file.resident)
    else:
        _partial(pen, at, row.subject[0], row.subject[1], view.rates, now)
    return pen.line()


def _beside(pen: Pen, at: _Columns, row: Beside) -> None:
    """Another place with models: whose it is, where, how large, and what is wrong with it where there is room."""
    end = pen.run(3, "·", "faint") + 1
    end = pen.put(end, clean(row.kind, 20), "dim") + 2
    path = names.home(row.path, str(Path.home()))
    end = pen.put(end, path_name(path, at.name - end - 1), "faint") + 2
    if row.problem and at.name - end > 12:
        pen.put(end, head(clean(row.problem), at.name - end - 1), "warn")
    pen.right(at.disk, units.size(row.size), "dim")


def _repo(pen: Pen, at: _Columns, row: Row, view: View, now: float) -> None:
    repo: Repo = row.subject
    state = data.repo_state(repo)
    if row.open is not None:
        pen.put(1, "▾" if row.open else "▸", "dim")
    pen.put(3, state.glyph, state.token)
    tag = f" {clean(repo.type, 10)}" if repo.type != "model" else ""
    organisation, name = names.repo(repo.id, at.name - 6 - width_of(tag))
    end = pen.run(5, organisation, "dim", name, "fg", tag, "p.export")
    if state.word and end + 2 + width_of(state.word) < at.name:
        end = pen.put(end + 2, state.word, state.token)
    if repo.root in view.others and at.name - end > 12:
        pen.put(end + 2, path_name(names.home(repo.root, str(Path.home())), at.name - end - 4), "faint")
    warm, whole = view.totals.part(repo) or (None, 0)
    _numbers(pen, at, data.on_disk(repo), warm, whole)
    gpus = view.held.get(repo.id)
    if gpus and not at.narrow:
        pen.right(at.vram, f"GPU {gpus[0]}" if len(gpus) == 1 else f"{len(gpus)} GPUs", "v.b")
    used = "now" if repo.downloading else words.used(repo.last_used, now)
    pen.right(at.used, used, "fg" if used == "now" else "dim")


def _folder(pen: Pen, at: _Columns, row: Row) -> None:
    folder: model_files.Folder = row.subject
    x = 1 + 2 * row.depth
    pen.put(x, "▾" if row.open else "▸", "dim")
    count = words.count(folder.count, "file")
    end = pen.put(x + 2, path_name(clean(folder.name), at.name - x - 3), "fg")
    if end + 2 + len(count) < at.name:
        pen.put(end + 2, count, "dim")
    _numbers(pen, at, folder.size, folder.warm)


def _revision(pen: Pen, at: _Columns, row: Row, view: View) -> None:
    repo, revision = row.subject
    state = data.revision_state(revision)
    pen.put(3, "▾" if row.open else "▸", "dim")
    commit = clean(revision.commit, 64)
    commit = commit[:7] if len(commit) == 40 else commit
    refs = refs_of(revision.refs)
    room = at.name - 6 - width_of(commit) - 2
    end = pen.put(5, head(refs, room), "fg") + 2 if refs and room > 3 else 5
    end = pen.put(end, head(commit, at.name - end - 1), "dim")
    if state.word and end + 2 + width_of(state.word) < at.name:
        pen.put(end + 2, state.word, state.token)
    _numbers(pen, at, revision.size, model_files.warm(view.files, data.key_of(repo), revision))


def _numbers(pen: Pen, at: _Columns, size: int, warm: int | None, whole: int | None = None) -> None:
    """Bytes, and how much of them is in RAM: of `whole`, where something of `size` (a download) is not counted."""
    pen.right(at.disk, units.size(size), "fg")
    whole = size if whole is None else whole
    if warm is None:
        pen.right(at.ram, units.UNKNOWN, "faint")
    elif whole <= 0 or warm / whole < 0.005:
        pen.right(at.ram, "–", "faint")
    else:
        part = min(1.0, warm / whole)
        if not at.narrow:
            pen.add(Thin(at.ram - 12, 6, part * 6, "p.disk"))
        pen.right(at.ram, words.share(min(warm, whole), whole), "fg" if part > 0.5 else "dim")


def _partial(pen: Pen, at: _Columns, repo: Repo, partial: Partial, rates: Rates, now: float) -> None:
    token = "live" if partial.live else "warn"
    who = f"pid {partial.pid}" if partial.pid else "nobody holds it" if partial.live is False else ""
    end = pen.right(at.used, who, "dim") if who else at.used
    x, said = 5, [units.size(partial.bytes)]
    drops = []
    if partial.expected:
        bar = 12 if at.used > 65 else 8
        pen.add(Thin(5, bar, min(1.0, partial.bytes / partial.expected) * bar, token))
        x = 6 + bar
        percent = words.share(min(partial.bytes, partial.expected), partial.expected)
        said = [percent, f"{units.size(partial.bytes)} of {units.size(partial.expected)}"]
        drops = [percent]
    rate = rates.rate(repo, partial, now)
    if rate is not None:
        speed = f"{units.size(rate)}/s"
        said.append(speed)
        drops.append(speed)  # after the percent, which the bar shows, too
        left = rates.left(repo, partial, now)
        if left is not None:
            said.append(f"{_left(left)} left")
    for drop in drops:
        if x + sum(map(len, said)) + 2 * len(said) > end:
            said.remove(drop)
    pen.put(x, head("  ".join(said), end - x - 1), token)


def _left(seconds: float) -> str:
    """Time left in steps that do not tick: `40 s`, `7 min`, `2 h`."""
    if seconds < 60:
        return f"{max(0, seconds) // 10 * 10 + 10:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


class ModelsPane(LineView):
    """The models pane as a widget."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id="models")
        self.clock = clock
        self.models: Models | None = None
        self.view = View(self.unfolded)

    def show(self, models: Models, totals: data.Totals | None = None) -> None:
        """Show a new snapshot; `totals` know it already."""
        self.models = models
        self.view.totals = totals or self.view.totals
        self.view.now = self.clock()
        self.view.others = frozenset(root.path for root in models.roots[1:])
        self.view.rates.note(models, self.view.now)
        self._arrange()
        self.update_lines(arrived=True)

    def show_gpus(self, gpus: Gpus) -> None:
        """Show which repos are held in VRAM."""
        held = data.holders(gpus)
        if held != self.view.held:
            self.view.held = held
            self._arrange()
            self.update_lines()

    def set_filter(self, text: str) -> None:
        """Show only repos that `text` asks for, as `choose.search` reads it; all of them for an empty text."""
        chosen = self.view.chosen
        was_wrong = chosen is not None and chosen.wrong
        self.view.filter = text
        self.sort()
        if self.view.chosen is not None and self.view.chosen.wrong:
            self._scroll(-len(self.shown_rows))  # to the sentence on it, wherever the cursor is
        elif was_wrong and self.cursor is not None:
            self.go_to(self.cursor.key)

    def _arrange(self) -> None:
        """Sort, but never under a cursor that somebody moved."""
        if self.models is not None:
            fresh = order(self.models, self.view)
            self.view.order = settle(self.view.order, fresh) if self.touched else fresh

    def sort(self) -> None:
        """Sort again, wherever the cursor is."""
        self.view.order = ()
        self._arrange()
        self.update_lines()

    def on_blur(self) -> None:
        """Sorting may happen again."""
        self.touched = False
        self._arrange()

    def headers(self, width: int) -> list[Line]:
        """See `LineView`."""
        return headers(self.models, width, self.size.height, self.view, self.has_focus)

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """See `LineView`."""
        return rows(self.models, width, self.view)

    def folded(self) -> Iterator[Place]:
        """See `LineView`."""
        return iter(()) if self.models is None else folded(self.models, self.view)

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        return line(row, width, self.view, self.clock())
