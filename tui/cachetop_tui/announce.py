"""What is said outside the screen when a conversion ends: the window's title and a bell."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop.conversion.records import Job, Jobs

_GOING = ("queued", "running")
_WORDS = {"done": "done", "failed": "failed", "cancelled": "cancelled", "lost": "lost"}


class Announcer:
    """Compares the jobs with those it was told before."""

    def __init__(self) -> None:
        self._going: frozenset[str] = frozenset()

    def note(self, jobs: Jobs) -> list[Job]:
        """The jobs that went on at the last call and have ended since."""
        ended = [job for job in jobs.jobs if job.id in self._going and job.state not in _GOING]
        self._going = frozenset(job.id for job in jobs.jobs if job.state in _GOING)
        return ended

    @property
    def going(self) -> int:
        """How many conversions run or wait."""
        return len(self._going)


def title(going: int, ended: list[Job]) -> str:
    """The window's title: what ended just now, else what runs."""
    if ended:
        job = ended[0]
        name = clean(job.files[0].rpartition("/")[2], 60) if job.files else "conversion"
        return f"cachetop: {name} {_WORDS.get(job.state, 'ended')}"
    if going:
        return f"cachetop: {going} conversion{'s' if going > 1 else ''} running"
    return "cachetop"
