"""Who a pid is: user, command, start time, container, from /proc (proc(5)), of which nothing is trusted.

The driver names pids of the host. Seen from a pid namespace of its own, such a pid may be absent or belong to
an unrelated process here, so there it is believed only of a process that uses CUDA.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cachetop.base.hostile import clean, mask, show
from cachetop.base.users import user_name
from cachetop.gpu import proc

_INITIAL_NAMESPACE = "pid:[4026531836]"
_CONTAINER = re.compile(rb"[/:-]([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
_SLURM = re.compile(rb"/job_(\d{1,12})(?:/|$)", re.MULTILINE)
_MAPS_LIMIT = 8 << 20
_COMMAND_LIMIT = 4096
_KEPT_SECONDS = 20.0
_YOUNG_SECONDS = 5.0
_MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Who:
    """One process. `started` is in epoch seconds, `ticks` its start in clock ticks since boot.

    With the pid, `ticks` names a process for good. `host_pid`: the number is of another pid namespace, nothing
    here is known about it, and it must never be signalled.
    """

    pid: int
    ticks: int | None = None
    user: str | None = None
    command: str | None = None
    started: float | None = None
    container: str | None = None
    inspectable: bool = False
    host_pid: bool = False
    note: str | None = None


class Processes:
    """Looks pids up. `nested` says whether this process is in a pid namespace of its own; None finds out.

    What was found is kept for 20 s while the pid stays the same process, except of one younger than 5 s, which may
    still become another program.
    """

    def __init__(self, nested: bool | None = None) -> None:
        self.nested = in_nested_namespace() if nested is None else nested
        self._kept: dict[int, tuple[float, Who]] = {}

    def describe(self, pid: int) -> Who:
        """What can be told about a pid that the driver named. Never raises."""
        ticks, now = start_ticks(pid), time.monotonic()
        until, who = self._kept.get(pid, (0.0, None))
        if who is not None and who.ticks == ticks and now < until:
            return who
        who = self._look(pid, ticks)
        if who.started is not None and time.time() - who.started > _YOUNG_SECONDS:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[pid] = (now + _KEPT_SECONDS, who)
        return who

    def _look(self, pid: int, ticks: int | None) -> Who:
        if self.nested and (ticks is None or not uses_cuda(pid)):
            return Who(pid, host_pid=True, note="host pid: a process outside this container")
        if ticks is None:
            return Who(pid, note="ended, or hidden from this user")
        status = _read(pid, "status", 16_384)
        inner = _inner_pid(status)
        return Who(
            pid=pid,
            ticks=ticks,
            user=_user(status),
            command=command_line(arguments(pid)) or _comm(pid),
            started=_epoch(ticks),
            container=container(_read(pid, "cgroup", 16_384)),
            inspectable=_readable(pid),
            note=None if inner is None else f"pid {inner} in its own namespace",
        )


def in_nested_namespace() -> bool:
    """Whether pids of the host mean something else here; True as well when that cannot be told."""
    try:
        return os.readlink("/proc/self/ns/pid") != _INITIAL_NAMESPACE
    except OSError:
        return True


def start_ticks(pid: int) -> int | None:
    """Start of a process in clock ticks since boot (field 22 of /proc/PID/stat); None when it is gone."""
    # the command name before it may hold spaces and parentheses
    fields = _read(pid, "stat", 4096).rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def arguments(pid: int) -> tuple[bytes, ...]:
    """The command line as the process was started, unmasked: to search in, never to show."""
    return tuple(_read(pid, "cmdline", 65_536).split(b"\0")[:256])


def read_maps(pid: int) -> bytes | None:
    """The process's memory map, at most 8 MiB of it; None when it may not be inspected or is gone."""
    try:
        return proc.read(f"/proc/{pid}/maps", _MAPS_LIMIT)
    except OSError:
        return None


def open_files(pid: int) -> list[tuple[int, bytes]] | None:
    """(descriptor, what it is open on) of a process; None when it may not be inspected or is gone."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    found = []
    for number in numbers:
        try:
            found.append((int(number), os.readlink(f"/proc/{pid}/fd/{number}".encode())))
        except OSError:
            continue
    return found


def uses_cuda(pid: int) -> bool:
    """Whether the process maps libcuda or holds an NVIDIA device."""
    if re.search(rb"/libcuda\.so[.\d]*(?: \(deleted\))?$", read_maps(pid) or b"", re.MULTILINE):
        return True
    return any(target.startswith(b"/dev/nvidia") for _, target in open_files(pid) or ())


def command_line(words: tuple[bytes, ...]) -> str | None:
    """The arguments on one line, safe to show: secrets are masked argument by argument, spaces kept inside."""
    shown: list[str] = []
    previous = ""
    for word in words:
        text = clean(word, _COMMAND_LIMIT)
        name, equals, _ = text.partition("=")
        if previous and "=" not in previous and _secret(f"{previous} "):
            shown.append("****")
        elif equals and _secret(f"{name}="):
            shown.append(f"{name}=****")
        else:
            shown.append(mask(text))
        previous = text
    return clean(" ".join(shown).strip(), _COMMAND_LIMIT) or None


def _secret(name: str) -> bool:
    """Whether what follows `name` would be masked."""
    return not mask(f"{name}value").endswith("value")


def _read(pid: int, name: str, limit: int) -> bytes:
    try:
        return proc.read(f"/proc/{pid}/{name}", limit)
    except OSError:
        return b""


def _comm(pid: int) -> str | None:
    name = _read(pid, "comm", 64).strip()
    return f"[{show(name)}]" if name else None


def _line(status: bytes, key: bytes) -> list[bytes]:
    for line in status.split(b"\n"):
        if line.startswith(key):
            return line[len(key) :].split()
    return []


def _user(status: bytes) -> str | None:
    ids = _line(status, b"Uid:")
    return user_name(int(ids[1])) if len(ids) > 1 else None


def _inner_pid(status: bytes) -> int | None:
    pids = _line(status, b"NSpid:")
    return int(pids[-1]) if len(pids) > 1 else None


def container(cgroup: bytes) -> str | None:
    """From /proc/PID/cgroup: the 12 characters of the id that docker, podman and kubernetes show, or a Slurm job."""
    found = _CONTAINER.search(cgroup)
    if found:
        return found[1][:12].decode()
    job = _SLURM.search(cgroup)
    return f"slurm job {job[1].decode()}" if job else None


def _readable(pid: int) -> bool:
    """Whether its maps may be read: the kernel decides when they are opened."""
    try:
        os.close(os.open(f"/proc/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@cache
def _boot_time() -> float | None:
    try:
        lines = Path("/proc/stat").read_bytes().split(b"\n")
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), None)


def _epoch(ticks: int) -> float | None:
    boot = _boot_time()
    return None if boot is None else boot + ticks / os.sysconf("SC_CLK_TCK")
