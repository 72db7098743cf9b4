"""What the workbench knows of the world: what the feed brings goes to the panes, the bars and the pictures behind."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cachetop.base.readonly import is_read_only
from cachetop_tui.arrivals import (
    Arrived,
    GpusArrived,
    KernelsArrived,
    ModelsArrived,
    OutlookArrived,
    ProblemsArrived,
    RunsArrived,
    WatchArrived,
)
from cachetop_tui.commands.registry import Here
from cachetop_tui.lines import LineView
from cachetop_tui.panes.gpu import GpuPane
from cachetop_tui.panes.kernels import KernelsPane
from cachetop_tui.panes.models import ModelsPane
from cachetop_tui.workbench.chrome import Hints, TopStrip
from cachetop_tui.workbench.editor import Editor
from cachetop_tui.workbench.side import ActivityBar
from cachetop_tui.workbench.status import Facts, Status

if TYPE_CHECKING:
    from cachetop.conversion.records import Jobs
    from cachetop_tui.model_tasks import Task
    from cachetop_tui.panel.conversion import ConversionPanel


class Live(Editor):
    """An editor with three live panes and a run. Where they stand is the business of `Overview`."""

    def __init__(self, clock: Callable[[], float] = time.time, host: str | None = None) -> None:
        super().__init__(clock)
        self._facts = Facts(host=host or socket.gethostname().partition(".")[0], read_only=is_read_only())
        self.whole = asyncio.Event()
        """Set once `complete` has run: all panes and the panel are there."""
        self.model_task: Task | None = None
        """What was done with repos last, or is being done."""
        self.lite = False
        """Whether the line is slow, so that less moves by itself."""
        self.note = ""
        """What stands at the right of the top strip, for example that this is a demo."""

    @property
    def models(self) -> ModelsPane:
        """The models pane."""
        return self.query_one(ModelsPane)

    @property
    def kernels(self) -> KernelsPane:
        """The kernels pane."""
        return self.query_one(KernelsPane)

    @property
    def gpus(self) -> GpuPane:
        """The GPU pane."""
        return self.query_one(GpuPane)

    @property
    def panel(self) -> ConversionPanel:
        """The conversion panel; there once `complete` has run."""
        from cachetop_tui.panel.conversion import ConversionPanel

        return self.query_one(ConversionPanel)

    def use_profile(self, lite: bool) -> None:
        """Let less move by itself where the line is slow."""
        self.lite = lite
        if self.query("#conversion"):  # else `complete` does it
            self.gpus.view.lite = self.panel.lite = lite

    def say_paused(self, paused: bool) -> None:
        """Show that nothing will be sent for now, or that it goes on."""
        self._facts = replace(self._facts, paused=paused)
        for status in self.query(Status):
            status.show(replace(self._facts, pane=self.pane))

    @property
    def jobs(self) -> Jobs | None:
        """The jobs, as last heard of."""
        return self.picture.jobs

    def take(self, message: Arrived) -> None:
        """Show what the feed brought."""
        match message:
            case ModelsArrived():
                self.picture.totals = message.totals or self.picture.totals
                self.picture.models = message.models
                self._facts = replace(self._facts, models=self.picture.totals.summary(message.models).size)
                self.models.show(message.models, message.totals)
            case KernelsArrived():
                self._facts = replace(self._facts, kernels=message.tree.kernels.size_on_disk)
                self.picture.tree = message.tree
                self.kernels.show(message.tree)
                self.gpus.show_compiled(message.tree.compiled)
            case GpusArrived():
                self._facts = replace(self._facts, gpus=message.gpus)
                self.picture.gpus = message.gpus
                self.gpus.show(message.gpus)
                self.models.show_gpus(message.gpus)
                self.kernels.show_gpus(message.gpus)
            case RunsArrived():
                running = sum(job.state in ("running", "queued") for job in message.jobs.jobs)
                self._facts = replace(self._facts, running=running)
                self.picture.jobs, self.picture.runs = message.jobs, message.runs
                self.panel.show(message.jobs, message.runs, self.clock())
                pids = {worker.pid for worker in message.jobs.workers}
                pids |= {job.pid for job in message.jobs.jobs if job.pid and job.state == "running"}
                self.gpus.show_own(pids)
                self.gpus.show_runs(message.runs)
            case WatchArrived():
                self._facts = replace(self._facts, watch=(message.mode, message.reason))
            case ProblemsArrived():
                self.picture.problems = message.problems
                self._facts = replace(self._facts, problems=len(message.problems))
                self.panel.count_problems(len(message.problems))
            case OutlookArrived():
                self.picture.outlook = message.outlook
        for view in self.query("#side, #glance, #problems"):
            if isinstance(view, LineView) and view.display:
                view.update_lines()
        if isinstance(message, RunsArrived | OutlookArrived):
            self.share_side()
        self._chrome()

    def share_side(self) -> None:
        """Share the side bar between the tree and what stands below it."""
        raise NotImplementedError

    def say_place(self) -> None:
        """Say in the first line where the cursor is, where the activity bar says what there is."""
        running, problems = self._facts.running, len(self.picture.problems)
        place: tuple[str, ...] = ()
        if self.query_one(ActivityBar).display:
            place = self.place() if self.whole.is_set() else ("",)
        self.query_one(TopStrip).show(self.pane, running, problems, self.note, place)

    def place(self) -> tuple[str, ...]:
        """The breadcrumbs of where the cursor is."""
        raise NotImplementedError

    def _chrome(self) -> None:
        self.say_place()
        self.query_one(ActivityBar).show(self.pane, self._facts.running, len(self.picture.problems))
        tab = self.tabs.current
        kernel = tab is not None and tab.document.key.startswith("kernel\0")
        report = tab is None or self.pane != "document" or tab.document.key.startswith("job\0")
        self.query_one(Hints).show(Here(self.pane, kernel=kernel, report=report))
        self.query_one(Status).show(replace(self._facts, pane=self.pane))
