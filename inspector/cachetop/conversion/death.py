"""The last words of a job whose worker died without any: written by whoever sees the death first."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from cachetop.base.hostile import show
from cachetop.conversion.events import last, read
from cachetop.conversion.fold import Fold
from cachetop.conversion.folder import JobFolder
from cachetop.conversion.records import Run

_TAIL = 4096
_WHOLE_TAIL = 256 * 1024
VMSTAT = Path("/proc/vmstat")
_HINTS = {
    signal.SIGKILL: "Signal 9 often comes from the kernel's out-of-memory killer: `dmesg` tells. Close what else uses "
    "memory, or convert fewer pages at a time.",
    signal.SIGSEGV: "A library crashed; the end of the job's stderr.log shows where.",
}


def oom_kills() -> int | None:
    """How many processes the kernel's out-of-memory killer has ended since the boot; None where it does not tell."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text("ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def record(folder: JobFolder, returncode: int | None = None, kills: int | None = None) -> bool:
    """Append `error` and `job-finished` for a job whose worker is gone; returns whether that was done.

    Nothing is written while the lock is held or when `job-finished` is there. `returncode` is as subprocess
    gives it, negative for a signal, None when nobody knows; `kills` is `oom_kills` when the worker was started. A job
    that was to be cancelled is cancelled.
    """
    try:
        lock = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if last(folder.events, "job-finished"):
            return False
        (folder.path / "password").unlink(missing_ok=True)
        _append(folder, returncode, kills, folder.unwanted.exists())
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _append(folder: JobFolder, returncode: int | None, kills: int | None, cancelled: bool) -> None:
    job = folder.job()
    if job is None:
        return
    fold, sequence = Fold(job), 0
    for event in read(folder.events):
        fold.feed(event)
        sequence = max(sequence, event["seq"] if isinstance(event.get("seq"), int) else 0)
    run, now = fold.run(), time.time()
    told: list[dict[str, Any]] = []
    if not cancelled:
        message, hint = words(folder, returncode, kills, _document(run))
        told.append({"event": "error", "message": message, "hint": hint})
    told.append(
        {
            "event": "job-finished",
            "status": "cancelled" if cancelled else "failed",
            "seconds": round(max(0.0, now - job.started), 6),
            "start": run.start,
            "start_reason": run.start_reason,
            "phases": {phase.name: phase.seconds for phase in run.phases if phase.seconds is not None},
            "reason": "killed" if cancelled else "worker-died",
        }
    )
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder.events, flags, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and not _ends_line(folder, size)
        lines = "\n" if torn else ""
        for number, event in enumerate(told, sequence + 1):
            name = event.pop("event")
            lines += json.dumps({"event": name, "seq": number, "time": round(now, 6), "job": folder.id, **event}) + "\n"
        os.write(descriptor, lines.encode("ascii"))
    finally:
        os.close(descriptor)


def _ends_line(folder: JobFolder, size: int) -> bool:
    descriptor = os.open(folder.events, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.pread(descriptor, 1, size - 1) == b"\n"
    finally:
        os.close(descriptor)


def _document(run: Run) -> str | None:
    """The document that was being converted when the events end; None where none was."""
    working = any(phase.name == "convert" and phase.open for phase in run.phases)
    return next((one.file for one in run.documents if one.status is None), None) if working else None


def words(
    folder: JobFolder, returncode: int | None, kills: int | None = None, document: str | None = None
) -> tuple[str, str | None]:
    """What happened, in which document, with the last thing the worker printed, and a hint."""
    hint = None
    during = f" while it converted {document}" if document else ""
    now = oom_kills()
    if returncode == -signal.SIGKILL and kills is not None and now is not None and now > kills:
        return (
            f"the worker of job {folder.id} was killed{during}, with the kernel's out-of-memory killer at work: memory "
            "ran out",
            "Close what else uses memory, convert fewer pages at a time, or take a smaller pipeline (native).",
        )
    if returncode is None:
        how = "ended without a word; only the process that started it knows its exit status"
    elif returncode < 0:
        try:
            name = signal.Signals(-returncode).name
            hint = _HINTS.get(signal.Signals(-returncode))
        except ValueError:
            name = str(-returncode)
        how = f"was ended by signal {name}"
    else:
        how = f"ended with exit status {returncode} and no result"
    printed = stderr(folder, 1)
    quoted = f"; it last printed: {printed[-1]}" if printed else ""
    if hint is None and printed:
        hint = f"everything it printed is in {folder.stderr}"
    if document:
        before = f"{hint.rstrip('.')}. " if hint else ""
        hint = f"{before}Leave that file out and convert the others, or try another pipeline."
    return f"the worker of job {folder.id} {how}{during}{quoted}", hint


def printed(folder: JobFolder, lines: int) -> list[str]:
    """The last non-empty lines of what the worker printed, at most the last 256 KB of it, safe to show."""
    return stderr(folder, lines, _WHOLE_TAIL)


def stderr(folder: JobFolder, lines: int, tail: int = _TAIL) -> list[str]:
    """The last non-empty lines of what the worker printed, looked for in its last `tail` bytes, safe to show."""
    try:
        descriptor = os.open(folder.stderr, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, tail, max(0, size - tail)).decode("utf-8", "replace")
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return [show(line, 300) for line in text.splitlines() if line.strip()][-lines:]
