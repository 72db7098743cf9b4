"""The live picture, brought to the app's event loop as messages.

The library calls its listeners from threads of its own; here each update becomes a Textual message, and what
needs work over all entries is worked out in that thread, before the event loop sees it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.message import Message

from cachetop_tui.arrivals import (
    GpusArrived,
    KernelsArrived,
    ModelsArrived,
    OutlookArrived,
    ProblemsArrived,
    RunsArrived,
    WatchArrived,
)
from cachetop_tui.sources import Measurer, Source, Surveyor, inspected

if TYPE_CHECKING:  # the first frame needs none of these
    from cachetop.gpu.detail import ProcessDetail
    from cachetop.gpu.records import Gpu, Gpus, Process
    from cachetop.hub.records import Models
    from cachetop.inventory.updates import KernelsChanged, Update
    from cachetop.summary import StatusProblem
    from cachetop_tui.outlook import OutlookWatch
    from cachetop_tui.panes.kernel_tree import Grower
    from cachetop_tui.panes.models_data import Totals
    from cachetop_tui.workbench.problems import Finder


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
        return inspected(self._source, _newest(self._gpus, gpu, process))

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
