"""What this very process uses of a plan. Pruning looks at every process but its own; a notebook's holds the models."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

import msgspec

from cachetop.prune.narrow import narrowed
from cachetop.prune.records import Blocked
from cachetop.prune.tree import measure, open_root, opened
from cachetop.prune.work import Draft, Work

_MAPPED = re.compile(rb"^\S+ \S+ \S+ \S+ (\d+) +(/.*)$", re.MULTILINE)  # proc_pid_maps(5)
_Users = dict[tuple[int, int], set[int]]


def respected(draft: Draft) -> Draft:
    """The plan without what this process has open or mapped, which is listed as blocked; forced, as it is.

    Raises OSError when what is left cannot be measured again.
    """
    if draft.force:
        return draft
    users, cuda = _look()
    busy = {
        n for n, work in enumerate(draft.work) if (cuda and work.item.kind == "cuda-driver") or _is_used(work, users)
    }
    if not busy:
        return draft
    me = os.getpid()
    blocked = tuple(
        Blocked(
            path=work.item.path,
            reason=f"in use: open or mapped by this process (pid {me})",
            pids=(me,),
            key=work.item.key,
            size_on_disk=work.item.size_on_disk,
            lifted_by_force=True,
        )
        for number, work in enumerate(draft.work)
        if number in busy
    )
    left = narrowed(draft, set(range(len(draft.work))) - busy)
    left.plan = msgspec.structs.replace(left.plan, blocked=(*left.plan.blocked, *blocked))
    return left


def _look() -> tuple[_Users, bool]:
    """(st_dev, st_ino) of every regular file that is open or mapped here; whether the CUDA driver is loaded."""
    me = {os.getpid()}
    found: _Users = {}
    with open("/proc/self/maps", "rb") as file:
        mapped = set(_MAPPED.findall(file.read()))
    held = {path: int(inode) for inode, path in mapped}
    held |= {b"/proc/self/fd/" + number: 0 for number in os.listdir(b"/proc/self/fd")}
    for path, inode in held.items():
        with suppress(OSError):  # its name is gone, or it was closed meanwhile
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and inode in (0, status.st_ino):
                found[status.st_dev, status.st_ino] = me
    return found, any(b"/libcuda.so" in path for _, path in mapped)


def _is_used(work: Work, users: _Users) -> bool:
    for one in work.moves:
        with suppress(OSError):  # gone meanwhile: executing says so
            root = open_root(one.root)
            try:
                with opened(one.parents, root) as folder:
                    if measure(one.name, folder, users).pids:
                        return True
            finally:
                os.close(root)
    return False
