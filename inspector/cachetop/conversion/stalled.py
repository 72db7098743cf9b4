"""A run that goes on and has not been heard of for long: in which phase, at what, since when, what its process does.

The worker cannot tell this itself: while a library is mapped or a page of weights comes from a slow disk, none of its
threads may run. So whoever watches tells it, from the events and from proc(5), whose `stat` and `io` answer however
long the process waits. Pages are another matter: there the worker names the call that lasts (`waiting`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cachetop.base import units
from cachetop.conversion.records import Run
from cachetop.conversion.waits import Stall

PATIENCE = 15.0
"""Seconds without an event from which a phase counts as stalled."""
_PHASES = ("import", "load", "compile")
_STATES = (
    ("T", "its process is stopped by a signal (kill -CONT goes on)"),
    ("D", "its process waits for a disk or a network file system"),
    ("R", "its process computes"),
    ("S", "its process sleeps"),
)
"""States of threads (proc(5)), the one that tells most first, and what they mean."""


def look(run: Run, now: float) -> Run:
    """The run, with `stalled` filled in where that is so as of `now` (epoch seconds). Never raises."""
    found = quiet(run, now)
    if found is None:
        return run
    pid = run.job.pid
    if pid is not None:
        found = msgspec.structs.replace(found, pid=pid, process=process(pid), read=read(pid))
    return msgspec.structs.replace(run, stalled=found)


def quiet(run: Run, now: float) -> Stall | None:
    """What a run that goes on was at when it was last heard of, if that is long ago; by its events alone."""
    going = run.finished is None and run.job.state == "running" and run.waiting is None
    if not going or run.heard is None or now - run.heard < PATIENCE:
        return None
    open_ = [phase for phase in run.phases if phase.open and phase.name in _PHASES]
    if not open_:
        return None
    phase = max(open_, key=lambda one: one.spans[-1][0])
    since = phase.spans[-1][0]
    _, doing, got, total = max(_at(run, phase.name, since), key=lambda one: one[0])
    return Stall(phase=phase.name, since=run.heard, doing=doing, bytes=got, total=total)


_At = tuple[float, str, int | None, int | None]


def _at(run: Run, phase: str, since: float) -> Iterator[_At]:
    """What the phase was at: (when that was told, in words, bytes so far, bytes in all)."""
    yield since, {"import": "importing", "load": "loading the models", "compile": "compiling"}[phase], None, None
    step = run.step
    if step is not None and step.phase == phase and step.time >= since:
        yield step.time, f"{'importing' if phase == 'import' else 'asking the hub for'} {step.what}", None, None
    if phase != "load":
        return
    for fetched in run.downloads:
        if fetched.total is None or fetched.bytes < fetched.total:
            name = fetched.repo if fetched.file == "*" else f"{fetched.repo} {fetched.file}"
            yield fetched.time, f"downloading {name}", fetched.bytes, fetched.total
    for load in run.loads:
        if load.seconds is None:
            name = load.repo or os.path.basename(load.path or "") or "a model"
            done = load.read_seconds is not None
            yield max(load.started, since), f"{'moving' if done else 'reading'} {name}", None, load.bytes or None


def sentence(stall: Stall, now: float) -> str:
    """All of it in one sentence."""
    amount = ""
    if stall.bytes is not None:
        amount = f", {units.size(stall.bytes)} of {units.size(stall.total)}"
    elif stall.total is not None:
        amount = f", {units.size(stall.total)}"
    parts = [f"no news for {units.duration(now - stall.since)} while {stall.doing}{amount}"]
    if stall.process is not None:
        parts.append(f"{stall.process} (pid {stall.pid})")
    if stall.read is not None:
        parts.append(f"it has read {units.size(stall.read)} from disk so far")
    return "; ".join(parts)


def process(pid: int) -> str | None:
    """What the threads of a process do now, in words; None where that cannot be seen."""
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            states.add(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[0])
        except (OSError, IndexError):
            continue  # that thread has ended
    return next((words for letter, words in _STATES if letter in states), None)


def read(pid: int) -> int | None:
    """Bytes that a process has caused to be read from disks so far (proc(5), `read_bytes`); None where not allowed."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    except (OSError, ValueError, StopIteration):
        return None
