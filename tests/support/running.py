"""A job that some process works on, without a worker: its lock says so, its events are told by the test."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cachetop.conversion import folder


@contextmanager
def running_job(pid: int) -> Iterator[Path]:
    """A job that `pid` works on, as its lock says; gives its events file."""
    made = folder.create({"files": ["/a.pdf"], "pipeline": "standard", "device": "cuda:0"})
    with (made.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{pid}\n")
        lock.flush()
        yield made.events


def tell(events: Path, *told: dict[str, Any]) -> None:
    """Append events to the file of a job."""
    with events.open("a") as file:
        for n, event in enumerate(told):
            file.write(json.dumps({"seq": n, "time": 1000.0 + n, "job": events.parent.name, **event}) + "\n")
