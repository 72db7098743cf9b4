"""The kernel caches, live: a new entry is published as soon as its folder is there, then stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import KernelsChanged
from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location

IN_FLIGHT_PAUSES = ((10.0, 0.05), (60.0, 0.5), (600.0, 2.0))
"""(entries in flight unchanged for up to n seconds, look again after m seconds)."""


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
        self._sms = sms
        self._interval = interval
        self._graph: Kernels | None = None
        self._shown: Kernels | None = None
        self._judged_for: Sequence[str] | None = None
        self._keys: frozenset[tuple[str, str]] = frozenset()
        self._moved = 0.0

    def look(self) -> float:
        """Scan what changed; while an entry is in flight, look again within 50 ms."""
        began = time.perf_counter()
        graph = self._scanner.scan()
        sms = self._sms()
        if graph != self._graph or sms != self._judged_for:
            self._moved = time.monotonic()
            first = self._graph is None
            keys = frozenset((entry.cache, entry.path) for entry in graph.entries)
            appeared = frozenset() if first else keys - self._keys
            self._graph, self._keys, self._judged_for = graph, keys, sms
            if first:
                self._show(graph, appeared)  # names and sizes first; verdicts follow
            self._show(with_detail(graph, self._scanner, sms), appeared)
        pause = max(self._interval, 20 * (time.perf_counter() - began))
        return min(pause, self._pause_in_flight()) if self._scanner.in_flight() else pause

    def _pause_in_flight(self) -> float:
        quiet = time.monotonic() - self._moved
        return next((pause for limit, pause in IN_FLIGHT_PAUSES if quiet < limit), 5.0)

    def _show(self, kernels: Kernels, appeared: frozenset[tuple[str, str]]) -> None:
        if kernels != self._shown:
            self._shown = kernels
            self.publish(KernelsChanged(kernels, appeared))
