"""What the job reports: `events.jsonl`, one JSON object a line.

A line is appended by one `write`, so a reader sees whole lines, and a killed worker leaves at most a torn
last one. Every event carries `event`, `seq` (from 1, without gaps), `time` (epoch seconds) and `job`.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

_Open = tuple[int, float]


class Recorder:
    """The events of the job that runs now; a resident worker opens it again for every job.

    Thread-safe: docling's stages report from threads of their own. Between jobs nothing is written.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._fd: int | None = None
        self._job = ""
        self._seq = 0
        self._started = 0.0
        self._torn = False
        self._open: dict[str, _Open] = {}
        self.totals: dict[str, float] = {}
        """Seconds of each phase that has finished."""

    def open(self, path: str, job: str) -> None:
        """Start the events of `job` in the file `path` (created 0600). Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        with self._lock:
            self._fd, self._job, self._seq, self._started = fd, job, 0, time.monotonic()
            self._open, self.totals, self._torn = {}, {}, False

    @property
    def job(self) -> str | None:
        """The job that is being recorded; a late thread compares it with the one it began under."""
        return self._job if self._fd is not None else None

    def emit(self, event: str, **fields: Any) -> None:
        """Append one event. A full disk loses events, never the conversion."""
        with self._lock:
            if self._fd is None:
                return
            self._seq += 1
            told = {"event": event, "seq": self._seq, "time": round(time.time(), 6), "job": self._job}
            told.update(fields)
            line = json.dumps(told, ensure_ascii=False, default=str, separators=(",", ":")) + "\n"
            # a file name that is no UTF-8 arrives here with surrogates, which no JSON reader takes
            data = line.encode("utf-8", "replace")
            if self._torn:
                data = b"\n" + data
            try:
                self._torn = os.write(self._fd, data) < len(data)
            except OSError:
                self._torn = True

    def begin(self, phase: str) -> None:
        """Enter a phase; phases nest in themselves and overlap others."""
        with self._lock:
            depth, since = self._open.get(phase, (0, time.monotonic()))
            self._open[phase] = (depth + 1, since)
            if not depth:
                self.emit("phase-started", phase=phase)

    def end(self, phase: str) -> None:
        """Leave a phase entered by `begin`; the outermost end reports its seconds."""
        with self._lock:
            depth, since = self._open.get(phase, (0, 0.0))
            if depth > 1:
                self._open[phase] = (depth - 1, since)
            elif depth == 1:
                del self._open[phase]
                self._took(phase, time.monotonic() - since)

    def was(self, phase: str, seconds: float) -> None:
        """Report a phase that is known only now that it is over; inside an open one, that one covers it."""
        with self._lock:
            if phase not in self._open:
                self.emit("phase-started", phase=phase, time=round(time.time() - seconds, 6))
                self._took(phase, seconds)

    def _took(self, phase: str, seconds: float) -> None:
        self.totals[phase] = self.totals.get(phase, 0.0) + seconds
        self.emit("phase-finished", phase=phase, seconds=round(seconds, 6))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """`begin` and `end` around a block."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    def finish(self, status: str, start: str | None, start_reason: str | None, reason: str | None) -> None:
        """Close every open phase, write `job-finished` as the last event, and stop recording."""
        with self._lock:
            if self._fd is None:
                return
            left: list[str] = list(self._open)
            for phase in left:
                self._open[phase] = (1, self._open[phase][1])
                self.end(phase)
            self.emit(
                "job-finished",
                status=status,
                seconds=round(time.monotonic() - self._started, 6),
                start=start,
                start_reason=start_reason,
                phases={name: round(seconds, 6) for name, seconds in self.totals.items()},
                reason=reason,
            )
            os.close(self._fd)
            self._fd = None
