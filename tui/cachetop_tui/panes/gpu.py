"""The GPU pane: VRAM by process, which models a process holds and on what evidence, and the rest unattributed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.gpu.records import Gpu, Gpus, HeldModel
from cachetop_tui import words
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Bar, Chip, Line, Pen, Row, Trace, sentences, title
from cachetop_tui.paint import width_of
from cachetop_tui.panel.cut import middle
from cachetop_tui.panes import gpu_data as data
from cachetop_tui.panes import names
from cachetop_tui.panes.gpu_compact import compact

_LABEL = 12
_EVIDENCE = {"reported": "reported", "mapped": "mapped now", "command-line": "named on command line"}


@dataclass(slots=True)
class View:
    """What the pane shows besides the sample: the last minute, and which processes are cachetop's own."""

    history: data.History = field(default_factory=data.History)
    own: Collection[int] = ()


def headers(gpus: Gpus | None, width: int, focused: bool) -> list[Line]:
    """The header with the driver, or how long it has not answered."""
    parts = ["asking the driver …", "live"]
    if gpus is not None:
        parts = ["no GPU", "dim"]
        if gpus.available:
            parts = [f"driver {clean(gpus.driver, 20)}" if gpus.driver else "driver ?", "dim", "   every 1 s", "dim"]
        if gpus.waiting is not None:
            parts = [f"no answer for {gpus.waiting:.0f} s", "warn"]
    return [title(width, "3", "GPU VRAM", focused, *parts)]


def lines(gpus: Gpus | None, width: int, height: int, view: View, now: float) -> list[tuple[str, Line]]:
    """All lines below the header as (key, line), with as much detail as `height` lines have room for."""
    if gpus is None:
        return []
    if not gpus.available or not gpus.gpus:
        text = gpus.reason or "The driver reports no GPU."
        return _said(text, width, "fg") + _said("Models and kernels are shown all the same.", width, "dim")
    if height <= 2 * len(gpus.gpus) and height <= 8:
        return compact(gpus, width, height, view.own)
    out: list[tuple[str, Line]] = []
    for detail in (5, 4, 3, 2, 1):
        out = _full(gpus, width, view, now, detail)
        if len(out) <= height:
            break
    return out


def _said(text: str, width: int, word: str) -> list[tuple[str, Line]]:
    out = []
    for i, part in enumerate(sentences(show(text), width - 4)):
        pen = Pen(width)
        pen.put(3, part, word)
        out.append((f"note\0{text}\0{i}", pen.line()))
    return out


def _full(gpus: Gpus, width: int, view: View, now: float, detail: int) -> list[tuple[str, Line]]:
    """Every GPU with `detail` 1 (processes only) to 5 (evidence, two rows of history, air)."""
    out: list[tuple[str, Line]] = []
    if detail == 5:
        out.append(("air", Line()))
    for i, gpu in enumerate(gpus.gpus):
        if i and detail > 1:
            out.append((f"{gpu.index}\0air", Line()))
        out += _device(gpu, width, view, gpus.time, {5: 2, 4: 1, 3: 1}.get(detail, 0))
        out += _processes(gpu, width, view, now, detail)
    return out


def _device(gpu: Gpu, width: int, view: View, now: float, history: int) -> list[tuple[str, Line]]:
    key = str(gpu.index)
    pen = Pen(width)
    sm = clean(gpu.sm, 12) if gpu.sm else ""
    x = pen.put(1, f"GPU {gpu.index}", "b:hi") + 2
    tag = "simulated" if gpu.simulated else ""
    x = pen.put(x, middle(data.short_name(gpu), width - x - len(sm) - len(tag) - 4), "fg")
    pen.put(x + 2, tag, "warn")
    pen.right(width - 1, sm, "b:link")
    out = [(key, pen.line())]
    if data.problem(gpu):
        out += [(f"{key}\0problem{i}", line) for i, (_, line) in enumerate(_said(data.problem(gpu), width, "err"))]
    if gpu.memory is None:
        return out
    listed = data.shares(gpu, view.own)
    pen = Pen(width)
    pen.add(Bar(1, width - 2, *data.parts(gpu, listed, width - 2)))
    out.append((f"{key}\0bar", pen.line()))
    out.append((f"{key}\0numbers", _figures(gpu, width)))
    if history:
        out += _history(gpu, width, view, now, history)
    return out


def _figures(gpu: Gpu, width: int) -> Line:
    pen = Pen(width)
    used, _, rest = data.amount(gpu).partition(" ")
    x = pen.run(1, used, "b:hi", f" {rest}", "fg")
    busy = f"{gpu.utilization} %" if gpu.utilization is not None else units.UNKNOWN
    pieces = ["busy ", "dim", busy, "fg"]
    if gpu.temperature is not None:
        pieces += [f"  {gpu.temperature} °C", "dim"]
    if gpu.power is not None:
        pieces += [f"  {gpu.power:.0f} W", "dim"]
    while len(pieces) > 4 and sum(map(len, pieces[::2])) > width - x - 3:
        pieces = pieces[:-2]
    start = pen.right(width - 1, *pieces)
    if gpu.memory and gpu.memory.total and start - x > 10 and width > 46:
        pen.put(x + 2, words.share(gpu.memory.used, gpu.memory.total), "dim")
    return pen.line()


def _history(gpu: Gpu, width: int, view: View, now: float, rows: int) -> list[tuple[str, Line]]:
    room = width - 2 - _LABEL
    levels, low, high = view.history.levels(gpu, now, room * 2)
    labels = [f"{units.memory(high)}", f"{units.memory(low)}"] if rows == 2 and low != high else ["last 60 s", ""]
    out = []
    for row in range(rows if low != high else 1):
        pen = Pen(width)
        pen.add(Trace(1, room, levels, row, rows if low != high else 1))
        pen.right(width - 1, labels[row], "faint")
        out.append((f"{gpu.index}\0history{row}", pen.line()))
    return out


def _processes(gpu: Gpu, width: int, view: View, now: float, detail: int) -> list[tuple[str, Line]]:
    out: list[tuple[str, Line]] = []
    for share in data.shares(gpu, view.own):
        process = share.process
        key = f"{gpu.index}\0{process.pid}"
        pen = Pen(width)
        pen.add(Chip(1, share.letter, share.token))
        pen.put(5, str(process.pid), "dim")
        start = pen.right(width - 1, units.memory(process.memory), "fg")
        end = min(width - 12, start - 2)
        if process.user:
            end = pen.right(end, middle(clean(process.user), 10), "dim") - 2
        x = max(13, 6 + len(str(process.pid)))
        pen.put(x, middle(data.called(process), end - x), "fg")
        out.append((key, pen.line()))
        if detail > 1:
            for model in process.models:
                out += _held(key, model, width, now, two=detail >= 4)
        if detail > 2:
            note = show(process.note, 120) if process.note else "" if process.inspectable else "not inspectable"
            if note:
                pen = Pen(width)
                pen.run(5, "└", "faint", f" {middle(note, width - 9)}", "faint")
                out.append((f"{key}\0note", pen.line()))
    if gpu.unattributed:
        pen = Pen(width)
        pen.add(Chip(1, "-", "v.other"))
        pen.put(13, middle("driver, unattributed", width - 24), "fg")
        pen.right(width - 1, units.memory(gpu.unattributed), "fg")
        out.append((f"{gpu.index}\0rest", pen.line()))
    return out


def _held(key: str, model: HeldModel, width: int, now: float, two: bool) -> list[tuple[str, Line]]:
    why = _EVIDENCE.get(model.evidence, clean(model.evidence, 30))
    if model.evidence == "seen-loading":
        why = f"seen loading {words.used(model.seen, now)}" + (" ago" if now - model.seen >= 10 else "")
    pen = Pen(width)
    pen.put(5, "└", "faint")
    start = pen.right(width - 1, units.memory(model.bytes), "dim")
    room = start - 8
    organisation, name = names.repo(model.repo, room)
    fits = width_of(name) + 2 + width_of(why) <= room
    if fits:
        organisation, name = names.repo(model.repo, room - width_of(why) - 2)
    x = pen.run(7, organisation, "dim", name, "fg")
    if fits:
        pen.put(x + 2, why, "faint")
    out = [(f"{key}\0{model.repo}", pen.line())]
    if not fits and two:
        pen = Pen(width)
        pen.put(7, middle(why, width - 9), "faint")
        out.append((f"{key}\0{model.repo}\0why", pen.line()))
    return out


class GpuPane(LineView):
    """The GPU pane as a widget."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id="gpus")
        self.clock = clock
        self.gpus: Gpus | None = None
        self.view = View()

    def show(self, gpus: Gpus) -> None:
        """Show a new sample."""
        self.gpus = gpus
        self.view.history.note(gpus)
        self.update_lines()

    def show_own(self, pids: Collection[int]) -> None:
        """Say which processes are cachetop's own workers."""
        if set(pids) != set(self.view.own):
            self.view.own = frozenset(pids)
            self.update_lines()

    def headers(self, width: int) -> list[Line]:
        """See `LineView`."""
        return headers(self.gpus, width, self.has_focus)

    def rows(self, width: int, height: int) -> list[Row]:
        """See `LineView`."""
        made = lines(self.gpus, width, height, self.view, self.clock())
        return [Row(key, "line", line, fixed=key.startswith("note")) for key, line in made]

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        made: Line = row.subject
        return made
