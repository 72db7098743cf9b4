"""Keeps the watches on the folders that exist now, and says how changes are noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import WatchChanged
from cachetop.watch import Mode, Target, Watcher


class WatchFeed(Feed):
    """Publishes `WatchChanged`; `changed` and `named` are called from watchdog's thread (see `Watcher`)."""

    name = "watch"

    def __init__(
        self,
        publish: Publish,
        targets: Callable[[], Iterable[Target]],
        changed: Callable[[str | None], None],
        named: Callable[[str, str], None],
    ) -> None:
        super().__init__(publish)
        self._targets = targets
        self._watcher = Watcher(changed, named)
        self._started = False
        self._mode: Mode | None = None
        self.covered: frozenset[str] = frozenset()
        """The ids of the targets whose every change is announced."""

    def look(self) -> float:
        """Add watches on folders that appeared, drop those on folders that went."""
        if not self._started:
            self._started = True
            self._watcher.start()
        self.covered = self._watcher.watch(self._targets())
        if self._watcher.mode != self._mode:
            self._mode = self._watcher.mode
            self.publish(WatchChanged(self._mode.name, self._mode.reason))
        return 1.0

    def close(self) -> None:
        """Let the observer go."""
        self._watcher.stop()
