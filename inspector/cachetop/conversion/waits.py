"""What a run waits for, as frozen records: a call that lasts, a step of a phase, and where all is silent."""

from __future__ import annotations

from cachetop.base.record import Record


class Waiting(Record, frozen=True):
    """A call of a stage that has lasted long, and that others wait for."""

    stage: str
    pages: tuple[int, ...]
    seconds: float
    time: float


class Step(Record, frozen=True):
    """What a phase is at: the library that is imported, the repo that the hub is asked for."""

    phase: str
    what: str
    time: float


class Stall(Record, frozen=True):
    """A run that goes on and has not been heard of for long; see `cachetop.conversion.stalled`."""

    phase: str
    since: float
    """When it was last heard of."""
    doing: str
    """What it was at then: `downloading org/model`."""
    bytes: int | None = None
    """How much of that had come; None where nobody counts."""
    total: int | None = None
    pid: int | None = None
    process: str | None = None
    """What the worker's process does now, in words; None where that cannot be seen."""
    read: int | None = None
    """Bytes the worker's process has read from disks since it began."""
