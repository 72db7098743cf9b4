"""A model and a kernel are two things: this run's models against this run's kernels, row by row."""

from __future__ import annotations

from cachetop.base import units
from cachetop.conversion.records import Run


def rows(run: Run) -> list[tuple[str, str, str]]:
    """(what, of the models, of the kernels); what the run did not tell is `?`."""
    built = [kernel for kernel in run.kernels if not kernel.hit]
    kernels = len(run.kernels)
    known = [kernel.bytes for kernel in run.kernels if kernel.bytes is not None]
    counted = [kernel.files for kernel in run.kernels if kernel.files is not None]
    read = [load.files for load in run.loads if load.files is not None]
    none = "–"
    return [
        ("in this run", str(len(run.loads)), f"{len(built)} compiled, {kernels - len(built)} from a cache"),
        (
            "bytes",
            units.size(sum(load.bytes for load in run.loads)) if run.loads else none,
            (_least(known, kernels) + units.size(sum(known)) if known else units.UNKNOWN) if kernels else none,
        ),
        (
            "files",
            (str(sum(read)) if len(read) == len(run.loads) else units.UNKNOWN) if run.loads else none,
            (f"{_least(counted, kernels)}{sum(counted)}" if counted else units.UNKNOWN) if kernels else none,
        ),
        ("made", "once, when the model was trained", _made(run) if kernels else none),
        ("by", _published(run), ", ".join(sorted({kernel.cache for kernel in run.kernels})) or none),
        ("runs on", "any machine with room for it", _portable(run) if kernels else none),
        ("lost, it costs", "a download", _rebuild(run) if kernels else "nothing: none was needed"),
    ]


def _published(run: Run) -> str:
    names = [load.repo.partition("/")[0] for load in run.loads if load.repo]
    return ", ".join(dict.fromkeys(names)) or "–"


def _made(run: Run) -> str:
    built = [kernel.time for kernel in run.kernels if not kernel.hit]
    return f"here, from {units.clock(min(built))} on" if built else "here, in an earlier run"


def _portable(run: Run) -> str:
    sms = sorted({kernel.sm for kernel in run.kernels if kernel.sm})
    return f"only {', '.join(sms)}" if sms else "only this kind of processor"


def _rebuild(run: Run) -> str:
    built = [kernel.milliseconds for kernel in run.kernels if not kernel.hit]
    known = [milliseconds for milliseconds in built if milliseconds is not None]
    took = f"{_least(known, len(built))}{units.duration(sum(known) / 1000)}"
    return f"{took} of compiling, as measured here" if known else "compiling again"


def _least(known: list[int] | list[float], of: int) -> str:
    """What stands before the sum of the values that are known, where some are not."""
    return "at least " if len(known) < of else ""
