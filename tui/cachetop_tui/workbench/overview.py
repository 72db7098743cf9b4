"""The overview: the three live panes and the conversion panel, laid out by the size of the terminal."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from cachetop.conversion.records import Jobs
from cachetop_tui.commands.registry import LISTS, PANES
from cachetop_tui.feed import GpusArrived, KernelsArrived, ModelsArrived, RunsArrived, WatchArrived
from cachetop_tui.panel.conversion import ConversionPanel
from cachetop_tui.panes.gpu import GpuPane
from cachetop_tui.panes.kernels import KernelsPane
from cachetop_tui.panes.models import ModelsPane
from cachetop_tui.workbench.chrome import Divider, Facts, Hints, Status, TopStrip
from cachetop_tui.workbench.plan import TOO_SMALL, plan


class FilterLine(Input):
    """The line in which a filter is typed. Enter keeps it, Escape drops it."""

    BINDINGS: ClassVar = [Binding("escape", "drop", "drop the filter", show=False)]
    DEFAULT_CSS = """
    FilterLine, FilterLine:focus { height: 1; border: none; padding: 0 1; background: $boost; display: none; }
    FilterLine.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="filter", placeholder="part of a name; Enter keeps, Esc drops", select_on_focus=False)

    def action_drop(self) -> None:
        """Show every row again."""
        self.value = ""
        self.post_message(self.Submitted(self, ""))


class Overview(Screen[None]):
    """Models, Kernels and GPU, always in sight, and the run below them."""

    DEFAULT_CSS = """
    Overview { layout: vertical; overflow: hidden; background: $background; }
    Overview #panes { layout: vertical; height: 1fr; }
    Overview #panes.-beside { layout: horizontal; }
    Overview #left { height: auto; width: 1fr; }
    Overview #panes.-beside #left { height: 1fr; }
    Overview Divider { display: none; }
    Overview #panes.-beside Divider { display: block; }
    Overview #small { display: none; padding: 0 1; }
    """

    class Ready(Message):
        """Every pane is there and can be told what to show."""

    def __init__(self, clock: Callable[[], float] = time.time, host: str | None = None) -> None:
        super().__init__()
        self.clock = clock
        self.pane = PANES[0]
        """The pane in focus, also while a dialog covers it."""
        self.maximised = False
        read_only = os.environ.get("CACHETOP_READ_ONLY", "") not in ("", "0")
        self._facts = Facts(host=host or socket.gethostname().partition(".")[0], read_only=read_only)
        self._jobs: Jobs | None = None
        self.note = ""
        """What stands at the right of the top strip, for example that this is a demo."""

    def compose(self) -> ComposeResult:
        """Everything there is in any layout; the plan decides what is seen."""
        yield TopStrip()
        with Container(id="panes"):
            with Vertical(id="left"):
                yield ModelsPane(self.clock)
                yield KernelsPane(self.clock)
            yield Divider()
            yield GpuPane(self.clock)
        yield FilterLine()
        yield ConversionPanel(id="conversion", clock=self.clock)
        yield Hints()
        yield Status()
        yield Static(id="small", markup=False)

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
        """The conversion panel."""
        return self.query_one(ConversionPanel)

    # Layout

    def on_mount(self) -> None:
        """Lay out, put the cursor into the models, and let what moves by itself move once a second."""
        self.lay_out()
        self.models.focus()
        self.set_interval(1.0, self.kernels.tick)
        self.set_interval(10.0, self._age)
        self.post_message(self.Ready())

    def _age(self) -> None:
        """Ages grow; lines whose words stay the same are not sent."""
        self.models.update_lines()
        self.kernels.update_lines()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out for the new size."""
        self.lay_out()

    def lay_out(self) -> None:
        """Give every pane the room the plan says."""
        width, height = self.app.size
        made = plan(width, height, self.pane, self.maximised)
        tiny = made.mode == "tiny"
        small = self.query_one("#small", Static)
        small.display = tiny
        small.update(TOO_SMALL.format(width, height))
        for pane in PANES:
            self._room(self.query_one(f"#{pane}"), getattr(made, pane))
        left, panes = self.query_one("#left"), self.query_one("#panes")
        left.display = made.models != "0" or made.kernels != "0"
        panes.display = left.display or made.gpus != "0"
        panes.set_class(made.side_by_side, "-beside")
        left.styles.width = made.left or "1fr"
        grows = "fr" in made.models or "fr" in made.kernels
        left.styles.height = "1fr" if made.side_by_side or grows else "auto"
        panes.styles.height = "1fr" if made.side_by_side or "fr" not in made.conversion else "auto"
        self.query_one(Hints).display = made.hints
        for name in ("#top", "#status"):
            self.query_one(name).display = not tiny
        self._chrome()

    @staticmethod
    def _room(widget: Widget, height: str) -> None:
        widget.display = height != "0"
        if height != "0":
            widget.styles.height = height

    def _chrome(self) -> None:
        self.query_one(TopStrip).show(self.pane, self._facts.running, self.note)
        self.query_one(Hints).show(self.pane)
        self.query_one(Status).show(replace(self._facts, pane=self.pane))

    # Focus

    def focus_pane(self, pane: str) -> None:
        """Put the cursor into `pane` and let it grow."""
        self.query_one(f"#{pane}").display = True  # what is hidden cannot take the focus
        self.query_one(f"#{pane}").focus()

    def next_pane(self, by: int) -> None:
        """The next pane (1) or the one before (-1)."""
        self.focus_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def maximise(self) -> None:
        """Give the pane in focus all the room, or share it again."""
        self.maximised = not self.maximised
        self.lay_out()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Lay out around the pane that has the focus now."""
        if event.widget.id in PANES and event.widget.id != self.pane:
            self.pane = event.widget.id
            self.lay_out()

    @on(TopStrip.Picked)
    def _picked(self, message: TopStrip.Picked) -> None:
        self.focus_pane(message.pane)

    # Filter

    def open_filter(self) -> None:
        """Type a filter for the list in focus."""
        if self.pane in LISTS:
            line = self.query_one(FilterLine)
            target = self.models if self.pane == "models" else self.kernels
            line.value = target.view.filter
            line.add_class("-open")
            line.focus()

    @on(Input.Changed, "#filter")
    def _narrow(self, message: Input.Changed) -> None:
        if self.query_one(FilterLine).has_class("-open"):
            self._filtered().set_filter(message.value.strip())

    @on(Input.Submitted, "#filter")
    def _close_filter(self, message: Input.Submitted) -> None:
        line = self.query_one(FilterLine)
        if line.has_class("-open"):
            self._filtered().set_filter(message.value.strip())
            line.remove_class("-open")
            self.focus_pane(self.pane)

    def _filtered(self) -> ModelsPane | KernelsPane:
        return self.models if self.pane == "models" else self.kernels

    # What arrives

    @property
    def jobs(self) -> Jobs | None:
        """The jobs, as last heard of."""
        return self._jobs

    def take(self, message: ModelsArrived | KernelsArrived | GpusArrived | RunsArrived | WatchArrived) -> None:
        """Show what the feed brought."""
        match message:
            case ModelsArrived():
                self._facts = replace(self._facts, weights=message.models.size)
                self.models.show(message.models)
            case KernelsArrived():
                self._facts = replace(self._facts, kernels=message.tree.kernels.size_on_disk, stale=message.tree.stale)
                self.kernels.show(message.tree)
            case GpusArrived():
                self._facts = replace(self._facts, gpus=message.gpus)
                self.gpus.show(message.gpus)
                self.models.show_gpus(message.gpus)
                self.kernels.show_gpus(message.gpus)
            case RunsArrived():
                running = sum(job.state in ("running", "queued") for job in message.jobs.jobs)
                self._facts = replace(self._facts, running=running)
                self._jobs = message.jobs
                self.panel.show(message.jobs, message.runs, self.clock())
                pids = {worker.pid for worker in message.jobs.workers}
                pids |= {job.pid for job in message.jobs.jobs if job.pid and job.state == "running"}
                self.gpus.show_own(pids)
            case WatchArrived():
                self._facts = replace(self._facts, watch=(message.mode, message.reason))
        self._chrome()
