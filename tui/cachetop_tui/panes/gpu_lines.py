"""The lines of one GPU in the pane: device, memory, history with marks, processes and what they hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop_tui import words
from cachetop_tui.cut import middle
from cachetop_tui.marks import Bar, Chip, Line, Pen, Trace, sentences
from cachetop_tui.paint import width_of
from cachetop_tui.panes import gpu_data as data
from cachetop_tui.panes import gpu_marks as marks
from cachetop_tui.panes import names

if TYPE_CHECKING:
    from cachetop.gpu.records import Gpu, HeldModel, Process

Keyed = tuple[str, Line]
PCIE = "\0pcie"
"""Ends the key of the line with the throughput of the bus."""
_LABEL = 12
_EVIDENCE = {"reported": "reported", "command-line": "named on command line"}
_STALE = 10.0


@dataclass(slots=True)
class View:
    """What the pane shows besides the sample: the last minute with its marks, and cachetop's own processes."""

    history: data.History = field(default_factory=data.History)
    marks: marks.Marks = field(default_factory=marks.Marks)
    own: Collection[int] = ()
    lite: bool = False
    """Whether the line is slow: one row of history, not two."""


def said(text: str, width: int, word: str) -> list[Keyed]:
    """A sentence over as many lines as it takes."""
    out = []
    for i, part in enumerate(sentences(show(text), width - 4)):
        pen = Pen(width)
        pen.put(3, part, word)
        out.append((f"note\0{text}\0{i}", pen.line()))
    return out


def device(gpu: Gpu, slices: Sequence[Gpu], width: int, view: View, now: float, detail: int) -> list[Keyed]:
    """A GPU without its processes; `slices` are its MIG instances, `now` the moment of the sample."""
    key = data.place(gpu)
    pen = Pen(width)
    sm = clean(gpu.sm, 12) if gpu.sm else ""
    x = pen.put(1, gpu.label, "b:hi") + 2
    tag = "simulated" if gpu.simulated else ""
    if gpu.instances is not None:
        tag = words.count(gpu.instances, "MIG instance")
    x = pen.put(x, middle(data.short_name(gpu), width - x - len(sm) - len(tag) - 4), "fg")
    pen.put(x + 2, tag, "warn" if gpu.simulated else "dim")
    pen.right(width - 1, sm, "b:link")
    out = [(key, pen.line())]
    if data.problem(gpu):
        out += [(f"{key}\0problem{i}", line) for i, (_, line) in enumerate(said(data.problem(gpu), width, "err"))]
    if gpu.xids:
        out += _errors(gpu, width, detail)
    if gpu.memory is None and not gpu.shared:
        return out
    pen = Pen(width)
    pen.add(Bar(1, width - 2, *data.parts(gpu, data.shares(gpu, view.own), width - 2, slices)))
    out.append((f"{key}\0bar", pen.line()))
    out.append((f"{key}\0numbers", _figures(gpu, width, detail)))
    if detail >= 4:
        out.append((f"{key}\0memory", _memory(gpu, width)))
    if detail >= 6 and gpu.mig is None and not gpu.simulated and not gpu.problem:
        out.append((f"{key}{PCIE}", _bus(gpu, width)))
    if detail >= 3 and gpu.in_use is not None:
        out += _history(gpu, width, view, now, detail)
    return out


def _figures(gpu: Gpu, width: int, detail: int) -> Line:
    pen = Pen(width)
    used, _, rest = data.amount(gpu).partition(" ")
    x = pen.run(1, used, "b:hi", f" {rest}", "fg")
    pieces = []
    if gpu.mig is None:
        pieces += ["busy ", "dim", f"{gpu.utilization} %" if gpu.utilization is not None else units.UNKNOWN, "fg"]
    if gpu.throttle and detail < 4:
        pieces += [f"  {gpu.throttle[0]}", "warn"]
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


def _memory(gpu: Gpu, width: int) -> Line:
    """Free, peak and reserved, and at the right why the clocks are held down."""
    pen = Pen(width)
    memory = gpu.memory
    if memory is None:
        free = units.memory(gpu.shared.free if gpu.shared else None)
        peak = f"  peak {units.memory(gpu.peak)}" if gpu.peak is not None else ""
        text = f"shares the system's RAM, {free} available{peak}"
        pen.put(1, middle(text, width - 2), "dim")
        return pen.line()
    pieces = [f"free {units.memory(memory.free)}"]
    if gpu.peak is not None:
        pieces.append(f"peak {units.memory(gpu.peak)}")
    if memory.reserved is not None:
        pieces.append(f"reserved {units.memory(memory.reserved)}")
    held = ", ".join(gpu.throttle or ())
    if held and width_of("  ".join(pieces)) + len(held) + 15 <= width:
        held = f"held down: {held}"
    room = width - 2 - (min(len(held), width // 3) + 2 if held else 0)
    while len(pieces) > 1 and width_of("  ".join(pieces)) > room:
        pieces.pop()
    x = pen.put(1, "  ".join(pieces), "dim")
    if held:
        pen.right(width - 1, middle(held, width - x - 3), "warn")
    return pen.line()


def _bus(gpu: Gpu, width: int) -> Line:
    """What goes over PCIe, or why that is not known."""
    pen = Pen(width)
    x = pen.put(1, "PCIe ", "dim")
    if gpu.pcie is None:
        pen.put(x, middle(show(gpu.unavailable.get("pcie", units.UNKNOWN), 200), width - x - 1), "faint")
        return pen.line()
    pen.put(x, f"{units.size(gpu.pcie.rx)}/s to the GPU  {units.size(gpu.pcie.tx)}/s from it", "dim")
    return pen.line()


def _errors(gpu: Gpu, width: int, detail: int) -> list[Keyed]:
    """The newest error that the driver reported, and how many more there were."""
    newest = gpu.xids[-1]
    more = f", and {words.count(len(gpu.xids) - 1, 'error')} before it" if len(gpu.xids) > 1 else ""
    text = f"Xid {newest.code} at {units.clock(newest.time)}: {newest.message}{more}"
    if detail >= 4:
        text = f"{text}. {newest.fix[:1].upper()}{newest.fix[1:]}."
        return [(f"{data.place(gpu)}\0xid{i}", line) for i, (_, line) in enumerate(said(text, width, "err"))]
    pen = Pen(width)
    pen.put(3, middle(text, width - 4), "err")
    return [(f"{data.place(gpu)}\0xid", pen.line())]


def _history(gpu: Gpu, width: int, view: View, now: float, detail: int) -> list[Keyed]:
    room = width - 2 - _LABEL
    levels, low, high = view.history.levels(gpu, now, room * 2)
    rows = 2 if detail >= 5 and low != high and not view.lite else 1
    labels = [units.memory(high), units.memory(low)] if rows == 2 else ["last 60 s"]
    out = []
    for row in range(rows):
        pen = Pen(width)
        pen.add(Trace(1, room, levels, row, rows))
        pen.right(width - 1, labels[row], "faint")
        out.append((f"{data.place(gpu)}\0history{row}", pen.line()))
    events = [event for event in view.marks.of(gpu.key, gpu.sm) if 0 <= now - event.time <= data.SECONDS]
    if events:
        out.append((f"{data.place(gpu)}\0marks", _marked(events, width, room, now)))
    return out


def _marked(events: Sequence[marks.Event], width: int, room: int, now: float) -> Line:
    """Marks below the history line, and the name of the newest where it fits."""
    pen = Pen(width)
    taken: dict[int, marks.Event] = {}
    for event in events:
        column = 1 + min(room - 1, int((1 - (now - event.time) / data.SECONDS) * room))
        if column not in taken or event.kind == marks.MODEL:
            taken[column] = event
    for column, event in sorted(taken.items()):
        pen.put(column, *(("▲", "link") if event.kind == marks.MODEL else ("●", "p.compile")))
    last = max(taken)
    newest = taken[last]
    text = f"{newest.text} {'loaded' if newest.kind == marks.MODEL else 'compiled'}"
    right = width - last - 3
    left = last - 2 - max((column for column in taken if column < last), default=0)
    if width_of(text) > max(right, left - 1):
        text = newest.text  # the mark alone says what happened
    if right >= width_of(text) or right >= left:
        pen.put(last + 2, middle(text, right) if right > 8 else "", "dim")
    else:
        pen.right(last - 1, middle(text, left - 1) if left > 9 else "", "dim")
    return pen.line()


def processes(gpu: Gpu, width: int, view: View, now: float, detail: int) -> list[Keyed]:
    """The processes of a GPU with what they hold, and the rest that belongs to none."""
    out: list[Keyed] = []
    for share in data.shares(gpu, view.own):
        process = share.process
        key = f"{data.place(gpu)}\0{process.pid}"
        pen = Pen(width)
        pen.add(Chip(1, share.letter, share.token))
        pen.put(5, str(process.pid), "dim")
        start = pen.right(width - 1, units.memory(process.memory), "fg")
        end = start - 2
        if process.user:
            end = pen.right(min(width - 12, end), middle(clean(process.user), 10), "dim") - 2
        x = max(13, 6 + len(str(process.pid)))
        pen.put(x, middle(data.called(process), end - x), "fg")
        out.append((key, pen.line()))
        if detail > 1:
            for model in process.models:
                out += _held(key, model, width, now, two=detail >= 4)
        if detail > 2:
            for i, note in enumerate(_notes(process)):
                pen = Pen(width)
                pen.run(5, "└", "faint", f" {middle(note, width - 9)}", "faint")
                out.append((f"{key}\0note{i}", pen.line()))
    unknown = gpu.unattributed is None and gpu.memory is not None
    if gpu.unattributed or (unknown and detail > 2):
        pen = Pen(width)
        pen.add(Chip(1, "-", "v.other"))
        pen.put(13, middle("driver, unattributed", width - 24), "fg")
        pen.right(width - 1, units.memory(gpu.unattributed), "fg")
        out.append((f"{data.place(gpu)}\0rest", pen.line()))
        if unknown:
            why = show(gpu.unavailable.get("unattributed", ""), 200)
            pen = Pen(width)
            pen.run(5, "└", "faint", f" {middle(why, width - 9)}", "faint")
            out.append((f"{data.place(gpu)}\0rest\0why", pen.line()))
    return out


def _notes(process: Process) -> list[str]:
    """Where the process runs, what its allocator says, and why little is known of it."""
    out = [
        data.where(process),
        show(process.note, 120) if process.note else "" if process.inspectable else "not inspectable",
    ]
    if process.allocator is not None:
        context = f"  CUDA context {units.memory(process.context)}" if process.context is not None else ""
        tensors, taken = units.memory(process.allocator.allocated), units.memory(process.allocator.reserved)
        out.append(f"tensors {tensors} of {taken} allocated{context}")
    return [note for note in out if note]


def _held(key: str, model: HeldModel, width: int, now: float, two: bool) -> list[Keyed]:
    ago = words.used(model.seen, now) + (" ago" if now - model.seen >= _STALE else "")
    why = _EVIDENCE.get(model.evidence, clean(model.evidence, 30))
    if model.evidence == "seen-loading":
        why = f"seen loading {ago}"
    elif model.evidence == "mapped":
        why = f"mapped {ago}"
    elif model.evidence == "reported" and now - model.seen >= _STALE:
        why = f"reported {ago}"
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
