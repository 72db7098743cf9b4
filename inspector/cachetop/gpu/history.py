"""How the VRAM of each process went over the last ten minutes, and when its models were first seen."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from cachetop.gpu.records import Gpus

SECONDS = 600.0
_MOST = 2400
Key = tuple[int, int]


@dataclass(slots=True)
class _Course:
    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MOST))
    models: dict[str, tuple[float, str]] = field(default_factory=dict)


class History:
    """Notes samples, in the thread that samples; may be read from any."""

    def __init__(self) -> None:
        self._courses: dict[Key, _Course] = {}
        self._lock = threading.Lock()

    def note(self, gpus: Gpus) -> None:
        """Remember one sample; what left the GPUs is forgotten. A sample without a driver changes nothing."""
        if not gpus.available:
            return
        memory: dict[Key, int | None] = {}
        models: dict[Key, dict[str, str]] = {}
        for gpu in gpus.gpus:
            for process in gpu.processes:
                if process.ticks is not None:
                    key = (process.pid, process.ticks)
                    before = memory.get(key, 0)
                    memory[key] = None if before is None or process.memory is None else before + process.memory
                    models.setdefault(key, {}).update({model.repo: model.evidence for model in process.models})
        with self._lock:
            self._courses = {key: self._courses.get(key) or _Course() for key in memory}
            for key, used in memory.items():
                course = self._courses[key]
                if used is not None:  # what the driver does not say is no 0
                    _append(course.samples, gpus.time, used)
                for repo, evidence in models[key].items():
                    course.models.setdefault(repo, (gpus.time, evidence))

    def memory(self, pid: int, ticks: int | None) -> tuple[tuple[float, int], ...]:
        """(epoch seconds, bytes on all GPUs) of a process, only where it changed; oldest first."""
        with self._lock:
            course = self._courses.get((pid, ticks or 0))
            return tuple(course.samples) if course else ()

    def models(self, pid: int, ticks: int | None) -> tuple[tuple[float, str, str], ...]:
        """(epoch seconds, repo, evidence) when each model was first seen with a process; oldest first."""
        with self._lock:
            course = self._courses.get((pid, ticks or 0))
            found = course.models.items() if course else ()
            return tuple(sorted((moment, repo, evidence) for repo, (moment, evidence) in found))


def _append(samples: deque[tuple[float, int]], moment: float, used: int) -> None:
    """Of a stretch without change the first and the last sample are enough."""
    if len(samples) > 1 and samples[-1][1] == samples[-2][1] == used:
        samples.pop()
    samples.append((moment, used))
    while len(samples) > 1 and samples[1][0] < moment - SECONDS:
        samples.popleft()
