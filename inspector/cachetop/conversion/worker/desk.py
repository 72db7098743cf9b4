"""Which job is next: takes jobs in from the socket, lets them wait, gives them up, and ends when nobody asks."""

import contextlib
import os
import queue
import stat
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from . import choose
from .control import Control
from .held import take_lock
from .job import Job, load
from .record import Recorder


class Desk:
    """The jobs of one worker. `answer` runs on the socket's threads, everything else on the worker's own."""

    def __init__(self, control: Control, about: Callable[[], dict[str, Any]]) -> None:
        """`about`: what a status says of device and models."""
        self._control = control
        self._about = about
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._accepting = threading.Lock()
        self._closed = False
        self._busy: Job | None = None
        self._waiting: dict[str, tuple[Job, int]] = {}
        """Jobs that wait for their turn, each with its lock, which says that somebody will do it."""
        self._given_up: set[str] = set()
        self._first: Job | None = None
        self._options: dict[str, Any] = {}
        self._idle_since = time.monotonic()
        self.keep_warm = 0.0
        """Seconds for which the worker waits for another job; 0 for not at all."""

    def open(self, job: Job) -> None:
        """Begin with the job that the worker was started for; those that follow have its options."""
        self._first, self._busy = job, job
        self.keep_warm = job.keep_warm
        self._options = job.options
        self._control.listen(lambda: self._queue.put(None))

    def next(self) -> Job | None:
        """Wait for a job until the worker has been idle too long; None when it shall end."""
        while (job := self._wait()) is not None and job.id in self._given_up:
            pass
        return job

    def _wait(self) -> Job | None:
        job = None
        with contextlib.suppress(queue.Empty):
            if not self._closed and not self._control.leaving.is_set():
                job = self._queue.get(timeout=self.keep_warm)
        if job is not None:
            return job
        with self._accepting:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while job is None:
                job = self._queue.get_nowait()  # one that was accepted at the last moment
        return job

    def begin(self, job: Job) -> int:
        """The worker is at `job` now; returns the lock that it waited with, -1 for none."""
        with self._accepting:
            _, held = self._waiting.pop(job.id, (None, -1))
            self._busy = job
        return held

    def release(self, useful: bool) -> None:
        """Be free before the last event: whoever has read that may hand over the next job. A worker that is not
        `useful` any more takes none."""
        with self._accepting:
            self._idle_since, self._busy = time.monotonic(), None
            self._closed = self._closed or ((self.keep_warm <= 0 or not useful) and not self._waiting)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        command = asked.get("cmd")
        if command == "status":
            return self._status()
        if command == "convert":
            return self._accept(asked.get("job"), asked.get("queue") is True)
        if command == "cancel":
            busy = self._busy
            if self._give_up(asked.get("job")):
                return {"ok": True}
            if busy is None or asked.get("job") not in (None, busy.id):
                return {"ok": False, "reason": "this worker does not run that job"}
            self._control.cancel()
            return {"ok": True}
        if command == "unload":
            self._control.leaving.set()
            if self._busy is not None:
                self._control.cancel()
            self._queue.put(None)
            return {"ok": True}
        return {"ok": False, "reason": f"unknown command {command!r}"}

    def _status(self) -> dict[str, Any]:
        busy, first = self._busy, self._first
        return {
            "ok": True,
            "id": first.worker if first else None,
            "pid": os.getpid(),
            **self._about(),
            "idle_seconds": None if busy else round(time.monotonic() - self._idle_since, 3),
            "busy": busy is not None,
            "job": busy.id if busy else None,
            "options": self._options,
        }

    def _give_up(self, name: Any) -> bool:
        """Cancel a job that waits; whether there was one of that name."""
        with self._accepting:
            job, lock = self._waiting.pop(name, (None, -1)) if isinstance(name, str) else (None, -1)
            if job is None:
                return False
            self._given_up.add(job.id)
        recorder = Recorder()
        recorder.open(os.path.join(job.folder, "events.jsonl"), job.id)
        recorder.emit(
            "job-started", files=list(job.files), pipeline=job.pipeline, device=job.device, python=sys.executable,
            versions=choose.versions(), start=None,
        )  # fmt: skip
        recorder.finish("cancelled", None, "the job was cancelled before its turn", None)
        os.close(lock)
        return True

    def _accept(self, folder: Any, queues: bool) -> dict[str, Any]:
        if not isinstance(folder, str) or not os.path.isabs(folder):
            return {"ok": False, "reason": "the job is no absolute path"}
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return {"ok": False, "reason": "the job is no folder of this user"}
        job = load(folder)
        if job.options != self._options:
            return {"ok": False, "reason": "the job has other options than this worker", "options": self._options}
        with self._accepting:
            if self._closed or self._control.leaving.is_set():
                return {"ok": False, "reason": "the worker is ending"}
            if self._busy is not None or self._waiting:
                if not queues:
                    return {"ok": False, "busy": True, "reason": "the worker runs another job"}
                self._waiting[job.id] = job, take_lock(job, "queued")
                self._queue.put(job)
                return {"ok": True, "queued": True}
            self._busy = job
            self.keep_warm = job.keep_warm or self.keep_warm
            self._queue.put(job)
        return {"ok": True}
