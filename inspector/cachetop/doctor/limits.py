"""Limits of the kernel that decide how live the picture can be."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from cachetop.doctor.records import Area, Finding
from cachetop.summary import WATCH_FIX

_AREA = Area("limits")
_NEEDED = 4100
"""Watches that the largest watched tree may take: a recursive watch of up to 4,000 folders, and the rest."""
_FEW_INSTANCES = 64
_FEW_FILES = 256


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """inotify watches with what is in use, inotify instances, and open files."""
    watches = _setting("max_user_watches")
    if watches is None:
        reason = "this system has no inotify, or does not tell: changes are found by polling"
        yield _AREA.note("inotify watches", "?", reason)
    else:
        yield judge_watches(watches, *used_watches())
    instances = _setting("max_user_instances")
    if instances is not None and instances < _FEW_INSTANCES:
        fix = "sudo sysctl fs.inotify.max_user_instances=512"
        yield _AREA.warning("inotify instances", str(instances), "few: other programs may leave none", fix)
    else:
        yield _AREA.ok("inotify instances", "?" if instances is None else str(instances))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FEW_FILES:
        yield _AREA.warning("open files", str(soft), "few: large scans may fail", "ulimit -n 1024")
    else:
        yield _AREA.ok("open files", str(soft), f"hard limit {hard}")


def judge_watches(limit: int, used: int, unseen: int) -> Finding:
    """Whether enough watches are left. `unseen`: processes of this user that could not be counted."""
    value = f"{used} of {limit} in use"
    if limit - used < _NEEDED:
        reason = "few are left: large caches are polled instead of watched"
        return _AREA.warning("inotify watches", value, reason, WATCH_FIX)
    return _AREA.ok("inotify watches", value, f"{unseen} of your processes could not be counted" if unseen else None)


def _setting(name: str) -> int | None:
    try:
        return int(Path("/proc/sys/fs/inotify", name).read_text())
    except (OSError, ValueError):
        return None


def used_watches() -> tuple[int, int]:
    """inotify watches of this user's processes, and how many of those processes could not be looked into."""
    used = unseen = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        process = f"/proc/{name}"
        try:
            if os.stat(process).st_uid != os.geteuid():
                continue
            descriptors = os.listdir(f"{process}/fd")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            unseen += 1
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(f"{process}/fd/{descriptor}") == "anon_inode:inotify":
                    with open(f"{process}/fdinfo/{descriptor}", "rb") as file:
                        used += sum(line.startswith(b"inotify wd:") for line in file)
            except OSError:
                continue
    return used, unseen
