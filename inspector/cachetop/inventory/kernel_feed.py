"""The kernel caches, live: a new entry is published as soon as its folder is there, then stage by stage.

Three kinds of look, by what they cost: entries in flight are read alone every 50 ms; a *quick* look, when the
watcher or the clock wakes the feed, lists the folders whose time stamp moved and reads what is new; a *whole* one
looks at every entry's access time and verdicts again, at most one fiftieth of the time. Where the watcher says which
path moved (`touched`), that entry alone is read, whatever the size of the cache.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence

from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import KernelsChanged
from cachetop.kernelcache.detail import Detail
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location

IN_FLIGHT_PAUSES = ((10.0, 0.05), (60.0, 0.5), (600.0, 2.0))
"""(entries in flight unchanged for up to n seconds, look again after m seconds)."""
WHOLE_EVERY = 10.0
"""Seconds between two whole looks, at least; fifty times what one costs when that is more."""


class KernelFeed(Feed):
    """Publishes `KernelsChanged`. Between two looks nothing is read; the watcher or the clock wakes it.

    `sms` says which SMs this machine has, None while that is unknown; a verdict on foreign SMs needs it.
    """

    name = "kernels"

    def __init__(
        self,
        publish: Publish,
        roots: Sequence[Location],
        sms: Callable[[], Sequence[str] | None],
        interval: float = 1.0,
    ) -> None:
        super().__init__(publish)
        self._scanner = Scanner(roots)
        self._detail = Detail(self._scanner)
        self._sms = sms
        self._interval = interval
        self._graph: Kernels | None = None
        self._shown: Kernels | None = None
        self._judged_for: Sequence[str] | None = None
        self._moved = 0.0
        self._quick_at = 0.0
        self._whole_at = 0.0
        self._woken = True
        self._touched: deque[str] = deque()
        self._real = {kept.id: os.path.realpath(kept.root) for kept in self._scanner.kept}

    def touched(self, path: str) -> None:
        """Look now at the entry that the file or folder at `path` belongs to, and at nothing else."""
        self._touched.append(path)
        super().wake()

    def wake(self) -> None:
        """Look again now, also for what is not in flight."""
        self._woken = True
        super().wake()

    def look(self) -> float:
        """Look at what may have changed, publish it; while an entry is in flight, look again within 50 ms."""
        began = time.monotonic()
        sms = self._sms()
        first = self._graph is None
        whole = first or began >= self._whole_at or sms != self._judged_for
        quick = whole or self._woken or began >= self._quick_at
        if quick:
            self._woken = False
            self._touched.clear()
            graph = self._scanner.scan(quick=not whole)
        else:
            graph = self._narrow()
        born = self._scanner.born()
        appeared = frozenset() if first else born
        changed = graph is not self._graph
        self._graph = graph
        if first:
            self._show(graph, appeared)  # names and sizes first; verdicts follow
        if changed:
            self._moved = began
        if whole:
            self._judged_for = sms
            self._show(self._detail.whole(graph, sms), appeared)
        elif changed:
            self._show(self._detail.update(graph), appeared)
        now = time.monotonic()
        if whole:
            self._whole_at = now + max(WHOLE_EVERY, 50 * (now - began))
        elif self._detail.outdated:
            self._whole_at = min(self._whole_at, now + 20 * (now - began) + self._interval)
        if quick:
            self._quick_at = now + max(self._interval, 0 if whole else 50 * (now - began))
        pause = max(0.0, min(self._quick_at, self._whole_at) - now)
        return min(pause, self._pause_in_flight()) if self._scanner.in_flight() else pause

    def _narrow(self) -> Kernels:
        """Read the entries in flight and those that were touched, and nothing else."""
        keys: dict[str, set[str]] = {}
        for cache, path in self._scanner.in_flight():
            keys.setdefault(cache, set()).add(path)
        while self._touched:
            changed = self._touched.popleft()
            for cache, root in self._real.items():
                if changed.startswith(f"{root}/"):
                    owner = self._scanner.owner(cache, changed[len(root) + 1 :])
                    if owner is not None:
                        keys.setdefault(cache, set()).add(owner)
        graph = self._graph or Kernels()
        for cache, paths in keys.items():
            graph = self._scanner.rescan(cache, paths)
        return graph

    def _pause_in_flight(self) -> float:
        quiet = time.monotonic() - self._moved
        return next((pause for limit, pause in IN_FLIGHT_PAUSES if quiet < limit), 5.0)

    def _show(self, kernels: Kernels, appeared: frozenset[tuple[str, str]]) -> None:
        if kernels != self._shown:
            self._shown = kernels
            self.publish(KernelsChanged(kernels, appeared))
