"""The GPU pane where it has one or two lines for each GPU."""

from __future__ import annotations

from collections.abc import Collection

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpu, Gpus
from cachetop_tui.cut import middle
from cachetop_tui.marks import Bar, Chip, Line, Pen, Thin
from cachetop_tui.paint import width_of
from cachetop_tui.panes import gpu_data as data


def compact(gpus: Gpus, width: int, height: int, own: Collection[int]) -> list[tuple[str, Line]]:
    """A line with bar and numbers for each GPU, and one with its processes where `height` has room for both."""
    out: list[tuple[str, Line]] = []
    two = height >= 2 * len(gpus.gpus)
    room = max(8, min(18, width - 60))
    labels = [middle(_brief(gpu), room) for gpu in gpus.gpus]
    wide = max(map(width_of, labels))
    number = max(len(data.place(gpu)) for gpu in gpus.gpus)
    most = max(len(data.amount(gpu)) for gpu in gpus.gpus)  # the bars end below each other, to be compared
    for gpu, label in zip(gpus.gpus, labels, strict=True):
        listed = data.shares(gpu, own)
        pen = Pen(width)
        pen.run(1, f"{data.place(gpu):<{number}}", "b:hi", f" {label}", "fg")
        x = 3 + number + wide
        busy = f"{gpu.utilization:>3} %" if gpu.utilization is not None else "    ?"
        numbers: tuple[str, ...] = (data.amount(gpu).rjust(most), "fg", "  busy ", "dim", busy, "dim")
        if x + sum(map(width_of, numbers[::2])) + 2 > width:
            numbers = numbers[:2]  # busy goes before what is used does
        end = pen.right(width - 1, *numbers)
        sm = clean(gpu.sm, 8) if gpu.sm else ""
        if x + width_of(sm) + 1 < end:
            pen.put(x, sm, "b:link")
        x += 7
        room = min(end - x - 2, 31)
        if room >= 6 and two:
            pen.add(Bar(x, room, *data.parts(gpu, listed, room, data.slices(gpus, gpu))))
        elif room >= 6 and gpu.memory and gpu.memory.total:
            pen.add(Thin(x, room, gpu.memory.used / gpu.memory.total * room, "v.a"))
        out.append((data.place(gpu), pen.line()))
        if two:
            out.append((f"{data.place(gpu)}\0who", _chips(gpu, listed, width)))
    return out


def _brief(gpu: Gpu) -> str:
    return data.short_name(gpu).replace("GeForce ", "").replace("Tesla ", "").partition(" 80GB")[0]


def _chips(gpu: Gpu, listed: list[data.Share], width: int) -> Line:
    """The processes of a GPU on one line, by their first word where their names are too long for it."""
    pen = Pen(width)
    texts: list[str] = []
    for brief in (False, True):
        texts = [_who(share, brief) for share in listed]
        if 3 + sum(6 + width_of(text) for text in texts) <= width + 1:
            break
    x = 3
    for share, text in zip(listed, texts, strict=True):
        if x + 4 + width_of(text) > width - 1:
            pen.put(x, "…", "dim")
            break
        pen.add(Chip(x, share.letter, share.token))
        x = pen.put(x + 4, text, "dim") + 2
    if not listed:
        rest = f"{units.memory(gpu.unattributed)} unattributed" if gpu.unattributed else "no process"
        pen.put(3, middle(data.problem(gpu) or rest, width - 4), "dim")
    return pen.line()


def _who(share: data.Share, brief: bool) -> str:
    name = data.called(share.process)
    name = middle(name.partition(" ")[0].rstrip(",") if brief else name, 22)
    other = "" if share.process.inspectable or brief else " (other user)"
    return f"{name} {units.memory(share.process.memory)}{other}"
