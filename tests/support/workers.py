"""Run the conversion worker as the process it is, and read what it reports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cachetop.conversion

WORKER = Path(cachetop.conversion.__file__).parent / "worker"
Event = dict[str, Any]


def make_job(folder: Path, files: list[Path], **options: Any) -> Path:
    """A job folder as the launcher makes it."""
    folder.mkdir(mode=0o700, parents=True)
    job: dict[str, Any] = {
        "id": folder.name, "files": [str(file) for file in files], "pipeline": "auto", "device": "auto", "to": ["md"],
        "output": None, "force": False, "keep_warm": 0, "compile": False, "socket": None, "worker": None, "roots": {},
        "created": time.time(),
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps({**job, **options}))
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """A bare environment with a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "OMP_NUM_THREADS": "2", **more}


class Running:
    """A worker process and its first job."""

    def __init__(self, job: Path, env: Mapping[str, str], before: list[str] | None = None) -> None:
        self.job = job
        self.process = subprocess.Popen(
            [*(before or []), sys.executable, str(WORKER), str(job)], env=dict(env), start_new_session=True
        )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def wait_for(self, found: Callable[[Event], bool], job: Path | None = None, seconds: float = 240) -> Event:
        """The first event that `found` accepts."""
        return wait_for(job or self.job, found, seconds)

    def finished(self, job: Path | None = None, seconds: float = 240) -> list[Event]:
        """All events of a job, once its last one is there."""
        self.wait_for(lambda event: event["event"] == "job-finished", job, seconds)
        return events(job or self.job)

    def ended(self, seconds: float = 240) -> int:
        """The exit code, once the process has ended."""
        return self.process.wait(seconds)


def run(job: Path, env: Mapping[str, str]) -> tuple[int, list[Event]]:
    """Run one job to its end: (exit code, events)."""
    with Running(job, env) as worker:
        return worker.ended(), events(job)


def events(job: Path) -> list[Event]:
    """The events so far; a torn last line is left out."""
    try:
        data = (job / "events.jsonl").read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in data.split(b"\n")[:-1] if line]


def wait_for(job: Path, found: Callable[[Event], bool], seconds: float = 240) -> Event:
    """Poll a job's events until one is accepted; AssertionError with the log after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in events(job):
            if found(event):
                return event
        time.sleep(0.02)
    log = job / "stderr.log"
    raise AssertionError(
        f"no such event in {seconds} s; events: {[event['event'] for event in events(job)]}; "
        f"stderr: {log.read_text()[-2000:] if log.exists() else 'none'}"
    )


def named(events: list[Event], *names: str) -> list[Event]:
    """The events of these names."""
    return [event for event in events if event["event"] in names]


def ask(path: Path, **request: Any) -> dict[str, Any]:
    """One request to a resident worker."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(20)
        peer.connect(str(path))
        peer.sendall(json.dumps(request).encode() + b"\n")
        data = b""
        while more := peer.recv(65536):
            data += more
    answer: dict[str, Any] = json.loads(data)
    return answer


def check_schema(events: list[Event], job: str) -> None:
    """What holds for the events of every finished job."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["job"] for event in events} == {job}
    assert all(isinstance(event["time"], float) for event in events)
    assert events[0]["event"] == "job-started"
    assert [event["event"] for event in events].index("job-finished") == len(events) - 1
    open_phases: dict[str, int] = {}
    totals: dict[str, float] = {}
    for event in events:
        if event["event"] == "phase-started":
            assert not open_phases.get(event["phase"]), f"{event['phase']} started twice"
            open_phases[event["phase"]] = 1
        elif event["event"] == "phase-finished":
            assert open_phases.pop(event["phase"]), f"{event['phase']} was not open"
            assert event["seconds"] >= 0
            totals[event["phase"]] = totals.get(event["phase"], 0) + event["seconds"]
        elif event["event"] == "model-loaded":
            assert event["seconds"] >= 0 and event["bytes"] > 0
    assert not open_phases
    last = events[-1]
    assert last["phases"].keys() == totals.keys()
    assert all(abs(last["phases"][phase] - seconds) < 1e-4 for phase, seconds in totals.items())
    assert last["start"] in ("cold", "disk-warm", "resident", None)
    assert (last["start"] is None) == (last["start_reason"] is not None)
