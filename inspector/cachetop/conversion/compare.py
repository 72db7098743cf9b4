"""Two runs side by side: their bars on one scale, the difference phase by phase, and the reason for each.

Also the estimate of what the first calls of the stages cost over the later ones, which is where lazily loaded
kernels and the first touch of mapped weights hide.
"""

from __future__ import annotations

from statistics import median

from cachetop.base import units
from cachetop.conversion.records import PHASES, Load, Run
from cachetop.conversion.verdicts import Comparison

_LEAST = 0.05
"""Seconds from which a first call counts as slower than the later ones."""


def phases(run: Run) -> dict[str, float]:
    """Phase -> seconds, in order; only those that happened."""
    return {phase.name: phase.seconds for phase in run.phases if phase.seconds is not None}


def exclusive(run: Run) -> dict[str, float]:
    """`phases`, with the pages' time less what was compiled and loaded meanwhile: these parts add up."""
    times = phases(run)
    spans = {phase.name: phase.spans for phase in run.phases}
    if "convert" in times:
        inside = sum(
            max(0.0, min(b, d) - max(a, c))
            for name in ("compile", "load")
            for a, b in spans.get(name, ())
            for c, d in spans.get("convert", ())
            if b is not None and d is not None
        )
        times["convert"] = max(0.0, times["convert"] - inside)
    return times


def first_calls(run: Run) -> dict[str, float]:
    """Stage -> seconds its first call took longer than its later calls take for as many pages: an estimate.

    Only stages with later calls to compare with, and only where the difference is worth a word.
    """
    found = {}
    for stage in dict.fromkeys(one.stage for one in run.stages):
        items = [one for one in run.stages if one.stage == stage]
        batch = max(1, items[0].batch)
        later = [one.seconds for one in items[batch:]]
        if later:
            over = sum(one.seconds for one in items[:batch]) - batch * median(later)
            if over >= _LEAST:
                found[stage] = over
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def bars(run: Run) -> list[tuple[str, float]]:
    """The parts of a run's bar: (phase, seconds), in order, and what no phase covers as ('', seconds)."""
    times = exclusive(run)
    parts = [(name, times[name]) for name in PHASES if times.get(name)]
    rest = (run.job.seconds or 0.0) - sum(seconds for _, seconds in parts)
    return [*parts, ("", rest)] if rest >= _LEAST else parts


def compare(run: Run, other: Run) -> Comparison:
    """`run` against `other`, phase by phase."""
    mine, theirs = phases(run), phases(other)
    names = [name for name in PHASES if name in mine or name in theirs]
    return Comparison(
        against=other.job.id,
        phases={name: (mine.get(name), theirs.get(name)) for name in names},
        seconds=(run.job.seconds, other.job.seconds),
        start=(run.start, other.start),
        reasons={name: reason for name in names if (reason := _reason(name, run, other))},
        bars=(tuple(bars(run)), tuple(bars(other))),
    )


def _reason(name: str, run: Run, other: Run) -> str | None:
    """Why a phase took what it took, as far as both runs tell."""
    if name == "import":
        return _imports(run, other)
    if name == "load":
        return _loads(run, other)
    if name == "compile":
        return f"{_kernels(run)}; then {_kernels(other)}"
    if name == "convert":
        return _pages(run, other)
    return None


def _imports(run: Run, other: Run) -> str | None:
    if run.start == "resident" and other.start != "resident":
        return "same process: the libraries were imported already"
    if other.start == "resident" and run.start != "resident":
        return "a new process imports its libraries; then the worker was still there"
    if run.start is None or other.start is None:
        return None
    return "both are new processes"


def _loads(run: Run, other: Run) -> str | None:
    if run.start == "resident" and other.loads:
        return f"the {_counted(len(other.loads), 'model')} of job {other.job.id} were loaded in this process already"
    if other.start == "resident" and run.loads:
        return f"{warm(run.loads)}; then the pipeline had been built"
    if run.loads and other.loads:
        return f"{warm(run.loads)}; then {warm(other.loads)}"
    return None


def warm(loads: tuple[Load, ...]) -> str:
    """How much of these models was in RAM before they were read."""
    known = [load for load in loads if load.resident_before is not None]
    total = units.size(sum(load.bytes for load in loads))
    if len(known) < len(loads):
        return f"{total} read, of which it is unknown what was in RAM"
    return f"{units.size(sum(load.resident_before or 0 for load in known))} of {total} were in RAM"


def _kernels(run: Run) -> str:
    built = sum(not kernel.hit for kernel in run.kernels)
    if run.kernels:
        return f"{built} compiled, {len(run.kernels) - built} from a cache"
    return run.compile_note or "nothing compiled that was seen"


def _pages(run: Run, other: Run) -> str | None:
    first, then = sum(first_calls(run).values()), sum(first_calls(other).values())
    if abs(first - then) >= _LEAST:
        return (
            f"first calls took {units.duration(first)} longer than later ones, then {units.duration(then)} (estimate)"
        )
    each, before = _each(run), _each(other)
    return f"{units.duration(each)} a page, then {units.duration(before)}" if each and before else None


def _each(run: Run) -> float | None:
    took = phases(run).get("convert")
    return took / len(run.pages) if took and run.pages else None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
