"""Which files processes have open or mapped now, by inode, and how many processes would not say.

From /proc/PID/maps and /proc/PID/fd (proc(5)), which need the same user or root. Paths may differ between
containers; an inode does not. On file systems without a block device (overlay, btrfs) maps shows another device than
stat does: there the path itself is looked at, when it lies below a root that matters.

This process counts like any other: a notebook holds its models. What cachetop itself has open for a moment does not; it
opens with O_NOATIME, as nothing does that uses a cache.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cachetop.base.hostile import clean
from cachetop.base.residency import WINDOWS
from cachetop.base.turns import in_turns
from cachetop.base.users import user_name

_MAPPED = re.compile(rb"^([0-9a-f]+)-\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)$", re.MULTILINE)
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_MOST = 64 << 20
_NOATIME = getattr(os, "O_NOATIME", 0)


@dataclass(slots=True)
class InUse:
    """One look at all processes."""

    users: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    """(st_dev, st_ino) of regular files -> the processes that have them open or mapped."""
    cuda: set[int] = field(default_factory=set)
    """Processes that have the CUDA driver loaded."""
    torch: set[int] = field(default_factory=set)
    """Processes that have torch loaded."""
    uninspectable: int = 0

    def loaded(self, kind: str, key: str) -> set[int]:
        """The processes that count on an entry without a file of it open: CUDA's driver on its cache, Inductor on the
        headers it has compiled once, which it does not look for again.
        """
        if kind == "cuda-driver":
            return self.cuda
        return self.torch if (kind, key) == ("inductor", "precompiled_headers") else set()


def look(roots: Sequence[str] = ()) -> InUse:
    """Look now. `roots` are the cache roots that matter. Never raises."""
    below = tuple(os.fsencode(os.path.realpath(root)) + b"/" for root in roots)
    found = InUse()
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in in_turns(names):
        if name.isdigit():
            _process(int(name), below, found)
    return found


def who(pid: int) -> str:
    """A process as people know it: `pid 41877 (python, ana)`, as far as /proc tells."""
    known = []
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        known.append(clean(file.read(64).decode("utf-8", "replace").strip()))
    with suppress(OSError):
        known.append(user_name(os.stat(f"/proc/{pid}").st_uid))
    return f"pid {pid} ({', '.join(known)})" if known else f"pid {pid}"


def _process(pid: int, below: tuple[bytes, ...], found: InUse) -> None:
    denied, mine = False, pid == os.getpid()
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            maps = file.read(_MOST)
    except PermissionError:
        maps, denied = b"", True
    except OSError:
        return  # ended meanwhile
    lines = _MAPPED.findall(maps)
    if mine and WINDOWS:
        lines = [line for line in lines if int(line[0], 16) not in WINDOWS]
    for major, minor, inode, path in {line[1:] for line in lines}:
        _mapping(pid, major, minor, inode, path, below, found)
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        numbers, denied = [], True
    except OSError:
        return
    for number in numbers:
        try:
            status = os.stat(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and not (mine and _is_a_look(int(number))):
            found.users.setdefault((status.st_dev, status.st_ino), set()).add(pid)
    if denied and not _is_kernel_thread(pid):
        found.uninspectable += 1


def _is_a_look(descriptor: int) -> bool:
    """Whether a descriptor of this process is cachetop's own, reading without leaving a trace."""
    try:
        return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & _NOATIME)
    except OSError:
        return True  # closed meanwhile


def _mapping(
    pid: int, major: bytes, minor: bytes, inode: bytes, path: bytes, below: Sequence[bytes], found: InUse
) -> None:
    device = os.makedev(int(major, 16), int(minor, 16))
    found.users.setdefault((device, int(inode)), set()).add(pid)
    if b"/libcuda.so" in path:
        found.cuda.add(pid)
    if b"/libtorch_cpu.so" in path:
        found.torch.add(pid)
    if major == b"00" and path.startswith(tuple(below)):
        try:
            status = os.lstat(path)
        except OSError:
            return
        if status.st_ino == int(inode):
            found.users.setdefault((status.st_dev, status.st_ino), set()).add(pid)


def _is_kernel_thread(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            flags = int(file.read(4096).rpartition(b")")[2].split()[6])
    except (OSError, ValueError, IndexError):
        return False
    return bool(flags & _KERNEL_THREAD)
