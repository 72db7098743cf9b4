"""What would make the next run faster, with the seconds and bytes that were measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cachetop.base import units
from cachetop.conversion.compare import phases
from cachetop.conversion.records import Load, Run, Worker
from cachetop.conversion.verdicts import Advice

_WORTH = 0.25
"""The share of a run above which saving it is worth a word."""
_MOST = 0.5
"""The share of the page work from which a stage is named in the advice."""
_OPTIONAL = {"table": "--no-tables", "ocr": "--no-ocr"}
"""Stages that can be left out, and how."""


def of_run(run: Run, stages: dict[str, float]) -> Iterator[Advice]:
    """From one run: `stages` are the seconds of each."""
    times = phases(run)
    ready = times.get("import", 0.0) + times.get("load", 0.0)
    if run.status in ("success", "partial") and run.start != "resident" and ready > _WORTH * (run.job.seconds or 0) > 0:
        message = (
            f"keep the worker for the next run: saves {units.duration(ready)} each time; `--keep-warm 600` leaves it "
            "there for ten minutes, libraries imported and models loaded"
        )
        yield Advice(saves=ready, message=message)
    if run.start == "cold" and run.loads:
        message = "the weights are in RAM now: the next start is disk-warm for as long as nothing pushes them out"
        yield Advice(saves=None, message=message)
    total = sum(stages.values())
    for stage, flag in _OPTIONAL.items():
        if total > 0 and stages.get(stage, 0.0) > _MOST * total and run.status in ("success", "partial"):
            message = (
                f"the {stage} stage is {stages[stage] / total:.0%} of the page work, {units.duration(stages[stage])}; "
                f"where it is not needed, {flag} leaves it out"
            )
            yield Advice(saves=None, message=message)
    yield from _twice(run)
    if times.get("compile") and any(not kernel.hit for kernel in run.kernels):
        message = (
            "what was compiled is in the kernel cache now: the next run with the same shapes traces again but "
            "compiles less; without --compile-torch-models nothing is compiled"
        )
        yield Advice(saves=None, message=message)
    for notice in run.notices:
        if notice.hint:
            yield Advice(saves=None, message=notice.hint)


def of_workers(resident: tuple[Worker, ...]) -> Iterator[Advice]:
    """Models that several resident workers hold, each its own copy, because their options differ."""
    held: dict[str, list[Worker]] = {}
    for worker in resident:
        for model in worker.models:
            held.setdefault(model, []).append(worker)
    for model, holders in held.items():
        if len(holders) > 1:
            names = " and ".join(worker.id for worker in holders)
            copies = [one for worker in holders[1:] for one in worker.held if one.model == model]
            known = copies if len(copies) == len(holders) - 1 else []
            more = _cost([one.seconds for one in known], [one.vram or one.bytes for one in known])
            message = (
                f"{model} is loaded in {len(holders)} resident workers ({names}), whose options or devices differ"
                f"{more}: one set of options shares it; `cachetop jobs unload` ends the others"
            )
            yield Advice(saves=_sum([one.seconds for one in known]), message=message)


def _twice(run: Run) -> Iterator[Advice]:
    """Models that were loaded more than once in one run, and what the later loads cost."""
    found: dict[str, list[Load]] = {}
    for load in run.loads:
        name = load.path or load.repo
        if name:
            found.setdefault(name, []).append(load)
    for name, (_, *again) in found.items():
        if again:
            seconds = [load.seconds for load in again]
            more = _cost(seconds, [load.bytes for load in again])
            message = (
                f"{name} was loaded {len(again) + 1} times in this run{more}: "
                "options that differ make a copy of each model"
            )
            yield Advice(saves=_sum(seconds), message=message)


def _cost(seconds: list[float | None], sizes: list[int | None]) -> str:
    """What copies beyond the first took and hold, as far as it was measured."""
    took, held = _sum(seconds), _sum(sizes)
    parts = [f"took {units.duration(took)} to load"] if took is not None else []
    parts += [f"hold {units.size(held)} more"] if held else []
    return f" (copies beyond the first {' and '.join(parts)})" if parts else ""


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; None where there is nothing, or one of them is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
