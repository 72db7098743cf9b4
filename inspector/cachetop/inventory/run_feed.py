"""The conversions, live: their events files are tailed while one runs, else looked at once a second."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from cachetop.conversion.events import Tail
from cachetop.conversion.fold import Fold
from cachetop.conversion.folder import JobFolder, Listing, jobs_dir
from cachetop.conversion.records import Job, Jobs, Run, Worker
from cachetop.conversion.stalled import look, quiet
from cachetop.conversion.workers import workers
from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import RunsChanged

LIVE = ("queued", "running")
_STEADY = 10.0
"""Seconds after which a run is looked at less often, as it is once its pages come."""
_EVIDENCE = 1.0
"""Seconds between two looks at the process of a run that is stuck."""
LIST_EVERY = 10
"""All jobs are listed and all resident workers asked every so many looks, and when a job folder comes or goes."""


class RunFeed(Feed):
    """Publishes `RunsChanged` with all jobs and the `most` newest runs, and every one that is live."""

    name = "runs"

    def __init__(self, publish: Publish, most: int = 12) -> None:
        super().__init__(publish)
        self._most = most
        self._listing = Listing()
        self._followed: dict[str, tuple[Fold, Tail]] = {}
        self._jobs: tuple[Job, ...] = ()
        self._workers: tuple[Worker, ...] = ()
        self._stalled: dict[str, tuple[float, Run]] = {}
        self._shown: RunsChanged | None = None
        self._looks = 0
        self._mark: int | None = None

    def look(self) -> float:
        """Read what was appended since the last look."""
        mark = _mtime(jobs_dir())
        if self._looks % LIST_EVERY == 0 or mark != self._mark:
            self._mark = mark
            self._jobs, self._workers = self._listing.jobs(), workers()
        self._looks += 1
        followed = [job for n, job in enumerate(self._jobs) if n < self._most or job.state in LIVE]
        self._followed = {job.id: self._followed.get(job.id) or _opened(job) for job in followed}
        runs = tuple(self._run(job) for job in followed)
        if any(run.finished and job.state in LIVE for run, job in zip(runs, followed, strict=True)):
            self._looks = 0  # it ended: its lock tells the rest
        update = RunsChanged(Jobs(jobs=self._jobs, workers=self._workers), runs)
        if update != self._shown:
            self._shown = update
            self.publish(update)
        return _pause(runs)

    def _run(self, job: Job) -> Run:
        fold, tail = self._followed[job.id]
        fold.job = job
        for event in tail.poll():
            fold.feed(event)
        return self._watched(fold.run())

    def _watched(self, run: Run) -> Run:
        """The run with what it is stuck at, which is looked for once a second."""
        now = time.time()
        if run.job.state not in LIVE or quiet(run, now) is None:
            self._stalled.pop(run.job.id, None)
            return run
        looked, shown = self._stalled.get(run.job.id, (0.0, run))
        if now - looked >= _EVIDENCE or shown.heard != run.heard:
            shown = look(run, now)
            self._stalled[run.job.id] = now, shown
        return shown


def _pause(runs: Iterable[Run]) -> float:
    """Seconds until the next look: a run shows tenths of a second at first, its pages come without end."""
    live = [run for run in runs if run.job.state in LIVE]
    if not live:
        return 1.0
    now = time.time()
    return 0.1 if any(not run.pages and now - run.job.started < _STEADY for run in live) else 0.3


def _opened(job: Job) -> tuple[Fold, Tail]:
    return Fold(job), Tail(JobFolder(jobs_dir() / job.id).events)


def _mtime(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
