"""What cachetop's own workers say they hold in VRAM, told to those who attribute it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cachetop.conversion.records import Run, Worker
from cachetop.conversion.usage import weights_on
from cachetop.gpu.attribution import Attribution


def tell(attribution: Attribution, runs: Sequence[Run], workers: Iterable[Worker] = ()) -> None:
    """Tell what resident workers answer, and what the events of live runs say: that has bytes, too."""
    for worker in workers:
        if worker.device.startswith("cuda"):
            for name in worker.models:
                if "/" in name:  # a repo; others are files that no cache holds
                    attribution.report(worker.pid, None, name, None, None)
    for run in runs:
        if run.finished is None and run.job.pid and (run.device or "").startswith("cuda"):
            for load in run.loads:
                if load.repo and load.seconds is not None:
                    attribution.report(run.job.pid, None, load.repo, load.revision, load.vram or load.bytes)
            _tell_allocators(attribution, run.job.pid, run)


def _tell_allocators(attribution: Attribution, pid: int, run: Run) -> None:
    for one in run.allocators:
        attribution.report_allocator(pid, None, one.allocated, one.reserved, one.uuid, one.time)
        if run.loads:  # a resident worker that loads nothing still has what it loaded before
            known = None if run.start == "resident" else sum(weights_on(run, one.gpu).values()) or None
            attribution.report_weights(pid, None, known, one.uuid)


def tell_now(attribution: Attribution) -> None:
    """For a single look: asks the resident workers and reads the live jobs."""
    from cachetop.conversion.folder import JobFolder, Listing
    from cachetop.conversion.history import picture
    from cachetop.conversion.workers import workers
    from cachetop.inventory.run_feed import LIVE

    live = [job for job in Listing().jobs() if job.state in LIVE]
    tell(attribution, [picture(JobFolder(Path(job.folder))) for job in live], workers())
