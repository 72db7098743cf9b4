"""One GPU process as a document: who it is, what it holds, its cache roots, its files, its kernels, its memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop_tui import words
from cachetop_tui.cut import middle
from cachetop_tui.documents.layout import MARGIN, fact, heading, paragraph
from cachetop_tui.marks import Line, Pen, Trace

if TYPE_CHECKING:
    from cachetop.gpu.detail import MappedFile, ProcessDetail
    from cachetop.gpu.records import Process

_EVIDENCE = {
    "reported": "it said so itself", "mapped": "mapped or open now", "seen-loading": "seen loading it",
    "command-line": "named on its command line",
}  # fmt: skip
_MOST = 200


def lines(detail: ProcessDetail, width: int, now: float) -> list[Line]:
    """The document."""
    process = detail.process
    out = heading(f"process {process.pid}", width, clean(process.user or "", 40))
    out += fact("command", show(process.command, 2000) if process.command else units.UNKNOWN, width)
    if process.started is not None:
        out += fact("running for", units.duration(max(0.0, now - process.started)), width)
    if process.container:
        container = show(process.container, 60)
        kind, value = ("slurm", container) if container.startswith("slurm ") else ("container", container)
        out += fact(kind, value, width)
    if process.note:
        out += fact("note", show(process.note, 200), width)
    out += list(_memory(process, width, now))
    if detail.problem:
        out += [Line(), *paragraph(show(detail.problem, 300), width, "warn")]
    out += _models(detail, width, now)
    out += _history(detail, width, now)
    if detail.problem:
        return out
    out += _environment(detail, width)
    out += _files(detail, width)
    out += _libraries(detail, width)
    return out


def _memory(process: Process, width: int, now: float) -> Iterator[Line]:
    """The VRAM of the process and, of a worker that reports its allocator, the four parts it is made of."""
    yield from fact("VRAM", units.memory(process.memory), width, "b:hi", "on this GPU, as the driver counts it")
    told = process.allocator
    if told is None:
        return
    activations = None if told.weights is None else told.allocated - told.weights
    when = words.used(told.seen, now)
    said = f"in tensors, as reported {when}{'' if when == 'now' else ' ago'}"
    if told.weights is None:
        said = f"of {units.memory(told.allocated)} {said}"
    yield from fact("  weights", units.memory(told.weights), width, note=said)
    yield from fact("  activations", units.memory(activations), width, note="the other tensors of torch")
    kept = max(0, told.reserved - told.allocated)
    yield from fact("  cache", units.memory(kept), width, note="kept by torch for the next tensors")
    note = "context, kernels, libraries' workspaces: the rest"
    yield from fact("  CUDA context", units.memory(process.context), width, note=note)


def _models(detail: ProcessDetail, width: int, now: float) -> list[Line]:
    models = detail.process.models
    out = heading("models it holds", width, words.count(len(models), "model"))
    if not models:
        text = "None was seen. A model that was loaded before cachetop looked leaves no trace once it is in VRAM."
        return out + paragraph(
            text if detail.process.inspectable else "Not known: it cannot be inspected.", width, "dim"
        )
    for model in models:
        why = _EVIDENCE.get(model.evidence, clean(model.evidence, 30))
        when = words.used(model.seen, now)
        name = clean(model.repo, 200) + (f"@{clean(model.revision, 64)[:8]}" if model.revision else "")
        pen = Pen(width)
        start = pen.right(width - MARGIN, units.memory(model.bytes), "fg")
        pen.put(MARGIN, middle(name, start - MARGIN - 2), "fg")
        out.append(pen.line())
        pen = Pen(width)
        pen.put(MARGIN + 2, f"{why}, {when}{'' if when == 'now' else ' ago'}", "faint")
        out.append(pen.line())
    return out


def _history(detail: ProcessDetail, width: int, now: float) -> list[Line]:
    """VRAM from the first sample to now, two lines high, and what was first seen when."""
    samples = detail.memory
    if not samples:
        return []
    first, span = samples[0][0], max(1.0, now - samples[0][0])
    low, high = min(used for _, used in samples), max(used for _, used in samples)
    out = heading("VRAM over time", width, f"last {units.duration(span)}, peak {units.memory(high)}")
    room = width - 2 * MARGIN
    if low != high and room > 10:
        times, levels = [at for at, _ in samples], []
        for i in range(room * 2):
            place = bisect_right(times, first + (i + 1) / (room * 2) * span)
            levels.append((samples[max(0, place - 1)][1] - low) / (high - low))
        for row in range(2):
            pen = Pen(width)
            pen.add(Trace(MARGIN, room, tuple(levels), row, 2))
            out.append(pen.line())
        out += fact("lowest, highest", f"{units.memory(low)}, {units.memory(high)}", width)
    else:
        out += paragraph(f"{units.memory(high)} all the time", width, "dim")
    for moment, repo, evidence in detail.first_seen:
        why = _EVIDENCE.get(evidence, clean(evidence, 30))
        out += fact(units.clock(moment), f"{clean(repo, 200)}: {why}", width)
    return out


def _environment(detail: ProcessDetail, width: int) -> list[Line]:
    out = heading("cache variables it was started with", width)
    if not detail.environment:
        return out + paragraph("None of them is set: every cache is at its default place.", width, "dim")
    for name, value in detail.environment.items():
        if len(name) > 15:
            out += paragraph(clean(name, 60), width, "dim")
            name = ""
        out += fact(name, show(value, 400) or "(empty)", width)
    return out


def _files(detail: ProcessDetail, width: int) -> list[Line]:
    out = heading("files of the hub cache it has mapped or open", width, words.count(len(detail.files), "file"))
    if not detail.files:
        return out + paragraph("None now. Once the weights are in VRAM, a program lets their files go.", width, "dim")
    repo = ""
    for file in detail.files[:_MOST]:
        if file.repo != repo:
            repo = file.repo
            out += paragraph(clean(repo, 200), width)
        out.append(_file(file, width))
    return out + _more(len(detail.files), width)


def _file(file: MappedFile, width: int) -> Line:
    pen = Pen(width)
    start = pen.right(width - MARGIN, f"{units.size(file.size):>8}  {file.how:<6}", "dim")
    name = clean(file.file, 200) if file.file else "a blob of no revision: usually a download that is running"
    pen.put(MARGIN + 2, middle(name, start - MARGIN - 4), "fg")
    return pen.line()


def _libraries(detail: ProcessDetail, width: int) -> list[Line]:
    cached = [one for one in detail.libraries if one.cache]
    shipped = [one for one in detail.libraries if not one.cache]
    out = heading("kernels it has loaded", width, f"{len(cached)} from caches, {len(shipped)} libraries")
    if not detail.libraries:
        return out + paragraph("No library with kernels is mapped.", width, "dim")
    for kind, count in Counter(one.cache for one in cached).most_common():
        out += fact(clean(kind or "", 14), words.count(count, "library", "libraries"), width)
    for one in [*cached, *shipped][:_MOST]:
        pen = Pen(width)
        kind = clean(one.cache, 20) if one.cache else "shipped with its package"
        start = pen.right(width - MARGIN, kind, "faint")
        pen.put(MARGIN + 2, middle(clean(one.path, 1000), start - MARGIN - 4), "fg")
        out.append(pen.line())
    note = "What Triton and the CUDA driver load as cubins leaves no mapping: a loaded kernel may be missing here."
    return [*out, *_more(len(detail.libraries), width), Line(), *paragraph(note, width, "faint")]


def _more(count: int, width: int) -> list[Line]:
    return paragraph(f"and {count - _MOST} more", width, "dim") if count > _MOST else []
