"""The recent runs and the resident workers as lines: the RUNS tab."""

from __future__ import annotations

from collections.abc import Sequence

from cachetop.base.hostile import clean
from cachetop.base.units import age, clock, duration, memory
from cachetop.conversion.records import Job, Run, Worker
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import file_name, head
from cachetop_tui.paint import Canvas
from cachetop_tui.panel import words
from cachetop_tui.panel.axis import whole
from cachetop_tui.words import count as counted


def draw(
    canvas: Canvas,
    top: int,
    jobs: Sequence[Job],
    runs: dict[str, Run],
    workers: Sequence[Worker],
    cursor: int,
    shown: str | None,
    now: float,
    active: bool,
) -> int:
    """Draw jobs, newest first, so that number `cursor` is in sight, and the workers below them.

    Returns the number of the job on row `top`.
    """
    if not jobs:
        canvas.put(2, top, "No conversion has run yet.", "dim")
    below = min(len(workers), 2) if canvas.height - top > 4 else 0
    room = max(1, canvas.height - top - below)
    offset = max(0, cursor - room + 1)
    for y, job in enumerate(jobs[offset : offset + room], top):
        if active and y - top + offset == cursor:
            canvas.fill(0, canvas.width, y, "sel")
        _job(canvas, y, job, runs.get(job.id), job.id == shown, now)
    for y, worker in enumerate(workers[:below], canvas.height - below):
        _worker(canvas, y, worker)
    return offset


def _job(canvas: Canvas, y: int, job: Job, run: Run | None, shown: bool, now: float) -> None:
    glyph, word, style = words.state(run if run is not None else Run(job=job))
    canvas.run(2, y, glyph, style, f" {words.run_name(job.id):<14}", "b:fg" if shown else "fg")
    canvas.put(19, y, f"{word:<10}", style)
    right = [_amount(job, run), "fg", f"{clock(job.started):>10}", "dim", f"{age(job.started, now):>8}", "dim"]
    if canvas.width >= 96:
        right = [f"{clean(job.pipeline, 12):>12} {clean(job.device, 10):>8}   ", "dim", *right]
    end = canvas.right(canvas.width - 1, y, *right)
    count = len(job.files)
    more = f" and {count - 1} more" if count > 1 else ""
    name = file_name(job.files[0], max(4, end - 31 - len(more))) if count else "no file"
    canvas.put(30, y, head(name + more, end - 31), "fg")


def _amount(job: Job, run: Run | None) -> str:
    if job.seconds is not None:
        return duration(job.seconds)
    said = run.progress.get("convert") if run is not None else None
    if said:
        return f"{said[0]:,} of {said[1]:,}" if said[1] else f"{said[0]:,} of ?"
    return "–"


def _worker(canvas: Canvas, y: int, worker: Worker) -> None:
    idle = "no answer" if worker.idle_seconds is None else f"idle {whole(worker.idle_seconds)}"
    idle = "busy" if worker.busy else idle
    text = f"resident worker, pid {worker.pid}, {clean(worker.pipeline, 12)} on {clean(worker.device, 10)}, {idle}"
    models = f", {counted(len(worker.models), 'model')} built" if worker.models else ""
    held = f", {memory(worker.memory)} of RAM" if worker.memory is not None else ""
    canvas.run(2, y, "●", "v.b", f" {head(text + models + held, canvas.width - 18)}", "dim")
    canvas.right(canvas.width - 1, y, named("runs.unload").key, "b:fg", " unload", "dim")
