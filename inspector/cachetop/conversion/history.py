"""Looking at jobs, past and present: one job's picture, and the run before it."""

from __future__ import annotations

from cachetop.conversion.events import read
from cachetop.conversion.fold import Fold
from cachetop.conversion.folder import JobFolder, folders
from cachetop.conversion.records import Run

_FARTHEST = 200


def picture(folder: JobFolder) -> Run:
    """A job's events folded into one picture. Raises ValueError when its `job.json` cannot be read."""
    job = folder.job()
    if job is None:
        raise ValueError(f"{folder.path / 'job.json'} cannot be read, so nothing is known of job {folder.id}")
    fold = Fold(job)
    for event in read(folder.events):
        fold.feed(event)
    return fold.run()


def previous(run: Run) -> JobFolder | None:
    """The newest earlier job of the same files that came to an end; None when there is none near."""
    looked = 0
    for folder in folders():
        if folder.id >= run.job.id:
            continue
        looked += 1
        if looked > _FARTHEST:
            return None
        job = folder.job()
        if job and job.files == run.job.files and job.status in ("success", "partial"):
            return folder
    return None
