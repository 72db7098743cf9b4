"""What a run's time went into, and why, in words: `cachetop.job/1`.

Each sentence is drawn from what was measured in the run. What was not measured is said to be unknown or not
said at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from cachetop.base import units
from cachetop.conversion import advice, stalled
from cachetop.conversion.compare import compare, exclusive, first_calls, phases
from cachetop.conversion.folder import find
from cachetop.conversion.history import picture, previous
from cachetop.conversion.records import Run, Worker
from cachetop.conversion.usage import vram_use
from cachetop.conversion.verdicts import Comparison, Examined, JobReport, Verdict
from cachetop.conversion.workers import workers

_DIFFERENT = 0.05
"""Seconds from which two runs' phases count as different."""
_PHASE_WORDS = {
    "import": "importing libraries",
    "load": "loading models",
    "compile": "compiling kernels",
    "convert": "converting",
    "export": "writing the outputs",
}


def job(name: str | None = None, against: str | None = None) -> JobReport:
    """One job in depth, by id (or a unique part of it), the newest by default.

    It is compared with the job `against`, else with the last run of the same files before it. Raises
    LookupError for a job that is not there, ValueError for one that cannot be read.
    """
    return examine(name, against).report


def examine(name: str | None = None, against: str | None = None) -> Examined:
    """`job`, with the runs themselves. Raises LookupError, ValueError."""
    run = stalled.look(picture(find(name)), time.time())
    folder = find(against) if against else previous(run)
    other = picture(folder) if folder else None
    return Examined(report=report(run, other, workers()), run=run, other=other)


def report(run: Run, other: Run | None = None, resident: tuple[Worker, ...] = ()) -> JobReport:
    """The report on one run, compared with another where there is one; `resident` are the workers there now."""
    stages: dict[str, float] = {}
    for stage in run.stages:
        stages[stage.stage] = stages.get(stage.stage, 0.0) + stage.seconds
    comparison = compare(run, other) if other else None
    return JobReport(
        id=run.job.id,
        state=run.job.state,
        status=run.status,
        files=run.job.files,
        pipeline=run.pipeline or run.job.pipeline,
        device=run.device or run.job.device,
        started=run.job.started,
        seconds=run.job.seconds,
        folder=run.job.folder,
        start=run.start,
        start_reason=run.start_reason,
        phases=phases(run),
        first_calls=first_calls(run),
        tokens=sum(one.tokens for one in run.tokens) if run.tokens else None,
        stages=dict(sorted(stages.items(), key=lambda item: -item[1])),
        models=run.loads,
        kernels=run.kernels,
        vram=vram_use(run),
        pages=pages(run),
        documents=run.documents,
        notices=run.notices,
        verdict=(*_verdict(run, stages), *(_difference(run, other, comparison) if other and comparison else ())),
        advice=(*advice.of_run(run, stages), *advice.of_workers(resident)),
        comparison=comparison,
    )


def pages(run: Run) -> int:
    """How many pages were finished."""
    return sum(document.pages_done or (document.pages or 0) * bool(document.status) for document in run.documents)


def _verdict(run: Run, stages: dict[str, float]) -> Iterator[Verdict]:
    times = exclusive(run)
    if run.job.state == "lost":
        message = "its worker vanished: no result was written and nobody was there to see why"
        yield Verdict(cause="lost", seconds=None, message=message)
    if run.stalled is not None:
        now = time.time()
        message = stalled.sentence(run.stalled, now)
        yield Verdict(cause="stalled", seconds=now - run.stalled.since, message=message)
    for notice in run.notices:
        if notice.level == "error":
            yield Verdict(cause="error", seconds=None, message=notice.message)
    if times and run.job.seconds:
        name = max(times, key=lambda phase: times[phase])
        share = min(1.0, times[name] / run.job.seconds)
        message = f"most of the time, {share:.0%}, went into {_PHASE_WORDS[name]}"
        yield Verdict(cause="largest", seconds=times[name], message=message)
    yield from _start(run)
    if run.gpu is not None and run.gpu.waited > 0:
        message = (
            f"it waited {units.duration(run.gpu.waited)} for GPU {run.gpu.index}: {run.queued or 'all were taken'}"
        )
        yield Verdict(cause="queue", seconds=run.gpu.waited, message=message)
    if times.get("import"):
        of = f", {times['import'] / run.job.seconds:.0%} of the run" if run.job.seconds else ""
        message = f"importing libraries took {units.duration(times['import'])}{of}; every new process pays it"
        yield Verdict(cause="import", seconds=times["import"], message=message)
    yield from _load(run, times)
    yield from _compile(run, times)
    failing = [check.message for check in run.checks if not check.ok]
    if run.device == "cpu" and run.job.device == "auto" and failing:
        yield Verdict(cause="device", seconds=None, message=f"it ran on the CPU: {failing[0]}")
    if count := pages(run):
        took = phases(run).get("convert")
        message = _counted(count, "page")
        if took:
            message += f" in {units.duration(took)}, {units.duration(took / count)} a page"
        if stages:
            stage = max(stages, key=lambda name: stages[name])
            message += f"; of the stages, {stage} took most ({units.duration(stages[stage])})"
        yield Verdict(cause="convert", seconds=took, message=message)
    yield from _first(run)
    yield from _tokens(run)
    yield from _vram(run)


def _vram(run: Run) -> Iterator[Verdict]:
    for use in vram_use(run):
        phase = max(use.phases, key=lambda name: use.phases[name], default=None)
        message = f"GPU {use.gpu} held at most {units.memory(use.peak)}" + (
            f", while {_PHASE_WORDS[phase]}" if phase else ""
        )
        known = (
            ("weights", sum(use.weights.values()) or None), ("activations", use.activations), ("context", use.context),
        )  # fmt: skip
        parts = [f"{name} {units.memory(held)}" for name, held in known if held is not None]
        yield Verdict(cause="vram", seconds=None, message=message + (f": {', '.join(parts)}" if parts else ""))


def _first(run: Run) -> Iterator[Verdict]:
    over = first_calls(run)
    if over and run.start != "resident":
        parts = ", ".join(f"{stage} {units.duration(seconds)}" for stage, seconds in list(over.items())[:3])
        message = (
            f"estimate: first calls took {units.duration(sum(over.values()))} longer than later ones ({parts}): "
            f"first use of libraries, kernels and mapped weights{', compiling among it' if run.kernels else ''}"
        )
        yield Verdict(cause="first-call", seconds=sum(over.values()), message=message)


def _tokens(run: Run) -> Iterator[Verdict]:
    written = sum(one.tokens for one in run.tokens)
    spent = sum(one.seconds for one in run.tokens)
    steps = sum(max(0, one.tokens - 1) for one in run.tokens)
    if written and spent > 0:
        waited = sum(one.first or 0.0 for one in run.tokens)
        message = (
            f"the model wrote {written:,} tokens at {steps / spent:.1f} tokens/s; reading the page images before the "
            f"first token took {units.duration(waited)}"
        )
        yield Verdict(cause="tokens", seconds=spent + waited, message=message)


def _start(run: Run) -> Iterator[Verdict]:
    if run.start == "resident":
        message = "resident: the worker was there with its pipeline built, so nothing was imported or loaded"
    elif run.start in ("cold", "disk-warm"):
        known = [load for load in run.loads if load.resident_before is not None]
        total = sum(load.bytes for load in known)
        warm = sum(load.resident_before or 0 for load in known)
        part = f" ({units.size(warm)} of {units.size(total)} were in RAM)" if total else ""
        if run.start == "cold" and run.dropped is not None:
            message = f"cold on purpose: the weights were dropped from RAM before the start{part}"
        elif run.start == "cold":
            message = f"cold: a new process, and the weights had to come from disk{part}"
        else:
            message = f"disk-warm: a new process, but the weights were still in the page cache{part}"
    elif run.start_reason and run.status in ("success", "partial"):
        message = f"neither cold nor warm: {run.start_reason}"
    else:
        return
    yield Verdict(cause="start", seconds=None, message=message)


def _load(run: Run, times: dict[str, float]) -> Iterator[Verdict]:
    if run.downloads:
        size = units.size(sum(download.bytes for download in run.downloads))
        message = f"{_counted(len(run.downloads), 'file')}, {size}, had to be downloaded first"
        yield Verdict(cause="download", seconds=None, message=message)
    loaded = [load for load in run.loads if load.seconds is not None]
    if loaded:
        seconds = sum(load.seconds or 0.0 for load in loaded)
        size = units.size(sum(load.bytes for load in loaded))
        message = f"{_counted(len(loaded), 'model')}, {size}, loaded in {units.duration(seconds)}"
        yield Verdict(cause="load", seconds=times.get("load", seconds), message=message)


def _compile(run: Run, times: dict[str, float]) -> Iterator[Verdict]:
    built = [kernel for kernel in run.kernels if not kernel.hit]
    hits = len(run.kernels) - len(built)
    if run.kernels:
        known = [kernel.milliseconds for kernel in built if kernel.milliseconds is not None]
        least = "at least " if len(known) < len(built) else ""
        took = f" ({least}{units.duration(sum(known) / 1000)})" if known else ""
        message = f"{_counted(len(built), 'kernel')} compiled{took}, {hits} taken from a cache"
        yield Verdict(cause="compile", seconds=times.get("compile"), message=message)
    elif run.compile_note:
        yield Verdict(cause="compile", seconds=None, message=f"nothing was compiled: {run.compile_note}")


def _difference(run: Run, other: Run, comparison: Comparison) -> Iterator[Verdict]:
    if run.job.seconds is None or other.job.seconds is None or run.status not in ("success", "partial"):
        return  # what broke off is not faster
    gain = other.job.seconds - run.job.seconds
    parts = []
    for name, (this, that) in comparison.phases.items():
        change = (this or 0.0) - (that or 0.0)
        if abs(change) >= _DIFFERENT:
            parts.append(f"{name} {'+' if change > 0 else '−'}{units.duration(abs(change))}")
    how = "faster" if gain > 0 else "slower"
    message = f"{units.duration(abs(gain))} {how} than job {other.job.id}"
    if abs(gain) < _DIFFERENT:
        message = f"as fast as job {other.job.id}"
    if run.start != other.start and run.start and other.start:
        message += f" ({run.start} against {other.start})"
    yield Verdict(cause="comparison", seconds=gain, message=message + (f": {', '.join(parts)}" if parts else ""))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
