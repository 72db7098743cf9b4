"""Signals to GPU processes, through a pidfd: they reach the process that was seen, or none.

A pid alone may have been reused since the sample. A pidfd is opened first, then the start time is compared: from
then on the descriptor stands for that process and no other (pidfd_open(2), pidfd_send_signal(2)).
"""

from __future__ import annotations

import os
import signal

from cachetop.base.readonly import is_read_only
from cachetop.base.record import why
from cachetop.gpu import processes
from cachetop.gpu.records import Process

SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}
"""The signals that are offered, gentlest first."""
MEANINGS = {
    "INT": "as Ctrl+C: most programs stop what they do and end in good order",
    "TERM": "asks the program to end; it may clean up first",
    "KILL": "ends it at once: nothing is saved, locks and partial files stay behind",
}


class NotSent(Exception):
    """The signal was not sent; the message is a sentence that says why."""


def refusal(process: Process, *, simulated: bool = False, read_only: bool = False) -> str | None:
    """Why this process is never signalled from here; None when it may be."""
    if read_only or is_read_only():
        return "cachetop is in read-only mode: it sends no signals."
    if simulated:
        return "This process is simulated: there is nothing to send a signal to."
    if process.host_pid:
        return "This pid is of the host, seen from inside a container: here it may be another process."
    if process.ticks is None:
        return "It is not known when this process started, so it cannot be told from a later one with its pid."
    if process.pid in (1, os.getpid()):
        return "This is cachetop itself." if process.pid != 1 else "This is the first process of the system."
    return None


def send(process: Process, name: str, *, simulated: bool = False, read_only: bool = False) -> None:
    """Send the signal `name` (a key of `SIGNALS`) to exactly this process. Raises NotSent."""
    refused = refusal(process, simulated=simulated, read_only=read_only)
    if refused:
        raise NotSent(refused)
    pid = process.pid
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise NotSent(f"Process {pid} has ended.") from None
    except OSError as error:
        raise NotSent(f"Process {pid} cannot be held fast, so nothing was sent: {why(error)}.") from error
    try:
        if processes.start_ticks(pid) != process.ticks:
            raise NotSent(f"Process {pid} has ended, and its pid belongs to another one now: nothing was sent.")
        if processes.in_nested_namespace() and not processes.uses_cuda(pid):
            raise NotSent(f"Process {pid} uses no GPU as seen from this container: nothing was sent.")
        signal.pidfd_send_signal(descriptor, SIGNALS[name])
    except ProcessLookupError:
        raise NotSent(f"Process {pid} has ended.") from None
    except PermissionError:
        raise NotSent(f"Process {pid} belongs to another user: only its owner or root may signal it.") from None
    except OSError as error:
        raise NotSent(f"Process {pid} could not be signalled: {why(error)}.") from error
    finally:
        os.close(descriptor)
