"""The lines around the lanes: how far the run is, how it compares, and what came of it."""

from __future__ import annotations

import os

from cachetop.base.hostile import clean, show
from cachetop.base.units import duration
from cachetop.conversion import stalled
from cachetop.conversion.records import Run
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import file_name, head, path_name
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panel import words
from cachetop_tui.panel.axis import whole
from cachetop_tui.panel.figures import Figures

Pieces = tuple[str, ...]
"""Text and style word in turn, as `Canvas.run` takes them."""


def headline(figures: Figures) -> tuple[str, str]:
    """Where the run is, as the one thing to read: `page 17 of 40`; and its style word."""
    run = figures.run
    if not figures.live:
        glyph, word, style = words.state(run)
        return f"{glyph} {word}", f"b:{style}"
    if figures.phase("convert") is not None or figures.done:
        total = "?" if figures.total is None else f"{figures.total:,}"
        return f"page {figures.done:,} of {total}", "b:hi"
    if figures.phase("load") is not None:
        return "loading the models", "b:hi"
    if figures.phase("import") is not None:
        return "importing", "b:hi"
    return "queued" if run.job.state == "queued" else "starting", "b:hi"


def clock(figures: Figures) -> str:
    """How long it took or has taken, and how long it will still take."""
    if not figures.live:
        return f"{'in' if figures.run.job.state == 'done' else 'after'} {duration(figures.elapsed)}"
    so_far = f"{duration(figures.elapsed)} so far"
    return so_far if figures.left is None else f"{so_far}, {left(figures)}"


def left(figures: Figures) -> str:
    """`about 25 s left`, an empty text where that cannot be told."""
    return "" if figures.left is None else f"about {whole(figures.left)} left"


def header(canvas: Canvas, y: int, figures: Figures, before: Run | None) -> None:
    """The line above the lanes."""
    text, word = headline(figures)
    pieces: list[str] = [text, word]
    if not figures.live and figures.done:
        pieces += [f"   {figures.done:,} {'page' if figures.done == 1 else 'pages'}", "fg"]
    files = figures.run.documents or figures.run.job.files
    if len(files) > 1:
        through = sum(1 for document in figures.run.documents if document.status is not None)
        now = f"file {min(through + 1, len(files))} of {len(files)}"
        pieces += [f"   {now if figures.live else f'{len(files)} files'}", "fg"]
    rate = []
    if figures.rate is not None:
        rate = [f"   {figures.rate:.2f} pages/s" if figures.rate < 10 else f"   {figures.rate:.0f} pages/s", "fg"]
    pieces += [*rate, f"   {clock(figures)}", "fg"]
    if before is not None and before.job.seconds is not None:
        how = f", {clean(before.start, 12)}" if before.start else ""
        pieces += [f"   last run{how}: {duration(before.job.seconds)}", "dim"]
    said = [("runs.cancel", " cancel")] if figures.live else [("runs.result", " result  "), ("runs.open", " report")]
    if not figures.live and not any(document.outputs for document in figures.run.documents):
        said = said[1:]  # there is nothing to read
    keys = tuple(part for what, text in said for part in (named(what).key, "b:fg", text, "dim"))
    room = canvas.width - 3 - sum(width_of(part) for part in keys[::2])
    while len(pieces) > 2 and 2 + sum(width_of(part) for part in pieces[::2]) > room:
        if rate and len(pieces) > 4 and pieces[-4:-2] == rate:  # how fast it is goes before how long it takes
            pieces[-4:-2] = []
        else:
            pieces = pieces[:-2]
    if len(pieces) == 2 and (remains := left(figures)) and 5 + width_of(text) + width_of(remains) <= room:
        pieces += [f"   {remains}", "fg"]
    end = canvas.run(2, y, *pieces)
    if end + 2 + sum(width_of(part) for part in keys[::2]) < canvas.width:
        canvas.right(canvas.width - 1, y, *keys)


def title(figures: Figures, width: int) -> Pieces:
    """The run in one line of at most `width` cells: file, run, pipeline, device, start; the first are kept longest."""
    run = figures.run
    name = clean(run.pipeline or run.job.pipeline, 20)
    device = clean(run.device or run.job.device, 16)
    rest = [words.run_name(run.job.id), f"{name} pipeline", device, words.begin(figures)]
    parts = [part for part in rest if part]
    least = min(20, width // 2)

    def room_for_file() -> int:
        return width - sum(width_of(part) + 2 for part in parts)

    if room_for_file() < least:
        parts[1] = name
    while parts and room_for_file() < least:
        parts.pop()
    return (files(run, room_for_file()), "fg", "".join(f"  {part}" for part in parts), "dim")


def files(run: Run, width: int) -> str:
    """The file of a run, or how many there are."""
    count = len(run.job.files)
    if not count:
        return head("no file", width)
    if count == 1:
        return file_name(run.job.files[0], width)
    more = f" and {count - 1} more"
    return file_name(run.job.files[0], max(4, width - len(more))) + more


def tail(figures: Figures, width: int) -> list[Pieces]:
    """What came of the run, or what went wrong on the way: at most two lines of `width` cells."""
    run = figures.run
    wrong = words.error(run)
    lines: list[Pieces] = []
    if wrong and run.job.state != "cancelled":
        lines.append(("✗ ", "err", head(wrong[0], width - 2), "err"))
        if wrong[1]:
            lines.append(("  ", "dim", head(wrong[1], width - 2), "dim"))
    elif not figures.live and (text := words.unready(run)):
        lines.append(("✗ ", "err", head(text, width - 2), "err"))
    elif figures.live and run.stalled is not None:
        lines.append(("▲ ", "warn", head(stalled.sentence(run.stalled, figures.now), width - 2), "fg"))
    elif figures.live:
        warning = next((n for n in reversed(run.notices) if n.level == "warning"), None)
        if warning is not None:
            lines.append(("▲ ", "warn", head(show(warning.message), width - 2), "fg"))
    if not figures.live and (where := outputs(run, width - 2)):
        lines = [("→ ", "ok", where, "fg"), *lines[:1]]
    return lines[:2]


def outputs(run: Run, width: int) -> str:
    """Where the results are: one path, or how many files in which folder; empty when there are none."""
    found = [output for document in run.documents for output in document.outputs]
    if len(found) <= 1:
        return path_name(found[0], width) if found else ""
    folders = {os.path.dirname(output) for output in found}
    if len(folders) == 1:
        lead = f"{len(found)} files in "
        return lead + path_name(folders.pop(), max(5, width - len(lead)))
    more = f" and {len(found) - 1} more"
    return path_name(found[0], max(5, width - len(more))) + more
