"""A run in three lines, for a small terminal: what it is and how far, one lane, seconds for each phase."""

from __future__ import annotations

from cachetop.base.units import duration, memory
from cachetop.conversion.records import PHASES
from cachetop_tui.commands.registry import named
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panel import result, words
from cachetop_tui.panel.axis import Axis, length_for
from cachetop_tui.panel.figures import Figures
from cachetop_tui.panel.lanes import LABELS, busiest, flat, lane

_ORDER = ("convert", "export", "import", "load", "compile")
"""Painting order on the single lane: the short ones over the long ones."""


def draw_compact(canvas: Canvas, top: int, figures: Figures) -> None:
    """Draw as many of the three lines as there is room for, from row `top`."""
    canvas.fill(0, canvas.width, top, "head")
    _title(canvas, top, figures)
    if top + 1 < canvas.height:
        _lane(canvas, top + 1, figures)
    if top + 2 < canvas.height:
        ended = result.tail(figures, canvas.width - 2) if not figures.live else []
        if ended:
            canvas.run(1, top + 2, *ended[0])
        else:
            _seconds(canvas, top + 2, figures)


def _title(canvas: Canvas, y: int, figures: Figures) -> None:
    name = words.run_name(figures.run.job.id).upper()
    name_end = canvas.run(1, y, named("runs.focus").key, "faint", f" {name}", "b:fg") + 2
    text, word = result.headline(figures)
    more = result.left(figures) or result.clock(figures)
    if name_end + 12 + len(text) + len(more) + 6 > canvas.width:
        more = ""
    pieces = ["   " + text, word, "   " + more if more else "", "dim"]
    taken = sum(width_of(part) for part in pieces[::2])
    room = canvas.width - 1 - taken - name_end
    canvas.right(canvas.width - 1, y, result.files(figures.run, max(0, room)) if room > 3 else "", "fg", *pieces)


def _lane(canvas: Canvas, y: int, figures: Figures) -> None:
    width = canvas.width - 2
    until = max(figures.now, figures.finish or 0.0) - figures.begin
    axis = Axis(figures.begin, length_for(until, figures.live), width)
    spans = [(name, span) for name in _ORDER for span in lane(figures, name)]
    parts = flat([(axis.at(a), max(axis.at(b), axis.at(a) + 0.25), token) for _, (a, b, token) in spans])
    canvas.pieces(1, y, width, parts, "track")
    if canvas.palette.ascii_only:
        return
    for token, label in (("p.import", LABELS["import"]), ("p.pages", LABELS["convert"])):
        own = max((part for part in parts if part[2] == token), key=lambda part: part[1] - part[0], default=None)
        if own and int(own[1]) - (int(own[0]) + 1) >= len(label) + 1:
            canvas.put(1 + int(own[0]) + 1, y, label, f"ink@{token}")


def _seconds(canvas: Canvas, y: int, figures: Figures) -> None:
    phases = [name for name in PHASES if figures.seconds(name) is not None]
    while True:
        pieces: list[str] = []
        for name in phases:
            label = LABELS[name] if canvas.width > 70 else LABELS[name].rpartition(" ")[2]
            word = "b:hi" if figures.running(name) else "fg"
            pieces += [f"{'  ' if pieces else ''}{label} ", "dim", duration(figures.seconds(name) or 0.0), word]
        if len(phases) <= 1 or 2 + sum(width_of(text) for text in pieces[::2]) <= canvas.width:
            break
        phases.remove(min(phases, key=lambda name: (figures.running(name), figures.seconds(name) or 0.0)))
    end = canvas.run(1, y, *pieces)
    if figures.run.vram:
        gpu = busiest(figures.run)
        held = memory(next(used for _, index, used in reversed(figures.run.vram) if index == gpu))
        if end + 2 + len("VRAM ") + len(held) < canvas.width:
            canvas.right(canvas.width - 1, y, "VRAM ", "dim", held, "fg")
