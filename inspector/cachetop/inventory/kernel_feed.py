"""The kernel caches, live: a new entry is published as soon as its folder is there, then stage by stage.

Three kinds of look, by what they cost: entries in flight are read alone every 50 ms; a *quick* look, when the
watcher or the clock wakes the feed, lists the folders whose time stamp moved and reads what is new; a *whole* one
looks at every entry's access time and verdicts again, at most one fiftieth of the time, and stops every 20 ms for
what the other two have to read. Where the watcher says which path moved (`touched`), that entry alone is read,
whatever the size of the cache; a cache in which it announces every change (`covered`) is not polled at all.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import KernelsChanged
from cachetop.kernelcache.detail import Detail
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location

IN_FLIGHT_PAUSES = ((10.0, 0.05), (60.0, 0.5), (600.0, 2.0))
"""(entries in flight unchanged for up to n seconds, look again after m seconds)."""
SHARE = 4
"""A picture of very many entries costs milliseconds in which little else runs. Between two of them pass four times as
many, in which what is announced is read; it is in the next one."""
MANY = 5000
"""Entries from which on that is so."""
AT_ONCE = 64
"""Announced entries that are read before they are published, so that the first of a burst do not wait for the last."""
WHOLE_EVERY = 10.0
"""Seconds between two whole looks, at least; fifty times what one costs when that is more."""


class KernelFeed(Feed):
    """Publishes `KernelsChanged`. Between two looks nothing is read; the watcher or the clock wakes it.

    `sms` says which SMs this machine has, None while that is unknown; a verdict on foreign SMs needs it. `covered`
    says, by their paths in `roots`, in which caches every file and folder that comes, moves or goes is `touched` now
    (a recursive watch): their clock is that of the whole looks alone. Whoever calls it must `wake` the feed once the
    watch is there.
    """

    name = "kernels"

    def __init__(
        self,
        publish: Publish,
        roots: Sequence[Location],
        sms: Callable[[], Sequence[str] | None],
        interval: float = 1.0,
        covered: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        super().__init__(publish)
        self._scanner = Scanner(roots)
        self._detail = Detail(self._scanner)
        self._sms = sms
        self._interval = interval
        self._covered = covered
        self._graph = Kernels()
        self._detailed: Kernels | None = None
        self._shown: Kernels | None = None
        self._judged_for: Sequence[str] | None = None
        self._moved = 0.0
        self._quick_at = 0.0
        self._whole_at = 0.0
        self._flight_at = 0.0
        self._show_at = 0.0
        self._woken = True
        self._touched: deque[str] = deque()
        self._real = {kept.id: os.path.realpath(kept.root) for kept in self._scanner.kept}

    def touched(self, path: str) -> None:
        """Look now at the entry that the file or folder at `path` belongs to, and at nothing else."""
        self._touched.append(path)
        super().wake()

    def wake(self) -> None:
        """Look again now, also for what is not in flight, and also where every change is announced."""
        self._woken = True
        super().wake()

    def look(self) -> float:
        """Look at what may have changed, publish it; while an entry is in flight, look again within 50 ms."""
        began = time.monotonic()
        if self._detailed is None or began >= self._whole_at or self._sms() != self._judged_for:
            self._whole()
        else:
            self._soon()
            if self._detail.outdated:
                now = time.monotonic()
                self._whole_at = min(self._whole_at, now + 20 * (now - began) + self._interval)
        if self._touched:
            return 0.0
        next_at = min(self._quick_at, self._whole_at)
        if self._graph is not self._detailed:
            next_at = min(next_at, self._show_at)
        pause = max(0.0, next_at - time.monotonic())
        return min(pause, self._pause_in_flight()) if self._scanner.in_flight() else pause

    def _whole(self) -> None:
        """Look at every entry, names and sizes first; what comes meanwhile goes before the rest."""
        began = time.monotonic()
        first = self._detailed is None
        self._woken = False
        self._touched.clear()
        self._take(self._scanner.scan(progress=self._first_rows if first else None, entries=False))
        if self.stopped:
            return
        if first:
            self._scanner.forget_born()
            self._show(self._detail.filled(self._graph), frozenset())
        else:
            born = self._scanner.born()
            self._show(self._detail.update(self._graph), born)
        self._detailed = self._graph
        self._quick_at = time.monotonic() + self._interval
        sms = self._sms()  # the first look takes long enough for the GPUs to be known by now
        for _ in self._detail.slices(sms):
            if self.stopped:
                return
            if self._due():
                self._soon()
        self._judged_for = sms
        self._show(self._detail.filled(self._graph), frozenset())
        now = time.monotonic()
        self._whole_at = now + max(WHOLE_EVERY, 50 * (now - began))

    def _first_rows(self, kernels: Kernels) -> None:
        """What is known in the middle of the first scan."""
        if not self.stopped:
            self.publish(KernelsChanged(kernels))

    def _due(self) -> bool:
        """Whether something is waiting that is quickly read."""
        now = time.monotonic()
        if self._touched or self._woken or now >= self._quick_at:
            return True
        if self._graph is not self._detailed and now >= self._show_at:
            return True
        return now >= self._flight_at and bool(self._scanner.in_flight())

    def _soon(self) -> None:
        """Read what was touched or is in flight and, when woken or when it is time, what is new elsewhere."""
        began = time.monotonic()
        woken, self._woken = self._woken, False
        touched = [self._touched.popleft() for _ in range(min(len(self._touched), AT_ONCE))]  # the rest: next look
        announced = self._announced()
        looked: frozenset[str] = frozenset()
        if woken or (began >= self._quick_at and not self._touched):  # listing takes time that a burst has not
            left = frozenset() if woken else announced
            looked = frozenset(kept.id for kept in self._scanner.kept) - left
            self._take(self._scanner.scan(quick=True, but=left, entries=False))
            now = time.monotonic()
            self._quick_at = now + max(self._interval, 50 * (now - began))
        for cache, paths in self._waiting(touched, announced, looked).items():
            self._take(self._scanner.rescan(cache, paths, entries=False))
        if self._graph is not self._detailed:
            self._detail.renew()
            self._show_in_time()
        self._flight_at = time.monotonic() + self._pause_in_flight()

    def _show_in_time(self) -> None:
        """Publish what is new, unless that was just done."""
        began = time.monotonic()
        if began >= self._show_at:
            self._show(self._detail.filled(self._graph), self._scanner.born())
            self._detailed = self._graph
            if self._shown is not None and len(self._shown.entries) >= MANY:
                now = time.monotonic()
                self._show_at = now + SHARE * (now - began)

    def _waiting(
        self, touched: Sequence[str], announced: frozenset[str], looked: frozenset[str]
    ) -> dict[str, set[str]]:
        """The paths to read, by cache: entries in flight or touched, but not in the caches that were `looked` at.

        Where every change is announced, a path of no entry counts too: a folder of entries that came or went.
        """
        found: dict[str, set[str]] = {}
        for cache, path in self._scanner.in_flight():
            if cache not in looked:
                found.setdefault(cache, set()).add(path)
        for changed in touched:
            for cache, root in self._real.items():
                if cache not in looked and changed.startswith(f"{root}/"):
                    below = changed[len(root) + 1 :]
                    owner = self._scanner.owner(cache, below) or (below if cache in announced else None)
                    if owner is not None:
                        found.setdefault(cache, set()).add(owner)
        return found

    def _announced(self) -> frozenset[str]:
        """The caches in which every change is announced now."""
        found = set()
        paths = self._covered()
        for kept in self._scanner.kept if paths else ():
            if kept.location.path in paths:
                self._real[kept.id] = os.path.realpath(kept.root)
                found.add(kept.id)
        return frozenset(found)

    def _take(self, graph: Kernels) -> None:
        if graph is not self._graph:
            self._graph = graph
            self._moved = time.monotonic()

    def _pause_in_flight(self) -> float:
        quiet = time.monotonic() - self._moved
        return next((pause for limit, pause in IN_FLIGHT_PAUSES if quiet < limit), 5.0)

    def _show(self, kernels: Kernels, appeared: frozenset[tuple[str, str]]) -> None:
        if kernels != self._shown:
            self._shown = kernels
            self.publish(KernelsChanged(kernels, appeared))
