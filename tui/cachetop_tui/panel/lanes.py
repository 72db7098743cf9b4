"""A run as lanes on one time axis: pure functions from `Figures` to a canvas.

One row for each phase: name, amount, lane, what it means. A lane shows when the phase really worked, so phases
that overlap in time overlap here too. Blue is disk to RAM, teal RAM to VRAM, grey the rest of the loading; the
grey track to the right of now is the estimate. Below the pages stand their stages, one dash for each page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachetop.base.units import duration, memory
from cachetop.conversion.records import Load, Run
from cachetop_tui.cut import head
from cachetop_tui.paint import Canvas, Part, width_of
from cachetop_tui.panel import result, words
from cachetop_tui.panel.axis import Axis, length_for, whole
from cachetop_tui.panel.figures import Figures, StageFigures
from cachetop_tui.panel.stages import draw_stage
from cachetop_tui.panel.words import Note
from cachetop_tui.words import count as counted

LABELS = {
    "import": "import",
    "load": "A load",
    "compile": "B compile",
    "convert": "C pages",
    "export": "export",
}
TOKENS = {"import": "p.import", "load": "v.other", "compile": "p.compile", "convert": "p.pages", "export": "p.export"}
NOTES = {
    "import": words.imports,
    "load": words.load,
    "compile": words.compiled,
    "convert": words.pages,
    "export": words.export,
}
_SLIVER = 0.25
"""The least width of a part in cells: what happened is seen, however short it was."""


@dataclass(frozen=True)
class Plan:
    """Which rows there is room for, besides the phases up to the pages, which are always there."""

    header: bool
    axis: bool
    export: bool
    stages: tuple[StageFigures, ...]
    vram_rows: int
    marks: bool
    tail: int


def plan(figures: Figures, height: int) -> Plan:
    """Divide `height` rows: first how it ended and VRAM, then header, axis, export, stages, marks."""
    left = height - 4
    tail_lines = len(result.tail(figures, 200))
    has_vram = bool(figures.run.vram)

    def take(wanted: bool) -> int:
        nonlocal left
        taken = int(wanted and left > 0)
        left -= taken
        return taken

    tail = take(tail_lines > 0)
    vram_rows = take(has_vram)
    roomy = height >= 8
    header = take(roomy)
    axis = take(roomy)
    exports = take(height >= 7)
    count = min(len(figures.stages), 3, max(0, left))
    left -= count
    tail += take(tail_lines > 1)
    vram_rows += take(has_vram and roomy)
    marks = take(has_vram)
    count += min(len(figures.stages) - count, max(0, left))
    kept = sorted(figures.stages, key=lambda stage: -stage.busy)[:count]
    return Plan(
        header=bool(header),
        axis=bool(axis),
        export=bool(exports),
        stages=tuple(stage for stage in figures.stages if stage in kept),
        vram_rows=vram_rows,
        marks=bool(marks),
        tail=tail,
    )


def draw(canvas: Canvas, top: int, figures: Figures, before: Run | None = None) -> None:
    """Draw a run from row `top` to the bottom of the canvas; `before` is the earlier run to compare with."""
    rows = plan(figures, canvas.height - top)
    note_width = 37 if canvas.width >= 112 else 34 if canvas.width >= 96 else 26 if canvas.width >= 76 else 0
    start = 28 if (figures.total or figures.done) >= 1000 else 24
    end = canvas.width - note_width - 2
    if end - start < 10:
        end = canvas.width - 1
        note_width = 0
    until = max(figures.now, figures.finish or 0.0) - figures.begin
    axis = Axis(figures.begin, length_for(until, figures.live), end - start)
    painter = _Painter(canvas, figures, axis, start, end, note_width)
    y = top
    if rows.header:
        result.header(canvas, y, figures, before)
        y += 1
    if rows.axis:
        painter.scale(y)
        y += 1
    for name in ("import", "load", "compile", "convert"):
        painter.phase(y, name)
        y += 1
    for stage in rows.stages:
        painter.stage(y, stage)
        y += 1
    if rows.export:
        painter.phase(y, "export")
        y += 1
    if rows.vram_rows:
        painter.vram(y, rows.vram_rows, rows.marks)
        y += rows.vram_rows + rows.marks
    if rows.tail and y + rows.tail < canvas.height:
        y += 1
    for line in result.tail(figures, canvas.width - 4)[: rows.tail]:
        canvas.run(2, y, *line)
        y += 1


class _Painter:
    """One drawing: the canvas and the columns that every row shares."""

    def __init__(self, canvas: Canvas, figures: Figures, axis: Axis, start: int, end: int, note_width: int) -> None:
        self.canvas, self.figures, self.axis = canvas, figures, axis
        self.start, self.end, self.note_width = start, end, note_width

    def scale(self, y: int) -> None:
        """The row of labels above the lanes, with the mark of the present."""
        canvas = self.canvas
        canvas.put(2, y, "PHASE", "faint")
        now = self.axis.cell(self.figures.now) if self.figures.live else -99
        mark = "v now" if canvas.palette.ascii_only else "▼ now"
        at = min(now, self.axis.width - len(mark))
        for cell, text in self.axis.labels():
            if not (at - 1 <= cell + len(text) and cell <= at + len(mark)):
                canvas.put(self.start + cell, y, text, "faint")
        if self.figures.live:
            canvas.put(self.start + at, y, mark, "live")
        if self.note_width:
            canvas.put(self.end + 2, y, "WHAT IT MEANS", "faint")

    def phase(self, y: int, name: str) -> None:
        """The row of one phase."""
        figures = self.figures
        amount, word = amounts(figures, name)
        parts = lane(figures, name)
        label_word = "dim" if figures.phase(name) is None else "fg"
        self._row(y, 2, LABELS[name], label_word, amount, word, NOTES[name](figures))
        drawn = self._cells(parts)
        ahead = None
        if name == "convert" and figures.finish is not None and figures.running(name):
            ahead = (self.axis.at(figures.now), self.axis.at(figures.finish))
            drawn = [*drawn, (*ahead, "track")] if ahead[1] > ahead[0] else drawn
        self.canvas.pieces(self.start, y, self.axis.width, drawn, None)
        if ahead:
            self._track(y, *ahead)
        self._now_line(y, drawn)
        if name == "convert":
            self._inside(y, drawn, ahead)

    def _track(self, y: int, start: float, end: float) -> None:
        """The estimate where a track has no colour of its own."""
        palette = self.canvas.palette
        if palette.flat or palette.ascii_only:
            for cell in range(round(start), min(self.axis.width, int(end) + 1)):
                self.canvas.put(
                    self.start + cell, y, "." if palette.ascii_only else "░", "faint@" + self.canvas.background
                )

    def _inside(self, y: int, drawn: Sequence[Part], ahead: tuple[float, float] | None) -> None:
        """Write into the pages' lane how long it has taken and how long it will."""
        figures, canvas = self.figures, self.canvas
        taken = figures.seconds("convert")
        if canvas.palette.ascii_only or taken is None or not drawn:
            return
        own = next((part for part in drawn if part[2] == "p.pages"), None)
        text = duration(taken) if figures.running("convert") else counted(figures.done, "page")
        if own and figures.done and own[1] - own[0] >= len(text) + 2:
            canvas.right(self.start + int(own[1]) - 1, y, text, "ink@p.pages")
        if ahead and figures.left is not None:
            text = f"≈ {whole(figures.left)} left"
            if ahead[1] - ahead[0] >= len(text) + 2:
                canvas.right(self.start + int(ahead[1]) - 1, y, text, "dim@track")

    def stage(self, y: int, stage: StageFigures) -> None:
        """The thin lane of one stage, one dash for each page."""
        figures = self.figures
        paged = stage.items[0].page is not None  # what enriches counts calls, not pages
        amount = f"{stage.done:,} of {figures.total:,}" if figures.total and paged else f"{stage.done:,}"
        self._row(y, 4, words.stage_name(stage.name), "dim", amount, "dim", words.stage(figures, stage))
        draw_stage(self.canvas, self.start, y, self.axis, stage.items)
        self._now_line(y, [(0.0, self.axis.at(figures.now), "")])

    def vram(self, y: int, rows: int, marks: bool) -> None:
        """VRAM as an area on the same axis, and what drove it up."""
        figures, canvas = self.figures, self.canvas
        gpu = busiest(figures.run)
        samples = [(moment, used) for moment, index, used in figures.run.vram if index == gpu]
        top = max(used for _, used in samples)
        canvas.put(2, y, f"VRAM GPU {gpu}" if rows > 1 else "VRAM", "fg")
        canvas.right(self.start - 2, y + rows - 1, memory(samples[-1][1]), "fg")
        values = columns(samples, self.axis, figures.now)
        canvas.area(self.start, y, rows, values, top if rows > 1 else top * 8 / 6, "p.vram")
        if self.note_width:
            canvas.put(self.end + 2, y, words.vram(figures, gpu).fit(self.note_width), "dim")
        if marks:
            free = 0
            for moment, text in vram_marks(figures, samples, top):
                cell = self.axis.cell(moment)
                if cell >= free and cell + len(text) <= self.axis.width:
                    free = canvas.put(self.start + cell, y + rows, text, "dim") - self.start + 1

    def _row(self, y: int, indent: int, label: str, word: str, amount: str, amount_word: str, note: Note) -> None:
        room = self.start - 3 - indent - width_of(amount)
        self.canvas.put(indent, y, head(label, max(3, room)), word)
        self.canvas.right(self.start - 2, y, amount, amount_word)
        if self.note_width:
            self.canvas.put(self.end + 2, y, note.fit(self.note_width), note.word)

    def _cells(self, spans: Sequence[tuple[float, float, str]]) -> list[Part]:
        parts = []
        for start, end, token in spans:
            low, high = self.axis.at(start), self.axis.at(end)
            low = min(low, self.axis.width - _SLIVER)
            parts.append((low, max(high, low + _SLIVER), token))
        return flat(parts)

    def _now_line(self, y: int, drawn: Sequence[Part]) -> None:
        """The thin line of the present, where the row has nothing there."""
        cell = self.axis.cell(self.figures.now)
        if self.figures.live and not any(a < cell + 1 and b > cell for a, b, _ in drawn):
            self.canvas.put(self.start + cell, y, "│", "live")


def amounts(figures: Figures, name: str) -> tuple[str, str]:
    """What stands beside a phase's name, and its style word: seconds and how it ended, or `n of m` meanwhile."""
    taken = figures.seconds(name)
    if taken is None:
        return "–", "faint"
    if figures.broken(name):
        return f"{duration(taken)} ✗", "err" if figures.run.job.state != "cancelled" else "dim"
    if not figures.running(name):
        return f"{duration(taken)} ✓", "fg"
    if name == "convert":
        return (f"{figures.done:,} of {figures.total:,}" if figures.total else f"{figures.done:,} of ?"), "b:hi"
    said = figures.run.progress.get(name)
    if said and said[1]:
        return f"{said[0]:,} of {said[1]:,}", "b:hi"
    return duration(taken), "b:hi"


def lane(figures: Figures, name: str) -> list[tuple[float, float, str]]:
    """The stretches of a phase as (from, to, token) in epoch seconds, later ones over earlier ones."""
    phase = figures.phase(name)
    spans = [(a, b if b is not None else figures.now, TOKENS[name]) for a, b in phase.spans] if phase else []
    if name == "load":
        for load in figures.run.loads:
            spans += _load(load, figures.now)
    return spans


def _load(load: Load, now: float) -> list[tuple[float, float, str]]:
    """One model: disk to RAM, then RAM to VRAM, as far as the run told them apart."""
    end = load.started + load.seconds if load.seconds is not None else now
    if load.read_seconds is None:
        return [(load.started, end, "p.disk")] if load.moved_seconds is None else [(load.started, end, "p.vram")]
    read = min(end, load.started + load.read_seconds)
    if load.moved_seconds is None:
        return [(load.started, read, "p.disk")]
    return [(load.started, read, "p.disk"), (read, min(end, read + load.moved_seconds), "p.vram")]


def flat(parts: Sequence[Part]) -> list[Part]:
    """Parts in painting order as sorted parts that do not overlap: the later one wins."""
    out: list[Part] = []
    for start, end, token in parts:
        kept: list[Part] = []
        for a, b, other in out:
            if a < start:
                kept.append((a, min(b, start), other))
            if b > end:
                kept.append((max(a, end), b, other))
        out = [*kept, (start, end, token)]
    return sorted(part for part in out if part[1] - part[0] > 1e-9)


def busiest(run: Run) -> int:
    """The GPU whose VRAM rose most during the run."""
    first: dict[int, int] = {}
    most: dict[int, int] = {}
    for _, gpu, used in run.vram:
        first.setdefault(gpu, used)
        most[gpu] = max(most.get(gpu, 0), used)
    return max(most, key=lambda gpu: (most[gpu] - first[gpu], -gpu))


def columns(samples: Sequence[tuple[float, int]], axis: Axis, now: float) -> list[float]:
    """What was held at each cell of the axis, 0 before the first sample and after now."""
    out = [0.0] * axis.width
    last = axis.cell(now)
    at = 0
    held = 0
    for cell in range(last + 1):
        until = axis.begin + (cell + 1) / axis.width * axis.length
        while at < len(samples) and samples[at][0] <= until:
            held = samples[at][1]
            at += 1
        out[cell] = float(held)
    return out


def vram_marks(figures: Figures, samples: Sequence[tuple[float, int]], top: int) -> list[tuple[float, str]]:
    """What stands under the VRAM row: when the models were in, and when it last rose."""
    marks = []
    loaded = [load.started + load.seconds for load in figures.run.loads if load.seconds is not None]
    if loaded:
        marks.append((min(load.started for load in figures.run.loads), "▲ models"))
    since = next(moment for moment, used in samples if used == top)
    done = sum(1 for page in figures.run.pages if page[1] <= since)
    if done:
        marks.append((since, f"▲ page {done:,}"))
    return marks
