"""What a worker holds of a job's folder: its lock, and the log that all its output goes to."""

import contextlib
import fcntl
import os
import sys

from .job import Job


def take_lock(job: Job, word: str, held: int = -1) -> int:
    """Lock a job and write who has it: this process, and `queued` while it waits. Raises OSError."""
    path = os.path.join(job.folder, "lock")
    lock = held if held >= 0 else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    with contextlib.suppress(OSError):  # a full disk takes the name, not the lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {word}".rstrip().encode() + b"\n", 0)
    return lock


def send_output_to(path: str) -> None:
    """Let stdout and stderr be the file at `path`: docling's libraries print to both."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
