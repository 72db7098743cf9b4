"""Planning and executing on caches of a test's own, and what is on the disk before and after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cachetop.hub.detail import with_detail as hub_detail
from cachetop.hub.scan import Scanner as HubScanner
from cachetop.kernelcache.detail import with_detail as kernel_detail
from cachetop.kernelcache.scan import Scanner as KernelScanner
from cachetop.locations import Location
from cachetop.prune import kernels, models
from cachetop.prune.draft import Drafting
from cachetop.prune.execute import execute
from cachetop.prune.records import Result
from cachetop.prune.selection import selection
from cachetop.prune.work import Draft


def plan_models(hub: Path, *names: str, keep: Sequence[str] = (), force: bool = False, **chosen: Any) -> Draft:
    """A plan for one hub cache; `chosen` as in `Selection`."""
    scanner = HubScanner([Location("hub", str(hub), "the test says so")])
    into = Drafting([str(hub)], keep=keep, force=force)
    models.draft(hub_detail(scanner.scan(), scanner), scanner, [selection("models", names=names, **chosen)], into)
    return into.done()


def plan_kernels(
    root: Path, *names: str, kind: str = "triton", keep: Sequence[str] = (), force: bool = False, **chosen: Any
) -> Draft:
    """A plan for one kernel cache."""
    scanner = KernelScanner([Location(kind, str(root), "the test says so")])
    into = Drafting([str(root)], keep=keep, force=force)
    picked = selection("kernels", names=names, **chosen)
    kernels.draft(kernel_detail(scanner.scan(), scanner, picked.assume_sm), scanner, picked, into)
    return into.done()


def carry_out(draft: Draft, *, now: bool = True, undo: float = 900) -> Result:
    """Execute with this test's state folder."""
    return execute(draft, state(), now=now, undo=undo)


def state() -> Path:
    """The state folder of this test."""
    return Path(os.environ["CACHETOP_STATE_DIR"])


def allocated(*roots: Path) -> int:
    """Bytes that the regular files below `roots` occupy, each inode once: what `du` counts, without folders."""
    seen = {}
    for root in roots:
        for where, _, names in os.walk(root):
            for name in names:
                about = os.lstat(os.path.join(where, name))
                if os.path.isfile(os.path.join(where, name)) and not os.path.islink(os.path.join(where, name)):
                    seen[about.st_dev, about.st_ino] = about.st_blocks * 512
    return sum(seen.values())


def picture(root: Path) -> dict[str, object]:
    """Every name below `root` with what it is and holds: two equal pictures are equal trees."""
    found: dict[str, object] = {}
    for where, folders, names in os.walk(root):
        for name in folders + names:
            path = Path(where, name)
            if path.is_symlink():
                found[str(path.relative_to(root))] = os.readlink(path)
            else:
                found[str(path.relative_to(root))] = path.read_bytes() if path.is_file() else None
    return found


def trash_of(root: Path) -> list[Path]:
    """The trash folders below a cache root."""
    return sorted(root.glob(".cachetop-trash-*"))
