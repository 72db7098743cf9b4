"""Conversions as they are shown: a run while it goes on, its report, and the list of jobs."""

from __future__ import annotations

import os
import time

from cachetop.base import units
from cachetop.conversion.records import Jobs, Phase, Run
from cachetop.conversion.verdicts import JobReport
from cachetop.notebook.sheet import Bar, Cell, Sheet, count


def run(found: Run, now: float | None = None) -> Sheet:
    """A run as it stands at `now` (epoch seconds)."""
    moment = time.time() if now is None else now
    names = ", ".join(os.path.basename(file) for file in found.job.files)
    made = Sheet(f"{names}: {found.status or found.job.state}")
    seconds = found.job.seconds if found.job.seconds is not None else moment - found.job.started
    made.fact("Time", units.duration(seconds) + (f", start {found.start}" if found.start else ""))
    if found.pipeline or found.device:
        made.fact("Pipeline", f"{found.pipeline or '?'} on {found.device or '?'}")
    if found.compile_note:
        made.fact("Compile", found.compile_note)
    longest = max([_seconds(phase, moment) for phase in found.phases], default=0.0)
    made.table("", "PHASE|TIME|PROGRESS", [_phase(found, phase, moment, longest) for phase in found.phases])
    loads: list[tuple[Cell, ...]] = [
        (load.repo or load.path or "?", units.size(load.bytes), units.duration(load.seconds), load.device or "?")
        for load in found.loads
    ]
    made.table("Models loaded", "MODEL|SIZE|TIME|DEVICE", loads, "<>><")
    kernels: list[tuple[Cell, ...]] = [
        (
            kernel.name or kernel.key or "a kernel",
            kernel.sm or "-",
            units.duration(None if kernel.milliseconds is None else kernel.milliseconds / 1000),
            "hit" if kernel.hit else "compiled",
        )
        for kernel in found.kernels
    ]
    made.table("Kernels", "KERNEL|SM|TIME|", kernels, "<<>")
    for notice in found.notices:
        made.remark(notice.level, notice.message + (f" {notice.hint}" if notice.hint else ""))
    return made


def report(found: JobReport) -> Sheet:
    """What a run's time went into, and why."""
    made = Sheet(f"{', '.join(os.path.basename(file) for file in found.files)}: {found.status or found.state}")
    made.fact("Time", units.duration(found.seconds) + (f", start {found.start}" if found.start else ""))
    made.fact("Pipeline", f"{found.pipeline} on {found.device}, {count(found.pages, 'page')}")
    longest = max(found.phases.values(), default=0.0)
    rows: list[tuple[Cell, ...]] = [
        (name, Bar(seconds, longest, units.duration(seconds))) for name, seconds in found.phases.items()
    ]
    made.table("Phases", "PHASE|TIME", rows)
    stages: list[tuple[Cell, ...]] = [(name, units.duration(seconds)) for name, seconds in found.stages.items()]
    made.table("Stages, over all pages", "STAGE|TIME", stages, "<>")
    for verdict in found.verdict:
        made.remark("note", verdict.message)
    for advice in found.advice:
        made.remark("note", advice.message)
    return made


def jobs(found: Jobs) -> Sheet:
    """Conversion jobs and resident workers."""
    made = Sheet(f"{count(len(found.jobs), 'job')}, {count(len(found.workers), 'resident worker')}")
    listed: list[tuple[Cell, ...]] = [
        (job.id, job.state, ", ".join(os.path.basename(file) for file in job.files), units.duration(job.seconds))
        for job in found.jobs
    ]
    made.table("Jobs", "JOB|STATE|FILES|TIME", listed, "<<<>")
    workers: list[tuple[Cell, ...]] = [
        (
            one.id,
            str(one.pid),
            one.device,
            ", ".join(one.models),
            "busy" if one.busy else units.duration(one.idle_seconds),
        )
        for one in found.workers
    ]
    made.table("Workers", "WORKER|PID|DEVICE|MODELS|IDLE", workers, "<><<>")
    return made


def _seconds(phase: Phase, now: float) -> float:
    return sum((now if end is None else end) - begin for begin, end in phase.spans)


def _phase(found: Run, phase: Phase, now: float, longest: float) -> tuple[Cell, ...]:
    seconds = _seconds(phase, now)
    done, total, unit = found.progress.get(phase.name, (None, None, ""))
    progress = ""
    if done is not None:
        progress = f"{done}{f' of {total}' if total is not None else ''} {unit}"
    if phase.open:
        progress = f"{progress} …" if progress else "running"
    return phase.name, Bar(seconds, longest, units.duration(phase.seconds or seconds)), progress
