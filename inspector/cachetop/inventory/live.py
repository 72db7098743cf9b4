"""`Inventory`: the feeds together, the latest snapshot of each, and the listeners."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cachetop import locations
from cachetop.base.disks import Disk, disks
from cachetop.conversion.records import Jobs, Run
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.detail import ProcessDetail
from cachetop.gpu.records import Gpus, Process
from cachetop.gpu.sampler import Source
from cachetop.gpu.source import NvmlSource
from cachetop.hub.records import Models
from cachetop.hub.roots import Roots
from cachetop.inventory.gpu_feed import GpuFeed
from cachetop.inventory.hub_feed import HubFeed
from cachetop.inventory.kernel_feed import KernelFeed
from cachetop.inventory.reports import tell
from cachetop.inventory.run_feed import RunFeed
from cachetop.inventory.updates import (
    GpusChanged,
    KernelsChanged,
    Listener,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)
from cachetop.inventory.watch_feed import WatchFeed
from cachetop.kernelcache.records import Kernels
from cachetop.locations import Location
from cachetop.watch import Target

RECURSIVE = ("inductor", "torch-extensions")
FOLDERS_ONLY = ("triton",)


class Inventory:
    """The live picture of this machine. `start` it, `subscribe` to it, read its latest snapshots.

    A snapshot is None until its first look is done. Listeners are called from the feeds' threads.
    """

    def __init__(
        self,
        hub: Sequence[Location] | None = None,
        kernels: Sequence[Location] | None = None,
        gpu: Source | None = None,
        interval: float = 1.0,
    ) -> None:
        self._hub_roots = Roots(hub)
        self.kernel_roots = locations.kernel_roots() if kernels is None else list(kernels)
        self.models: Models | None = None
        self.kernels: Kernels | None = None
        self.gpus: Gpus | None = None
        self.jobs: Jobs | None = None
        self.runs: tuple[Run, ...] = ()
        self.watch: WatchChanged | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()
        self._hub = HubFeed(self._publish, self._hub_roots, interval)
        self._kernels = KernelFeed(self._publish, self.kernel_roots, self._sms, interval, self._covered)
        self._runs = RunFeed(self._publish)
        self._watch = WatchFeed(self._publish, self._targets, self._changed, self._named)
        self._attribution = Attribution(self._inodes)
        self._gpus = GpuFeed(self._publish, gpu or NvmlSource(self._attribution, xids=True), interval)

    @property
    def hub_roots(self) -> list[Location]:
        """The hub caches that are looked at."""
        return self._hub_roots.now

    def start(self) -> None:
        """Start the feeds."""
        for feed in (self._hub, self._kernels, self._gpus, self._runs, self._watch):
            feed.start()

    def stop(self) -> None:
        """Stop the feeds; returns at once even when a driver or a disk hangs."""
        for feed in (self._watch, self._runs, self._gpus, self._kernels, self._hub):
            feed.stop()

    def rescan(self) -> None:
        """Look at everything again now."""
        self._hub.refresh()
        self._kernels.wake()
        self._runs.wake()

    def process(self, process: Process) -> ProcessDetail:
        """One process of the newest sample in depth, now. Reads files: not for an event loop."""
        return self._gpus.process(process, self._inodes(), self.kernel_roots)

    def disks(self) -> tuple[Disk, ...]:
        """The file systems that the caches lie on, now. Asks them: not for an event loop."""
        roots = (*self.hub_roots, *self.kernel_roots)
        return disks(root.path for root in roots if root.exists)

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples shall have the throughput of the bus, which takes 40 ms for each GPU."""
        self._gpus.measure_pcie(shown)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every update from now on; returns what ends that."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def leave() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return leave

    def _publish(self, update: Update) -> None:
        match update:
            case ModelsChanged(models):
                self.models = models
            case KernelsChanged(kernels):
                if not kernels.scanning:
                    self.kernels = kernels
            case GpusChanged(gpus):
                before = self._sms()
                self.gpus = gpus
                if self._sms() != before:
                    self._kernels.wake()
            case RunsChanged(jobs, runs):
                self.jobs, self.runs = jobs, runs
                tell(self._attribution, runs, jobs.workers)
            case WatchChanged():
                self.watch = update
        for listener in self._listeners:
            listener(update)

    def _changed(self, target: str | None) -> None:
        if target is None or target.startswith("hub"):
            self._hub.wake()
        if target is None or not target.startswith("hub"):
            self._kernels.wake()

    def _named(self, target: str, path: str) -> None:
        if target.startswith("hub"):
            self._hub.wake()
        else:
            self._kernels.touched(path)

    def _sms(self) -> tuple[str, ...] | None:
        """The SMs of the GPUs here; None while unknown, so that nothing is called foreign on a guess."""
        if self.gpus is None or not self.gpus.available:
            return None
        known = tuple(sorted({gpu.sm for gpu in self.gpus.gpus if gpu.sm}))
        return known or None

    def _inodes(self) -> Mapping[tuple[int, int], Any]:
        return self._hub.inodes

    def _covered(self) -> frozenset[str]:
        """The kernel roots whose whole tree is watched, so that a look need not list it."""
        return frozenset(
            root.path
            for n, root in enumerate(self.kernel_roots)
            if root.kind in RECURSIVE and f"{root.kind}:{n}" in self._watch.covered
        )

    def _targets(self) -> Iterator[Target]:
        for n, root in enumerate(self.hub_roots):
            yield Target(f"hub:{n}", root.path, files=False)
        for n, root in enumerate(self.kernel_roots):
            recursive, files = root.kind in RECURSIVE, root.kind not in FOLDERS_ONLY
            yield Target(f"{root.kind}:{n}", root.path, recursive=recursive, files=files)
