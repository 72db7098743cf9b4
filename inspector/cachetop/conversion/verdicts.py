"""What is concluded from a run, as frozen records: causes, advice, a comparison, the whole report (`cachetop.job/1`).

Durations are seconds, sizes bytes, times epoch seconds.
"""

from __future__ import annotations

from cachetop.base.record import Record
from cachetop.conversion.records import Document, KernelSeen, Load, Notice, Run, VramUse

JOB_SCHEMA = "cachetop.job/1"


class Verdict(Record, frozen=True):
    """One cause of what a run took: what it was, its seconds where they were measured, and a sentence."""

    cause: str
    seconds: float | None
    message: str


class Advice(Record, frozen=True):
    """What would make the next run faster; `saves` in seconds where this run's own numbers tell."""

    saves: float | None
    message: str


class Comparison(Record, frozen=True):
    """Two runs side by side: phase -> (seconds of this run, seconds of the other); None where one has none."""

    against: str
    phases: dict[str, tuple[float | None, float | None]]
    seconds: tuple[float | None, float | None] = (None, None)
    """The whole of this run and of the other."""
    start: tuple[str | None, str | None] = (None, None)
    reasons: dict[str, str] = {}
    """Phase -> why the two differ, as far as both runs tell."""
    bars: tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]] = ((), ())
    """The two bars on one scale: (phase, seconds) in order; the phase '' is time that no phase covers."""


class JobReport(Record, frozen=True, kw_only=True):
    """One job in depth: what its time went into, and why (`cachetop.job/1`)."""

    schema: str = JOB_SCHEMA
    id: str
    state: str
    status: str | None
    files: tuple[str, ...]
    pipeline: str
    device: str
    started: float
    seconds: float | None
    folder: str
    start: str | None
    start_reason: str | None
    phases: dict[str, float]
    """Phase -> seconds; a phase that did not happen is not in it."""
    first_calls: dict[str, float]
    """Stage -> seconds its first call took longer than its later ones: an estimate of first use."""
    tokens: int | None
    """Tokens a vision-language model wrote; None where none was used."""
    stages: dict[str, float]
    """Stage -> seconds summed over the pages. Stages of different pages overlap, so their sum may exceed `convert`."""
    models: tuple[Load, ...]
    kernels: tuple[KernelSeen, ...]
    vram: tuple[VramUse, ...]
    """One for each GPU that was seen; empty on a CPU."""
    pages: int
    documents: tuple[Document, ...]
    notices: tuple[Notice, ...]
    verdict: tuple[Verdict, ...]
    advice: tuple[Advice, ...]
    comparison: Comparison | None


class Examined(Record, frozen=True):
    """A report with the runs it was drawn from, for views that show their time lines too."""

    report: JobReport
    run: Run
    other: Run | None = None
    """The run it is compared with."""
