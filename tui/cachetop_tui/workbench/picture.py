"""The newest of everything that the feed brought, in one place for the side bar, the problems and quick open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetop_tui.panes.models_data import Totals

if TYPE_CHECKING:
    from cachetop.conversion.records import Jobs, Run
    from cachetop.gpu.records import Gpus
    from cachetop.hub.records import Models
    from cachetop.summary import StatusProblem
    from cachetop_tui.outlook import Outlook
    from cachetop_tui.panes.kernel_tree import Tree
    from cachetop_tui.settings import Told


@dataclass
class Picture:
    """None: not heard of yet."""

    models: Models | None = None
    totals: Totals = field(default_factory=Totals)
    """The models sorted and counted."""
    tree: Tree | None = None
    gpus: Gpus | None = None
    jobs: Jobs | None = None
    runs: tuple[Run, ...] = ()
    """The newest runs, and every one that is live."""
    outlook: Outlook | None = None
    """What could go, and how full the file systems are."""
    problems: tuple[StatusProblem, ...] = ()
    """What needs attention, those of the models first, then kernels, GPUs, the watch."""

    told: Told | None = None
    """What the configuration says."""

    @property
    def size(self) -> int:
        """How many repos and kernel entries there are."""
        entries = len(self.tree.kernels.entries) if self.tree is not None else 0
        return entries + (len(self.models.repos) if self.models is not None else 0)
