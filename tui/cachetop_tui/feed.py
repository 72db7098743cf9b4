"""The live picture, brought to the app's event loop as messages.

The library calls its listeners from threads of its own; here each update becomes a Textual message, and what
needs work over all entries is worked out in that thread, before the event loop sees it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from textual.app import App
from textual.message import Message

if TYPE_CHECKING:  # the first frame needs none of these
    from cachetop.base.disks import Disk
    from cachetop.conversion.records import Jobs, Run
    from cachetop.gpu.detail import ProcessDetail
    from cachetop.gpu.records import Gpu, Gpus, Process
    from cachetop.hub.records import Models
    from cachetop.inventory.updates import KernelsChanged, Listener, Update
    from cachetop.kernelcache.records import Kernels
    from cachetop.summary import StatusProblem
    from cachetop_tui.outlook import Outlook, OutlookWatch
    from cachetop_tui.panes.kernel_tree import Grower, Tree
    from cachetop_tui.panes.models_data import Totals
    from cachetop_tui.workbench.problems import Finder


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
        return _inspected(self._made, process)

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


def _inspected(source: Source | None, process: Process) -> ProcessDetail:
    if not isinstance(source, Inspector):
        raise LookupError("Single processes cannot be looked at here.")
    return source.process(process)


class ModelsArrived(Message, bubble=False):
    """A new picture of the hub cache."""

    def __init__(self, models: Models, totals: Totals | None = None) -> None:
        super().__init__()
        self.models = models
        self.totals = totals

    def can_replace(self, message: Message) -> bool:
        """Only the newest picture matters."""
        return isinstance(message, ModelsArrived)


class KernelsArrived(Message, bubble=False):
    """A new picture of the kernel caches, and what was not there before.

    While it waits in the queue it is brought up to date in place: of many pictures in a row only the newest is shown,
    with everything that appeared since the last one.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._tree = tree
        self._taken = False
        self._lock = threading.Lock()

    @property
    def tree(self) -> Tree:
        """The newest picture. Whoever has asked for it has it: what comes later is another message."""
        with self._lock:
            self._taken = True
            return self._tree

    def renew(self, tree: Tree) -> bool:
        """Put a newer picture in place of the one that nobody has taken yet; returns whether that could be done."""
        with self._lock:
            if not self._taken:
                old = self._tree
                appeared, named = old.appeared + tree.appeared, old.named + tree.named
                self._tree = replace(tree, appeared=appeared, named=named, compiled=old.compiled + tree.compiled)
            return not self._taken


class GpusArrived(Message, bubble=False):
    """A new sample of the GPUs."""

    def __init__(self, gpus: Gpus) -> None:
        super().__init__()
        self.gpus = gpus

    def can_replace(self, message: Message) -> bool:
        """Only the newest sample matters."""
        return isinstance(message, GpusArrived)


class RunsArrived(Message, bubble=False):
    """The jobs and the newest runs."""

    def __init__(self, jobs: Jobs, runs: tuple[Run, ...]) -> None:
        super().__init__()
        self.jobs = jobs
        self.runs = runs

    def can_replace(self, message: Message) -> bool:
        """Only the newest matter."""
        return isinstance(message, RunsArrived)


class WatchArrived(Message, bubble=False):
    """How changes on disk are noticed now."""

    def __init__(self, mode: str, reason: str | None) -> None:
        super().__init__()
        self.mode = mode
        self.reason = reason


class ProblemsArrived(Message, bubble=False):
    """What needs attention has changed."""

    def __init__(self, problems: tuple[StatusProblem, ...]) -> None:
        super().__init__()
        self.problems = problems

    def can_replace(self, message: Message) -> bool:
        """Only the newest list matters."""
        return isinstance(message, ProblemsArrived)


class OutlookArrived(Message, bubble=False):
    """What could go, or how full the file systems are, has changed."""

    def __init__(self, outlook: Outlook) -> None:
        super().__init__()
        self.outlook = outlook

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters."""
        return isinstance(message, OutlookArrived)


class Feed:
    """Posts what `source` tells to `app`."""

    def __init__(self, app: App[Any], source: Source, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._source = source
        self._clock = clock
        self._watcher: OutlookWatch | None = None
        self._leave: Callable[[], None] | None = None
        self._finder: Finder | None = None
        self._totals: Totals | None = None
        self._problems: tuple[StatusProblem, ...] = ()
        self._gpus: Gpus | None = None
        self._grower: Grower | None = None
        self._waiting: KernelsArrived | None = None
        self._growing = threading.Lock()

    def start(self) -> None:
        """Post what is known already, then everything new."""
        from cachetop.inventory.updates import GpusChanged, KernelsChanged, ModelsChanged, RunsChanged
        from cachetop_tui.outlook import OutlookWatch
        from cachetop_tui.workbench.problems import Finder

        self._finder = Finder()
        source = self._source
        self._leave = source.subscribe(self._listen)
        if source.models is not None:
            self._listen(ModelsChanged(source.models))
        if source.kernels is not None:
            self._listen(KernelsChanged(source.kernels, frozenset()))
        if source.gpus is not None:
            self._listen(GpusChanged(source.gpus))
        if source.jobs is not None:
            self._listen(RunsChanged(source.jobs, source.runs))
        source.start()
        survey = source.disks if isinstance(source, Surveyor) else None
        self._watcher = OutlookWatch(lambda found: self._app.post_message(OutlookArrived(found)), survey, self._clock)
        self._watcher.see(source.models, source.kernels)
        self._watcher.start()

    def stop(self) -> None:
        """Post nothing more."""
        if self._watcher is not None:
            self._watcher.stop()
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._source.stop()

    def rescan(self) -> None:
        """Look at everything again."""
        self._source.rescan()

    def measure_pcie(self, shown: bool) -> None:
        """Whether the throughput of the bus is on the screen. Returns at once."""
        if isinstance(self._source, Measurer):
            self._source.measure_pcie(shown)

    def process(self, gpu: Gpu, process: Process) -> ProcessDetail:
        """A process as the newest sample of `gpu` has it, in depth. Off the event loop; raises LookupError."""
        return _inspected(self._source, _newest(self._gpus, gpu, process))

    def _listen(self, update: Update) -> None:
        from cachetop.inventory.updates import GpusChanged, KernelsChanged, ModelsChanged, RunsChanged, WatchChanged

        match update:
            case ModelsChanged():
                message: Message | None = ModelsArrived(update.models, self._counted(update.models))
            case KernelsChanged():
                message = self._kernels(update)
            case GpusChanged():
                self._gpus = update.gpus
                message = GpusArrived(update.gpus)
            case RunsChanged():
                message = RunsArrived(update.jobs, update.runs)
            case WatchChanged():
                message = WatchArrived(update.mode, update.reason)
        if message is not None:
            self._app.post_message(message)
        if self._watcher is not None and isinstance(update, ModelsChanged):
            self._watcher.see(models=update.models)
        elif self._watcher is not None and isinstance(update, KernelsChanged):
            self._watcher.see(kernels=update.kernels)
        self._examine(update)

    def _counted(self, models: Models) -> Totals:
        """The sums over all files, worked out before the event loop asks for them."""
        from cachetop_tui.panes.models_data import Totals

        if self._totals is None:
            self._totals = Totals()
        self._totals.summary(models)
        return self._totals

    def _kernels(self, update: KernelsChanged) -> KernelsArrived | None:
        """The message that brings a picture; None where one that waits has been brought up to date."""
        from cachetop_tui.panes.kernel_tree import Grower

        with self._growing:
            if self._grower is None:
                self._grower = Grower()
            tree = self._grower.grow(update.kernels, update.appeared)
            if self._finder is not None:
                self._finder.kernels(update.kernels, tree.totals)
            if self._waiting is not None and self._waiting.renew(tree):
                return None
            self._waiting = KernelsArrived(tree)
            return self._waiting

    def _examine(self, update: Update) -> None:
        """Find the problems in what came, still in the thread that brought it."""
        from cachetop.inventory.updates import GpusChanged, KernelsChanged, ModelsChanged, WatchChanged

        if self._finder is None:
            return
        match update:
            case ModelsChanged():
                self._finder.models(update.models)
            case KernelsChanged():
                pass  # done together with the tree
            case GpusChanged():
                self._finder.gpus(update.gpus)
            case WatchChanged():
                self._finder.watch(update.mode, update.reason)
            case _:
                return
        found = self._finder.found
        if found != self._problems:
            self._problems = found
            self._app.post_message(ProblemsArrived(found))


def _newest(gpus: Gpus | None, gpu: Gpu, process: Process) -> Process:
    """The process in the newest sample; with a note where it has left the GPU since."""
    for row in gpus.gpus if gpus is not None and gpus.available else ():
        if row.key == gpu.key and "processes" not in row.unavailable:
            for one in row.processes:
                if (one.pid, one.ticks) == (process.pid, process.ticks):
                    return one
            import msgspec

            return msgspec.structs.replace(process, note="It is not on this GPU any more: the figures are its last.")
    return process
