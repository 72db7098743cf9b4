"""Stopping a job: softly, so that the models stay warm; then by signal; then for good."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cachetop.conversion import death, workers
from cachetop.conversion.events import last
from cachetop.conversion.folder import JobFolder
from cachetop.conversion.process import Held, here
from cachetop.conversion.records import Job
from cachetop.conversion.values import mapping, text

SOFT_SECONDS = 2.0
TERM_SECONDS = 5.0
_TICK = 0.05


class CannotCancel(RuntimeError):
    """The job cannot be reached from here; the message says why and what to do."""


def cancel(folder: JobFolder) -> Job | None:
    """Stop a job and wait until it has stopped; returns it as it stands then (None: job.json is unreadable).

    The worker is asked first, gets SIGTERM after 2 s and SIGKILL after 5 s more. A job that has ended is left
    alone. Raises CannotCancel when its worker runs on another machine or does not go.
    """
    job = folder.job()
    if job is None or job.state not in ("queued", "running"):
        return job
    spec = folder.spec()
    host = mapping(spec.get("host"))
    if host and host.get("id") != here()["id"]:
        name = text(host.get("name")) or "another machine"
        raise CannotCancel(f"job {folder.id} was started on {name}, out of reach from here; cancel it there")
    folder.unwanted.touch(0o600)
    if not _wait(folder, 10.0, for_holder=True):
        death.record(folder)  # its worker never came
        return folder.job()
    if not _ask(folder, text(spec.get("socket"))):
        _signal(folder, signal.SIGTERM)
    for patience, step in ((SOFT_SECONDS, signal.SIGTERM), (TERM_SECONDS, signal.SIGKILL)):
        if _wait(folder, patience):
            break
        _signal(folder, step)
    else:
        if not _wait(folder, TERM_SECONDS):
            raise CannotCancel(f"the worker of job {folder.id} did not end; it may hang in the driver (`ps -o stat`)")
    return _settled(folder)


def _settled(folder: JobFolder) -> Job | None:
    """The job once its end is written, by this process or by another that saw it too and is just writing it."""
    deadline = time.monotonic() + SOFT_SECONDS
    while True:
        death.record(folder)
        job = folder.job()
        if job is None or job.state not in ("queued", "running") or time.monotonic() > deadline:
            return job
        time.sleep(_TICK)


def _ask(folder: JobFolder, path: str | None) -> bool:
    if not path:
        return False
    with contextlib.suppress(OSError, ValueError):
        return workers.request(Path(path), {"cmd": "cancel", "job": folder.id}).get("ok") is True
    return False


@contextlib.contextmanager
def _holder(folder: JobFolder) -> Iterator[Held | None]:
    """The process that holds the job's lock, or None when that cannot be said for certain."""
    pid = folder.holder()
    if not pid:
        yield None
        return
    try:
        process = Held(pid)
    except OSError:
        yield None
        return
    with process:
        yield process if process.opened(folder.path / "lock") and os.getpid() != pid else None


def _signal(folder: JobFolder, number: signal.Signals) -> None:
    with _holder(folder) as process:
        if process is not None:
            process.send(number)


def _wait(folder: JobFolder, seconds: float, for_holder: bool = False) -> bool:
    """Wait until the job has ended, or with `for_holder` until a worker has taken it up."""
    deadline = time.monotonic() + seconds
    while True:
        holder = folder.holder()
        if holder if for_holder else holder is None:
            return True
        if last(folder.events, "job-finished"):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
