"""The live picture, brought to the app's event loop as messages.

The library calls its listeners from threads of its own; here each update becomes a Textual message, and what
needs work over all entries is worked out in that thread, before the event loop sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from textual.app import App
from textual.message import Message

from cachetop.conversion.records import Jobs, Run
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models
from cachetop.inventory.updates import (
    GpusChanged,
    KernelsChanged,
    Listener,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)
from cachetop.kernelcache.records import Kernels
from cachetop_tui.panes.kernel_tree import Tree, grow


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


class ModelsArrived(Message, bubble=False):
    """A new picture of the hub cache."""

    def __init__(self, models: Models) -> None:
        super().__init__()
        self.models = models

    def can_replace(self, message: Message) -> bool:
        """Only the newest picture matters."""
        return isinstance(message, ModelsArrived)


class KernelsArrived(Message, bubble=False):
    """A new picture of the kernel caches, and what was not there before. Never merged: each may mark entries."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.tree = tree


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


class Feed:
    """Posts what `source` tells to `app`."""

    def __init__(self, app: App[Any], source: Source) -> None:
        self._app = app
        self._source = source
        self._leave: Callable[[], None] | None = None

    def start(self) -> None:
        """Post what is known already, then everything new."""
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

    def stop(self) -> None:
        """Post nothing more."""
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._source.stop()

    def rescan(self) -> None:
        """Look at everything again."""
        self._source.rescan()

    def _listen(self, update: Update) -> None:
        match update:
            case ModelsChanged():
                message: Message = ModelsArrived(update.models)
            case KernelsChanged():
                message = KernelsArrived(grow(update.kernels, update.appeared))
            case GpusChanged():
                message = GpusArrived(update.gpus)
            case RunsChanged():
                message = RunsArrived(update.jobs, update.runs)
            case WatchChanged():
                message = WatchArrived(update.mode, update.reason)
        self._app.post_message(message)
