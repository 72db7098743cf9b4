"""The second pass over the entries: who made them, when they were last used, whether they can still be loaded.

It fills in what the first pass leaves open and never reads an entry twice: what files say is kept until the
entry changes. Only access times and what lies outside the cache (a deleted environment) are looked at anew.
Access times are evidence: every file is opened with O_NOATIME where that is allowed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence

import msgspec

from cachetop.base.mounts import keeps_access_times
from cachetop.kernelcache import facts, stale
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Row, Rows
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.relations import Relations
from cachetop.kernelcache.scan import Kept, Scanner
from cachetop.kernelcache.shelves import opened


def with_detail(
    kernels: Kernels, scanner: Scanner, sms_here: Sequence[str] | None, unused_after: float = stale.UNUSED_AFTER
) -> Kernels:
    """`kernels`, the newest picture of `scanner`, with producers, last uses, build times, states and verdicts.

    `sms_here` are the SMs of the GPUs that count (`sm_86`); None or empty when they are not known, and then no
    entry is called foreign. `unused_after` in seconds. An entry whose detail did not change is the same object as
    the last time.
    """
    return Detail(scanner).whole(kernels, sms_here, unused_after)


class Detail:
    """The second pass, kept up to date: `whole` looks at every entry, `update` at those that changed since."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._ground = stale.Ground()
        self._relations = Relations()
        self.outdated = False
        """Whether an update found something that may change the verdicts on entries it did not look at."""

    def whole(
        self, kernels: Kernels, sms_here: Sequence[str] | None, unused_after: float = stale.UNUSED_AFTER
    ) -> Kernels:
        """As `with_detail`."""
        self._ground = stale.Ground(tuple(sms_here or ()), unused_after)
        self._relations = Relations()
        self.outdated = False
        self._look((kept, path, shelf.rows) for kept in self._scanner.kept for path, shelf in kept.shelves.items())
        return self._filled(kernels)

    def update(self, kernels: Kernels) -> Kernels:
        """`kernels`, the newest picture, with the detail of what changed since the last look; the rest as it was."""
        self._look(
            (kept, path, set(shelf.rows.changed))
            for kept in self._scanner.kept
            for path, shelf in kept.shelves.items()
            if shelf.rows.changed
        )
        return self._filled(kernels)

    def _look(self, places: Iterable[tuple[Kept, str, Iterable[str]]]) -> None:
        rows: list[tuple[Rows, str, Row]] = []
        for kept, path, names in places:
            shelf = kept.shelves[path]
            if not kept.cache.exists or not shelf.rows:
                continue
            atime = keeps_access_times(kept.root) is not False
            with opened(kept.root, path) as folder:
                if folder is not None:
                    place = os.path.join(kept.root, path)
                    for name in names:
                        row = shelf.rows[name]
                        if row.facts is None or row.open:
                            row.facts = facts.read(row.entry, folder, place, name, self._ground)
                        row.use = _use(row.entry, folder, name, row.facts.witness) if atime else (None, None)
                        rows.append((shelf.rows, name, row))
            shelf.rows.changed.clear()
        for _, _, row in rows:
            self.outdated |= self._relations.add(row)
        for shelf_rows, name, row in rows:
            self._judge(row)
            if row.detailed is not None:
                shelf_rows.shown[name] = row.detailed

    def _judge(self, row: Row) -> None:
        entry, known = row.entry, row.facts
        if known is None or row.use is None:
            return
        if row.use[1] is None and entry.part == "triton":
            row.use = self._relations.used_by_graphs(row) or row.use
        found = msgspec.structs.replace(
            entry,
            state="relocated" if entry.state == "complete" and known.elsewhere is not None else entry.state,
            producer=entry.producer if known.producer == UNKNOWN_PRODUCER else known.producer,
            last_used=row.use[0],
            reused=row.use[1],
            target=known.code_sm,
            build_milliseconds=known.build_milliseconds,
            stale=stale.verdicts(row, known, self._ground, self._relations),
        )
        if row.detailed != found:
            row.detailed = found

    def _filled(self, kernels: Kernels) -> Kernels:
        every = (shelf.rows.shown.values() for kept in self._scanner.kept for shelf in kept.shelves.values())
        return msgspec.structs.replace(kernels, entries=tuple(itertools.chain.from_iterable(every)))


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
