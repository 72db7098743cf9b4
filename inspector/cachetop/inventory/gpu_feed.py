"""The GPUs, live: every sample as it comes, and how long the driver has been silent when none comes."""

from __future__ import annotations

from collections.abc import Sequence

from cachetop.gpu.detail import ProcessDetail, inspect
from cachetop.gpu.history import History
from cachetop.gpu.holdings import Index
from cachetop.gpu.records import Gpus, Process
from cachetop.gpu.sampler import Sampler, Source
from cachetop.inventory.feed import Feed, Publish
from cachetop.inventory.updates import GpusChanged
from cachetop.locations import Location


class GpuFeed(Feed):
    """Publishes `GpusChanged`. The sampling itself has a thread of its own, which may hang."""

    name = "gpus"

    def __init__(self, publish: Publish, source: Source, interval: float = 1.0) -> None:
        super().__init__(publish)
        self._sampler = Sampler(source, interval)
        self._interval = interval
        self._shown: Gpus | None = None
        self._sampled = False
        self._history = History()

    def look(self) -> float:
        """Publish the newest sample; with a silent driver, the last one with its waiting time."""
        if not self._sampled:
            self._sampled = True
            self._sampler.subscribe(self._history.note)
            self._sampler.subscribe(lambda _: self.wake())
            self._sampler.start()
            return self._interval
        latest = self._sampler.latest()
        if latest != self._shown and (latest.time or latest.waiting):
            self._shown = latest
            self.publish(GpusChanged(latest))
        return self._interval

    def process(self, process: Process, index: Index, kernel_roots: Sequence[Location]) -> ProcessDetail:
        """One process of the newest sample in depth, now. Reads files: not for an event loop."""
        return inspect(process, index, self._history, kernel_roots)

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples shall have the throughput of the bus: 40 ms for each GPU."""
        self._sampler.measure_pcie(shown)

    def close(self) -> None:
        """Ask the sampling thread to end; it is not waited for."""
        self._sampler.stop()
