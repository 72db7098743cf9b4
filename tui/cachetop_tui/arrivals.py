"""What arrives on the app's event loop: a message for each kind of news."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:  # the first frame needs none of these
    from cachetop.conversion.records import Jobs, Run
    from cachetop.gpu.records import Gpus
    from cachetop.hub.records import Models
    from cachetop.summary import StatusProblem
    from cachetop_tui.outlook import Outlook
    from cachetop_tui.panes.kernel_tree import Tree
    from cachetop_tui.panes.models_data import Totals


class Arrived(Message, bubble=False):
    """Any news. Of one kind only the newest matters."""

    def can_replace(self, message: Message) -> bool:
        """Whether this takes the place of one that waits."""
        return type(message) is type(self)


class ModelsArrived(Arrived):
    """A new picture of the hub cache."""

    def __init__(self, models: Models, totals: Totals | None = None) -> None:
        super().__init__()
        self.models = models
        self.totals = totals


class KernelsArrived(Arrived):
    """A new picture of the kernel caches, and what was not there before.

    While it waits in the queue it is brought up to date in place: of many pictures in a row only the newest is shown,
    with everything that appeared since the last one.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._tree = tree
        self._taken = False
        self._lock = threading.Lock()

    def can_replace(self, message: Message) -> bool:
        """What appeared in one that waits would be lost."""
        return False

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


class GpusArrived(Arrived):
    """A new sample of the GPUs."""

    def __init__(self, gpus: Gpus) -> None:
        super().__init__()
        self.gpus = gpus


class RunsArrived(Arrived):
    """The jobs and the newest runs."""

    def __init__(self, jobs: Jobs, runs: tuple[Run, ...]) -> None:
        super().__init__()
        self.jobs = jobs
        self.runs = runs


class WatchArrived(Arrived):
    """How changes on disk are noticed now."""

    def __init__(self, mode: str, reason: str | None) -> None:
        super().__init__()
        self.mode = mode
        self.reason = reason


class ProblemsArrived(Arrived):
    """What needs attention has changed."""

    def __init__(self, problems: tuple[StatusProblem, ...]) -> None:
        super().__init__()
        self.problems = problems


class OutlookArrived(Arrived):
    """What could go, or how full the file systems are, has changed."""

    def __init__(self, outlook: Outlook) -> None:
        super().__init__()
        self.outlook = outlook
