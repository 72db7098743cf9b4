"""The hub cache, live: a whole scan first, then three kinds of look, by what they cost.

A *near* one, once a second, sees downloads: one time stamp for each repo, and the sizes of what is unfinished. In a
repo of very many files it leaves the rest for later. A *quick* one looks at every time stamp that tells what changed.
A *whole* one looks at what no time tells, too: residency, last use, file lists.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from cachetop.base.collecting import collecting_later
from cachetop.hub import beside
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Beside, Models
from cachetop.hub.roots import Roots
from cachetop.hub.scan import Scanner
from cachetop.inventory.feed import Feed, Publish, log
from cachetop.inventory.updates import ModelsChanged

_WALK_PAUSE = 60.0
"""Seconds between two walks of the other places with models; more where a walk takes long."""


_WHOLE = 20
_QUICK = 50
_NEAR = 25
"""Looks of each kind take at most one part in so many of the time."""
_LIVE = 10
"""The same for near looks while something is downloaded, and for quick ones while a near one left something out."""
_OVER = 1
"""The same for a quick one after a download into what was left out."""


class HubFeed(Feed):
    """Publishes `ModelsChanged`."""

    name = "hub"

    def __init__(self, publish: Publish, roots: Roots, interval: float = 1.0) -> None:
        super().__init__(publish)
        self._roots = roots
        self._scanner = Scanner(roots.now)
        self._interval = interval
        self._shown: Models | None = None
        self.inodes: Mapping[tuple[int, int], Any] = {}
        """(device, inode) -> what it belongs to; replaced whole after each change."""
        self._others: tuple[Beside, ...] = ()
        self._ended = threading.Event()
        self._afresh = threading.Event()
        """Somebody asked for a whole look."""
        self._whole_at = self._quick_at = 0.0
        """When the next looks of these kinds are due (time.monotonic)."""
        self._quick_cost = 0.0
        """Seconds that the last one took."""
        self._graph: Models | None = None
        """What the second pass was last made of."""
        self._resident: int | None = None
        """Bytes in RAM as the last whole look found."""

    def refresh(self) -> None:
        """Look at everything again now."""
        self._afresh.set()
        self.wake()

    def look(self) -> float:
        """Scan what changed, then the second pass over it; over everything when that is due."""
        began = time.monotonic()
        whole = began >= self._whole_at or self._afresh.is_set() or self._shown is None
        quick = not whole and began >= self._quick_at
        self._afresh.clear()
        if self._roots.refresh():
            self._scanner, whole = Scanner(self._roots.now), True
        if self._shown is None:
            with collecting_later():
                graph = self._scanner.scan(self._early)
                self._show(graph)  # names and sizes first; completeness and residency follow
                self._detail(graph, whole=True)
        else:
            self._detail(self._scanner.scan(near=True), whole=False)  # what begins is seen before a long look
            if whole or quick:
                self._detail(self._scanner.scan(), whole)
        return self._pause(began, whole, quick)

    def _pause(self, began: float, whole: bool, quick: bool) -> float:
        """When to look again, after a look of this kind that began at `began`."""
        now = time.monotonic()
        cost = now - began
        if whole:
            self._whole_at = now + max(self._interval, _WHOLE * cost)
        if quick:
            self._quick_cost = cost
        if whole or quick:
            self._quick_at = now + max(self._interval, _QUICK * self._quick_cost)
        if self._scanner.behind:
            share = _OVER if self._scanner.quiet else _LIVE
            self._quick_at = min(self._quick_at, now + share * max(self._quick_cost, cost))
        near = 0.0 if whole or quick else (_LIVE if self._downloads() else _NEAR) * cost
        return min(max(self._interval, near), self._whole_at - now, self._quick_at - now)

    def _downloads(self) -> bool:
        """Whether something is downloaded, or may be."""
        return self._shown is not None and any(repo.downloading is not False for repo in self._shown.repos)

    def _moves(self) -> bool:
        """Whether the second pass may say another thing of the same graph: a lock may be taken, or given back."""
        return self._shown is not None and any(repo.partials or repo.downloading for repo in self._shown.repos)

    def _detail(self, graph: Models, whole: bool) -> None:
        if self._scanner.damages.refresh():
            whole = True
        if not whole and graph is self._graph and not self._moves():
            return
        self._graph = graph
        detailed = with_detail(graph, self._scanner, quick=not whole)
        if whole:
            self._resident = detailed.resident
        problems = detailed.problems + self._roots.problems
        detailed = msgspec.structs.replace(detailed, beside=self._others, problems=problems, resident=self._resident)
        if detailed != self._shown:
            self.inodes = self._scanner.inodes()
            self._show(detailed)

    def _early(self, models: Models) -> None:
        """The repos read so far, while the first scan of a large cache goes on."""
        if not self.stopped:
            self.publish(ModelsChanged(models))

    def _walk(self) -> None:
        """Measure the other places with models now and then, in a thread of its own: they may be large or slow."""
        while not self.stopped:
            began = time.perf_counter()
            try:
                self._others = beside.look()
            except Exception:
                log.exception("measuring the other places with models failed")
            self._ended.wait(max(_WALK_PAUSE, 100 * (time.perf_counter() - began)))

    def start(self) -> None:
        """Start the threads."""
        super().start()
        threading.Thread(target=self._walk, name="cachetop-beside", daemon=True).start()

    def stop(self) -> None:
        """Ask the threads to end; does not wait for them."""
        super().stop()
        self._ended.set()

    def _show(self, models: Models) -> None:
        self._shown = models
        self.publish(ModelsChanged(models))
