"""The hub cache, live: a whole scan first, then the mtimes that tell what changed, once a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import ModelsChanged
from cachetop.locations import Location


class HubFeed(Feed):
    """Publishes `ModelsChanged`. A look costs at most a twentieth of the time between two looks."""

    name = "hub"

    def __init__(self, publish: Publish, roots: Sequence[Location], interval: float = 1.0) -> None:
        super().__init__(publish)
        self._scanner = Scanner(roots)
        self._interval = interval
        self._shown: Models | None = None
        self.inodes: Mapping[tuple[int, int], Any] = {}
        """(device, inode) -> what it belongs to; replaced whole after each change."""

    def look(self) -> float:
        """Scan what changed, then the second pass over it."""
        began = time.perf_counter()
        graph = self._scanner.scan()
        if self._shown is None:
            self._show(graph)  # names and sizes first; completeness and residency follow
        detailed = with_detail(graph, self._scanner)
        if detailed != self._shown:
            self.inodes = self._scanner.inodes()
            self._show(detailed)
        return max(self._interval, 20 * (time.perf_counter() - began))

    def _show(self, models: Models) -> None:
        self._shown = models
        self.publish(ModelsChanged(models))
