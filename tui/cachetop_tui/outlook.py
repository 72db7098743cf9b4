"""What could go and how full the disks are, worked out beside the panes: in a thread, and only now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetop import config, locations
from cachetop.base.disks import Disk
from cachetop.hub.records import Models
from cachetop.kernelcache.records import Kernels
from cachetop.prune.prospects import Prospect, of_kernels, of_models

EVERY = 3.0
"""Seconds between two looks at what changes all the time."""
DISKS_EVERY = 10.0
"""Seconds after which the file systems are asked although nothing changed."""
log = logging.getLogger("cachetop.app")


@dataclass(frozen=True, slots=True)
class Outlook:
    """Selections with the most each could free, in the order to show them; and the file systems of the caches."""

    prospects: tuple[Prospect, ...] = ()
    disks: tuple[Disk, ...] = ()


class OutlookWatch:
    """Posts an `Outlook` whenever it has changed. `see` is called from the feeds' threads and returns at once."""

    def __init__(
        self,
        post: Callable[[Outlook], object],
        survey: Callable[[], tuple[Disk, ...]] | None,
        clock: Callable[[], float],
    ) -> None:
        self._post = post
        self._survey = survey
        self._clock = clock
        self._models: Models | None = None
        self._kernels: Kernels | None = None
        self._counted: tuple[object, ...] = ()
        self._prospects: tuple[Prospect, ...] = ()
        self._disks: tuple[Disk, ...] = ()
        self._shown: Outlook | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()

    def see(self, models: Models | None = None, kernels: Kernels | None = None) -> None:
        """A newer picture of one or both."""
        self._models = models or self._models
        self._kernels = kernels or self._kernels
        self._wake.set()

    def start(self) -> None:
        """Begin, with what has been seen."""
        threading.Thread(target=self._loop, name="cachetop-outlook", daemon=True).start()

    def stop(self) -> None:
        """Post nothing more; returns at once."""
        self._stop.set()
        self._wake.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            for look in (self._count, self._ask):  # a disk that hangs must not hold back the numbers
                try:
                    look()
                except Exception:
                    log.exception("the outlook could not be worked out")
                self._tell()
            self._stop.wait(EVERY)
            self._wake.wait(DISKS_EVERY)

    def _count(self) -> None:
        """Add up what could go, where the pictures, the keep list or the day has changed."""
        try:
            keep = config.load(locations.config_file()).keep
        except config.ConfigError:  # said elsewhere
            keep = ()
        now = self._clock()
        models, kernels = self._models, self._kernels
        seen = (models, kernels, tuple(keep), int(now // 3600))  # ages grow by themselves
        if self._same(seen):
            return
        detached, partials, unused = of_models(models, keep, now)
        self._prospects = (detached, partials, of_kernels(kernels, keep), unused)
        self._counted = seen

    def _same(self, seen: tuple[object, ...]) -> bool:
        """Whether these were counted already. Pictures are told apart by who they are: comparing takes long."""
        known = self._counted
        return bool(known) and known[0] is seen[0] and known[1] is seen[1] and known[2:] == seen[2:]

    def _ask(self) -> None:
        if self._survey is not None:
            self._disks = self._survey()

    def _tell(self) -> None:
        found = Outlook(self._prospects, self._disks)
        if found != self._shown and not self._stop.is_set():
            self._shown = found
            self._post(found)
