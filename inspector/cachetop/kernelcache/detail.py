"""The second pass over the entries: who made them, when they were last used, whether they can still be loaded.

It fills in what the first pass leaves open and never reads an entry twice: what files say is kept until the
entry changes. Only access times and what lies outside the cache (a deleted environment) are looked at anew.
Access times are evidence: every file is opened with O_NOATIME where that is allowed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from cachetop.base.mounts import keeps_access_times
from cachetop.base.turns import in_turns
from cachetop.kernelcache import facts, stale
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Facts, Row, Shelf
from cachetop.kernelcache.ground import UNUSED_AFTER, Ground
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.relations import Relations
from cachetop.kernelcache.scan import Kept, Scanner
from cachetop.kernelcache.shelves import opened

SLICE = 0.02
"""Seconds of work between two stops of a look at every entry."""
_UNTOLD = None, None
_NOT_USED = None, False


def with_detail(
    kernels: Kernels, scanner: Scanner, sms_here: Sequence[str] | None, unused_after: float = UNUSED_AFTER
) -> Kernels:
    """`kernels`, the newest picture of `scanner`, with producers, last uses, build times, states and verdicts.

    `sms_here` are the SMs of the GPUs that count (`sm_86`); None or empty when they are not known, and then no
    entry is called foreign. `unused_after` in seconds. An entry whose detail did not change is the same object as
    the last time.
    """
    return Detail(scanner).whole(kernels, sms_here, unused_after)


class Detail:
    """The second pass, kept up to date: `whole` looks at every entry (`slices` too, in small pieces), `update` at those
    that changed since."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._ground = Ground()
        self._relations = Relations()
        self.outdated = False
        """Whether an update found something that may change the verdicts on entries it did not look at."""

    def whole(self, kernels: Kernels, sms_here: Sequence[str] | None, unused_after: float = UNUSED_AFTER) -> Kernels:
        """As `with_detail`."""
        for _ in self.slices(sms_here, unused_after):
            pass
        return self.filled(kernels)

    def slices(
        self, sms_here: Sequence[str] | None, unused_after: float = UNUSED_AFTER, seconds: float = SLICE
    ) -> Iterator[None]:
        """A whole look that stops every `seconds` for its caller to do something else; at its end, `filled` has all.

        Meanwhile the scanner may bring entries up to date and `update` may be called. First every entry is read, then
        every one is judged: a verdict may rest on what the last of them says.
        """
        self._ground = Ground(tuple(sms_here or ()), unused_after)
        self._relations = Relations()
        places = [(kept, path, list(shelf.rows)) for kept, path, shelf in self._shelves()]
        for _, _, shelf in self._shelves():
            shelf.rows.changed.clear()
        until = time.monotonic() + seconds
        for _ in self._read(places):
            if time.monotonic() >= until:
                yield
                until = time.monotonic() + seconds
        self.outdated = False
        for rows, names in [(shelf.rows, list(shelf.rows)) for _, _, shelf in self._shelves()]:
            for name in in_turns(names, 8):
                if (row := rows.get(name)) is not None:
                    self._judge(row)
                if time.monotonic() >= until:
                    yield
                    until = time.monotonic() + seconds

    def update(self, kernels: Kernels) -> Kernels:
        """`kernels`, the newest picture, with the detail of what changed since the last look; the rest as it was."""
        self.renew()
        return self.filled(kernels)

    def renew(self) -> None:
        """Read and judge what changed since the last look."""
        places = [(kept, path, list(shelf.rows.changed)) for kept, path, shelf in self._shelves() if shelf.rows.changed]
        for kept, path, _ in places:
            kept.shelves[path].rows.changed.clear()
        for row in list(self._read(places)):
            self._judge(row)

    def filled(self, kernels: Kernels) -> Kernels:
        """`kernels`, the newest picture, with the detail that is known by now."""
        return msgspec.structs.replace(kernels, entries=self._scanner.entries())

    def _shelves(self) -> Iterator[tuple[Kept, str, Shelf]]:
        for kept in self._scanner.kept:
            for path, shelf in kept.shelves.items():
                yield kept, path, shelf

    def _read(self, places: Iterable[tuple[Kept, str, list[str]]]) -> Iterator[Row]:
        """Read what is not known yet of the entries at `places`, one after the other; those that went are left out."""
        keeps: dict[str, bool] = {}
        for kept, path, names in places:
            shelf = kept.shelves.get(path)
            if shelf is None or not kept.cache.exists or not names:
                continue
            if kept.id not in keeps:
                keeps[kept.id] = keeps_access_times(kept.root) is not False
            place = os.path.join(kept.root, path)
            with opened(kept.root, path) as folder:
                for name in in_turns(names, 8) if folder is not None else ():
                    row = shelf.rows.get(name)
                    if row is None or folder is None:
                        continue
                    known = row.facts
                    if known is None or row.open:
                        known = row.learn(facts.read(row.entry, folder, place, name, self._ground))
                    row.use = _use(row.entry, folder, name, known) if keeps[kept.id] else _UNTOLD
                    self.outdated |= self._relations.add(row)
                    yield row

    def _judge(self, row: Row) -> None:
        entry, known = row.entry, row.facts
        if known is None or row.use is None:
            return
        if row.use[1] is None and entry.part == "triton":
            row.use = self._relations.used_by_graphs(row) or row.use
        maker = row.maker
        found = msgspec.structs.replace(
            entry,
            state="relocated" if row.state == "complete" and known.elsewhere is not None else row.state,
            producer=maker if known.producer == UNKNOWN_PRODUCER else known.producer,
            last_used=_last_used(entry, row.use),
            reused=row.use[1],
            target=known.code_sm,
            build_milliseconds=row.build_milliseconds,
            stale=stale.verdicts(row, known, self._ground, self._relations),
        )
        row.named = maker
        if found != entry:
            row.entry = found
            self._scanner.entries_changed()


def _last_used(entry: Entry, use: tuple[float | None, bool | None]) -> float | None:
    """Its last disk hit; when it was made where there was provably none since, or where it never became usable."""
    if use[0] is not None:
        return use[0]
    return entry.created if use[1] is False or entry.state == "orphan" else None


def _use(entry: Entry, folder: int, name: str, known: Facts) -> tuple[float | None, bool | None]:
    """(last use, whether there was one since it was made), by the access time of the witness."""
    if known.witness is None:
        return _UNTOLD
    try:
        found = os.lstat(f"{name}/{known.witness}" if known.within else known.witness, dir_fd=folder)
    except OSError:
        return _UNTOLD
    if found.st_atime_ns > found.st_mtime_ns:
        return found.st_atime, None if known.read_by_maker else True
    # Inductor's static launcher reads its Triton entries without this file: no trace is no proof there.
    return _UNTOLD if entry.part == "triton" or known.read_by_maker else _NOT_USED
