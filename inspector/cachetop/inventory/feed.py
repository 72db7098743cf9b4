"""The base of every feed: a daemon thread that looks, publishes what changed, and waits."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from cachetop.inventory.updates import Update

Publish = Callable[[Update], None]
log = logging.getLogger("cachetop.inventory")


class Feed(ABC):
    """A thread that calls `look()` again and again; `look` returns after how many seconds it wants to be called again.

    An exception in `look` is logged and the feed goes on after a pause: one broken cache must not blind the rest.
    """

    name = "feed"
    pause_after_error = 5.0

    def __init__(self, publish: Publish) -> None:
        self.publish = publish
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._loop, name=f"cachetop-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait for it."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @abstractmethod
    def look(self) -> float:
        """Look once, publish what changed; returns the seconds until the next look."""

    def close(self) -> None:  # noqa: B027  (most feeds have nothing to close)
        """Called in the thread when it ends."""

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                pause = self.look()
            except Exception:
                log.exception("the %s feed failed and goes on in %s s", self.name, self.pause_after_error)
                pause = self.pause_after_error
            self._wake.wait(pause)
            self._wake.clear()
        self.close()
