"""The hub cache, live: a whole scan first, then the times that tell what changed, once a second.

What no time tells (residency, last use, file lists) costs much more to look at in a large cache, and comes round less
often. While something is downloaded, looks in between are at what changed and at the downloads alone.
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


_SHARE = 20
_LIVE = 10
"""Whole looks take at most one part in so many of the time; looks at downloads in between, while there are some."""


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
        self._due = 0.0
        """When the next whole look is due (time.monotonic)."""
        self._resident: int | None = None
        """Bytes in RAM as the last whole look found."""

    def refresh(self) -> None:
        """Look at everything again now."""
        self._afresh.set()
        self.wake()

    def look(self) -> float:
        """Scan what changed, then the second pass over it; over everything when that is due."""
        began = time.monotonic()
        quick = began < self._due and not self._afresh.is_set()
        self._afresh.clear()
        if self._roots.refresh():
            self._scanner, quick = Scanner(self._roots.now), False
        if self._shown is None:
            with collecting_later():
                graph = self._scanner.scan(self._early)
                self._show(graph)  # names and sizes first; completeness and residency follow
                self._detail(graph, quick=False)
        else:
            self._detail(self._scanner.scan(), quick)
        now = time.monotonic()
        if not quick:
            self._due = now + _SHARE * (now - began)
        repos = self._shown.repos if self._shown is not None else ()
        if any(partial.live is not False for repo in repos for partial in repo.partials):
            return max(self._interval, _LIVE * (now - began) if quick else 0.0)
        return max(self._interval, self._due - now)

    def _detail(self, graph: Models, quick: bool) -> None:
        detailed = with_detail(graph, self._scanner, quick=quick)
        if not quick:
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
