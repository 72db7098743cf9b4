"""Job folders: `job.json`, `events.jsonl`, `stderr.log`, `lock` and outputs, private to the user.

The folder is all there is of a job, so whoever wants to watch, re-attach or look back reads it, and nothing
is lost with the terminal. What a job is doing follows from its events and from the lock its worker holds
while it works: held means alive. A process id alone proves nothing, so none is ever trusted here.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cachetop.base.files import DIRECTORY, read_bounded
from cachetop.base.hostile import clean
from cachetop.conversion.events import Event, last
from cachetop.conversion.records import Job
from cachetop.conversion.values import STATES, number, sequence, text
from cachetop.locations import state_dir

KEEP_SECONDS = 90 * 86400
KEEP_BYTES = 2 * 10**9
STARTING_SECONDS = 60.0
"""How long a job without a held lock and without an event counts as queued rather than lost."""
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}\Z")


@dataclass(frozen=True, slots=True)
class JobFolder:
    """One job's folder."""

    path: Path

    @property
    def id(self) -> str:
        """The job's id: the folder's name, which sorts by time (UTC)."""
        return self.path.name

    @property
    def events(self) -> Path:
        """The events file; it appears with the first event."""
        return self.path / "events.jsonl"

    @property
    def stderr(self) -> Path:
        """Everything the worker and its libraries printed."""
        return self.path / "stderr.log"

    @property
    def outputs(self) -> Path:
        """Where outputs go when no folder was asked for."""
        return self.path / "outputs"

    @property
    def unwanted(self) -> Path:
        """A mark left by whoever cancels the job: if its worker dies of that, it was cancelled and did not fail."""
        return self.path / "cancel"

    def spec(self) -> dict[str, Any]:
        """What was asked for (`job.json`). Raises ValueError or OSError when it cannot be read."""
        found = json.loads(read_bounded(str(self.path / "job.json"), 4 << 20))
        if not isinstance(found, dict):
            raise ValueError(f"{self.path / 'job.json'} does not hold a JSON object")
        return found

    def write(self, spec: dict[str, Any]) -> None:
        """Write `job.json` whole or not at all."""
        fresh = self.path / ".job.json.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump(spec, file, indent=1)
        fresh.replace(self.path / "job.json")

    def rewrite(self, spec: dict[str, Any]) -> None:
        """Write `job.json` anew, keeping the `id` and `created` it was given."""
        kept = self.spec()
        self.write({**spec, "id": kept["id"], "created": kept["created"]})

    def holder(self) -> int | None:
        """The process id written in the lock while it is held, 0 when it is held and tells none; None when free."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            # A worker takes the lock before it writes into it, and does not wait for it: an empty one is left
            # alone, lest this look at it be what the worker fails on.
            if not os.fstat(descriptor).st_size:
                return None
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            written = os.pread(descriptor, 32, 0).split()
            return int(written[0]) if written and written[0].isdigit() else 0
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _waits(self) -> bool:
        """Whether the worker that holds the lock has another job to finish first."""
        try:
            return read_bounded(str(self.path / "lock"), 64).split()[1:] == [b"queued"]
        except OSError:
            return False

    def job(self) -> Job | None:
        """This job as it stands now; None when `job.json` cannot be read."""
        try:
            spec = self.spec()
        except (OSError, ValueError):
            return None
        holder = self.holder()  # before the events: once it is free, the events are complete
        finished = last(self.events, "job-finished")
        created = number(spec.get("created"))
        started = created if created is not None else _stamp(self.id)
        status = text(finished.get("status")) if finished else None
        return Job(
            id=self.id,
            state=self._state(finished, holder, started),
            files=tuple(clean(str(file)) for file in sequence(spec.get("files"))),
            pipeline=clean(str(spec.get("pipeline", "auto"))),
            device=clean(str(spec.get("device", "auto"))),
            started=started,
            seconds=number(finished.get("seconds")) if finished else None,
            folder=str(self.path),
            pid=holder or None,
            status=status if status in STATES else None,
        )

    def _state(self, finished: Event | None, holder: int | None, started: float) -> str:
        if finished:
            return STATES.get(text(finished.get("status")) or "", "failed")
        if holder is not None:
            return "queued" if self._waits() else "running"
        begun = any((_mark(path) or (0, 0))[1] for path in (self.events, self.path / "lock"))
        return "queued" if not begun and time.time() - started < STARTING_SECONDS else "lost"


def jobs_dir() -> Path:
    """The folder that holds every job's folder. Not created."""
    return state_dir() / "jobs"


def create(spec: dict[str, Any]) -> JobFolder:
    """A new job folder (0700) with its `job.json`; `id` and `created` are filled in. Raises OSError."""
    base = jobs_dir()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        now = time.time()
        # the last four digits are the fraction of the second, so that ids sort by time within it too
        name = f"{datetime.fromtimestamp(int(now), UTC):%Y%m%d-%H%M%S}-{int(now % 1 * 65536):04x}"
        try:
            (base / name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        folder = JobFolder(base / name)
        folder.write({**spec, "id": name, "created": now})
        return folder


def folders() -> Iterator[JobFolder]:
    """Every job folder, newest first."""
    try:
        names = os.listdir(jobs_dir())
    except OSError:
        return
    for name in sorted(filter(_ID.match, names), reverse=True):
        yield JobFolder(jobs_dir() / name)


class Listing:
    """All jobs, newest first, read cheaply again and again: a finished job is read once."""

    def __init__(self) -> None:
        self._finished: dict[Path, tuple[tuple[int, int], Job]] = {}

    def jobs(self) -> tuple[Job, ...]:
        """The jobs as they stand now."""
        found, kept = [], {}
        for folder in folders():
            mark = _mark(folder.events)
            known = self._finished.get(folder.path)
            job = known[1] if known and known[0] == mark else folder.job()
            if job is None:
                continue
            found.append(job)
            if job.status and job.pid is None and mark:
                kept[folder.path] = (mark, job)
        self._finished = kept
        return tuple(sorted(found, key=lambda job: (job.started, job.id), reverse=True))


def find(name: str | None = None) -> JobFolder:
    """The folder of the job called `name`, or by a unique part of its id; without a name the newest.

    Raises LookupError with a sentence.
    """
    every = list(folders())
    if name is None:
        if not every:
            raise LookupError("there is no job yet; `cachetop convert FILE` starts one")
        return every[0]
    hits = [folder for folder in every if folder.id == name] or [
        folder for folder in every if name and name in folder.id
    ]
    if not hits:
        raise LookupError(f"there is no job {clean(name)}; `cachetop jobs` lists them")
    if len(hits) > 1:
        raise LookupError(
            f"{clean(name)} fits {len(hits)} jobs; write more of the id ({', '.join(f.id for f in hits[:4])})"
        )
    return hits[0]


def tidy(now: float | None = None) -> list[str]:
    """Remove finished jobs older than 90 days, and the oldest while all jobs together exceed 2 GB.

    Only folders with a job's name, of this user, whose job has ended are touched, by directory descriptor and
    without following a symlink. Returns the ids that went.
    """
    moment = time.time() if now is None else now
    try:
        base = os.open(jobs_dir(), DIRECTORY)
    except OSError:
        return []
    gone = []
    try:
        sizes = {folder: _size(folder.path) for folder in folders()}
        total = sum(sizes.values())
        for folder in reversed(list(sizes)):
            job = folder.job()
            if job is None or job.state in ("queued", "running") or folder.holder() is not None:
                continue
            if moment - job.started <= KEEP_SECONDS and total <= KEEP_BYTES:
                continue
            try:
                status = os.stat(folder.id, dir_fd=base, follow_symlinks=False)
            except FileNotFoundError:
                continue  # another process tidies, too
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                shutil.rmtree(folder.id, ignore_errors=True, dir_fd=base)
                total -= sizes[folder]
                gone.append(folder.id)
    finally:
        os.close(base)
    return gone


def _size(path: Path) -> int:
    """Allocated bytes of the regular files below `path`."""
    total = 0
    for _, _, files, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in files:
            try:
                total += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
            except OSError:
                continue
    return total


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _stamp(name: str) -> float:
    """The time an id was made from, epoch seconds."""
    try:
        return datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
