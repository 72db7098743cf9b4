"""The second pass over the entries: who made them, when they were last used, whether they can still be loaded.

It fills in what the first pass leaves open and never reads an entry twice: what files say is kept until the
entry changes. Only access times and what lies outside the cache (a deleted environment) are looked at anew.
Access times are evidence: every file is opened with O_NOATIME where that is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from cachetop.base.mounts import keeps_access_times
from cachetop.kernelcache import facts, stale
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Row
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Kept, Scanner
from cachetop.kernelcache.shelves import open_folder


def with_detail(kernels: Kernels, scanner: Scanner, sms_here: Sequence[str] | None) -> Kernels:
    """`kernels`, the newest picture of `scanner`, with producers, last uses, build times, states and verdicts.

    `sms_here` are the SMs of the GPUs that count (`sm_86`); None or empty when they are not known, and then no
    entry is called foreign. An entry whose detail did not change is the same object as the last time.
    """
    ground = stale.Ground(tuple(sms_here or ()))
    better: dict[int, Entry] = {}
    for kept in scanner.kept:
        if not kept.cache.exists:
            continue
        atime = keeps_access_times(kept.root) is not False
        for path, shelf in kept.shelves.items():
            if not shelf.rows:
                continue
            with _opened(kept, path) as folder:
                if folder is None:
                    continue
                for name, row in shelf.rows.items():
                    better[id(row.entry)] = _detail(kept, folder, path, name, row, atime, ground)
    entries = tuple(better.get(id(entry), entry) for entry in kernels.entries)
    return msgspec.structs.replace(kernels, entries=entries)


@contextmanager
def _opened(kept: Kept, path: str) -> Iterator[int | None]:
    """The folder of a shelf, opened from the root down without following a symlink; None when that fails."""
    try:
        handle: int | None = os.open(kept.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        handle = None
    for part in path.split("/"):
        if handle is not None and part != ".":
            outer, handle = handle, open_folder(part, handle)
            os.close(outer)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _detail(kept: Kept, folder: int, path: str, name: str, row: Row, atime: bool, ground: stale.Ground) -> Entry:
    entry = row.entry
    if row.facts is None or row.open:
        row.facts = facts.read(entry, folder, os.path.join(kept.root, path), name, ground)
    known = row.facts
    last_used, reused = _use(entry, folder, name, known.witness) if atime else (None, None)
    state = entry.state
    if state == "complete" and known.elsewhere is not None:
        state = "relocated"
    found = msgspec.structs.replace(
        entry,
        state=state,
        producer=entry.producer if known.producer == UNKNOWN_PRODUCER else known.producer,
        last_used=last_used,
        reused=reused,
        target=known.code_sm,
        build_milliseconds=known.build_milliseconds,
        stale=stale.verdicts(entry, known, ground),
    )
    if row.detailed == found:
        return row.detailed
    row.detailed = found
    return found


def _use(entry: Entry, folder: int, name: str, witness: str | None) -> tuple[float | None, bool | None]:
    """(last use, whether there was one since it was made), by the access time of the witness."""
    if witness is None:
        return None, None
    try:
        found = os.lstat(witness, dir_fd=folder)
    except OSError:
        return None, None
    if found.st_atime_ns > found.st_mtime_ns:
        return found.st_atime, True
    # Inductor's static launcher reads its Triton entries without this file: no trace is no proof there.
    return None, None if entry.part == "triton" else False
