"""Where the app's picture comes from: what it needs of `cachetop.inventory.Inventory`, and one that is made later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # the first frame needs none of these
    from cachetop.base.disks import Disk
    from cachetop.conversion.records import Jobs, Run
    from cachetop.gpu.detail import ProcessDetail
    from cachetop.gpu.records import Gpus, Process
    from cachetop.hub.records import Models
    from cachetop.inventory.updates import Listener, Update
    from cachetop.kernelcache.records import Kernels


class Source(Protocol):
    """What the app needs of `cachetop.inventory.Inventory`."""

    models: Models | None
    kernels: Kernels | None
    gpus: Gpus | None
    jobs: Jobs | None
    runs: tuple[Run, ...]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every update, from whatever thread; returns what ends that."""

    def start(self) -> None:
        """Begin to look."""

    def stop(self) -> None:
        """Stop looking; returns at once."""

    def rescan(self) -> None:
        """Look at everything again."""


@runtime_checkable
class Inspector(Protocol):
    """A source that also looks at single processes, as `Inventory` does."""

    def process(self, process: Process) -> ProcessDetail:
        """One process in depth, with its history. Reads files; raises LookupError where nothing is known yet."""


@runtime_checkable
class Surveyor(Protocol):
    """A source that knows the file systems of its caches, as `Inventory` does."""

    def disks(self) -> tuple[Disk, ...]:
        """How full they are now. Asks them: not for an event loop."""


@runtime_checkable
class Measurer(Protocol):
    """A source that measures what takes time only while it is shown, as `Inventory` does."""

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples of the GPUs shall have the throughput of the bus. Returns at once."""


class Later:
    """A source that is made by `make` in a thread of its own once it is started, so that the first frame need not wait.

    What it holds is what the made one holds; before that, nothing is known.
    """

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._made: Source | None = None
        self._listeners: dict[int, Listener] = {}
        self._stopped = False
        self._lock = threading.Lock()
        self.models: Models | None = None
        self.kernels: Kernels | None = None
        self.gpus: Gpus | None = None
        self.jobs: Jobs | None = None
        self.runs: tuple[Run, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `Source`."""
        number = id(listener)
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def start(self) -> None:
        """See `Source`."""
        threading.Thread(target=self._begin, name="cachetop-begin", daemon=True).start()

    def stop(self) -> None:
        """See `Source`."""
        with self._lock:
            self._stopped = True
            made = self._made
        if made is not None:
            made.stop()

    def rescan(self) -> None:
        """See `Source`; before the first look there is nothing to look at again."""
        if self._made is not None:
            self._made.rescan()

    def process(self, process: Process) -> ProcessDetail:
        """See `Inspector`."""
        return inspected(self._made, process)

    def measure_pcie(self, shown: bool) -> None:
        """See `Measurer`; before the first look there is nothing to measure."""
        if isinstance(self._made, Measurer):
            self._made.measure_pcie(shown)

    def disks(self) -> tuple[Disk, ...]:
        """See `Surveyor`; before the first look none is known."""
        return self._made.disks() if isinstance(self._made, Surveyor) else ()

    def _begin(self) -> None:
        made = self._make()
        with self._lock:
            if self._stopped:
                return
            self._made = made
            made.subscribe(self._tell)
            made.start()

    def _tell(self, update: Update) -> None:
        for listener in tuple(self._listeners.values()):
            listener(update)


def inspected(source: Source | None, process: Process) -> ProcessDetail:
    """One process in depth, by a source that can. Raises LookupError."""
    if not isinstance(source, Inspector):
        raise LookupError("Single processes cannot be looked at here.")
    return source.process(process)
