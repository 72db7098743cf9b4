"""The GPU pane: VRAM by process, which models a process holds and on what evidence, and the rest unattributed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from cachetop.base.hostile import clean
from cachetop_tui import words
from cachetop_tui.commands.registry import named
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Row, title
from cachetop_tui.panes import gpu_data as data
from cachetop_tui.panes import gpu_marks as marks
from cachetop_tui.panes.gpu_compact import compact
from cachetop_tui.panes.gpu_lines import PCIE, Keyed, View, device, processes, said

if TYPE_CHECKING:
    from cachetop.conversion.records import Run
    from cachetop.gpu.records import Gpu, Gpus, Process
    from cachetop.kernelcache.records import Entry

__all__ = ["GpuPane", "View", "headers", "lines"]


def headers(gpus: Gpus | None, width: int, focused: bool) -> list[Line]:
    """The header with the driver, or how long it has not answered, and how many processes cannot be inspected."""
    parts = ["asking the driver …", "live"]
    if gpus is not None:
        parts = ["no GPU", "dim"]
        if gpus.available:
            parts = [f"driver {clean(gpus.driver, 20)}" if gpus.driver else "driver ?", "dim"]
            hidden = len({process.pid for gpu in gpus.gpus for process in gpu.processes if not process.inspectable})
            if hidden:
                parts += [f"   {words.count(hidden, 'process', 'processes')} not inspectable", "dim"]
            parts += ["   every 1 s", "dim"]
        if gpus.waiting is not None:
            parts = [f"no answer for {gpus.waiting:.0f} s", "warn"]
    return [title(width, named("gpus.focus").key, "GPU VRAM", focused, *parts)]


def lines(gpus: Gpus | None, width: int, height: int, view: View, now: float) -> list[Keyed]:
    """All lines below the header as (key, line), with as much detail as `height` lines have room for."""
    if gpus is None:
        return []
    if not gpus.available or not gpus.gpus:
        text = gpus.reason or "The driver reports no GPU."
        return said(text, width, "fg") + said("Models and kernels are shown all the same.", width, "dim")
    if height <= 2 * len(gpus.gpus) and height <= 8:
        return compact(gpus, width, height, view.own)
    out: list[Keyed] = []
    for detail in (6, 5, 4, 3, 2, 1):
        if detail > 1 and _least(gpus, detail) > height:
            continue
        out = _full(gpus, width, view, now, detail)
        if len(out) <= height:
            break
    return out


def _least(gpus: Gpus, detail: int) -> int:
    """How many lines it takes at least, told without making them."""
    held = sum(1 + len(process.models) * (detail > 1) for gpu in gpus.gpus for process in gpu.processes)
    return held + len(gpus.gpus) * (2 if detail > 1 else 1) - 1


def _full(gpus: Gpus, width: int, view: View, now: float, detail: int) -> list[Keyed]:
    """Every GPU with `detail` 1 (processes only) to 5 (evidence, two rows of history, air) and 6 (the bus)."""
    out: list[Keyed] = []
    if detail >= 5:
        out.append(("air", Line()))
    for i, gpu in enumerate(gpus.gpus):
        if i and detail > 1:
            out.append((f"{data.place(gpu)}\0air", Line()))
        out += device(gpu, data.slices(gpus, gpu), width, view, gpus.time, detail)
        out += processes(gpu, width, view, now, detail)
    return out


class GpuPane(LineView):
    """The GPU pane as a widget."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id="gpus")
        self.clock = clock
        self.gpus: Gpus | None = None
        self.view = View()
        self._room_for_pcie = False

    @property
    def shows_pcie(self) -> bool:
        """Whether the throughput of the bus is on the screen."""
        return self._room_for_pcie and self.is_on_screen

    @property
    def chosen(self) -> tuple[Gpu, Process] | None:
        """The process on whose lines the cursor stands, with its GPU."""
        place, _, rest = (self.cursor.key if self.cursor else "").partition("\0")
        pid = rest.partition("\0")[0]
        for gpu in self.gpus.gpus if self.gpus else ():
            if data.place(gpu) == place:
                return next(((gpu, process) for process in gpu.processes if str(process.pid) == pid), None)
        return None

    def show(self, gpus: Gpus) -> None:
        """Show a new sample."""
        self.gpus = gpus
        self.view.history.note(gpus)
        self.view.marks.note(gpus)
        self.update_lines()

    def show_own(self, pids: Collection[int]) -> None:
        """Say which processes are cachetop's own workers."""
        if set(pids) != set(self.view.own):
            self.view.own = frozenset(pids)
            self.update_lines()

    def show_runs(self, runs: Iterable[Run]) -> None:
        """Mark the kernels that conversions compiled on a GPU."""
        self._mark(marks.compiled_in(runs))

    def show_compiled(self, entries: Iterable[Entry]) -> None:
        """Mark kernels whose entries in the caches have just been completed."""
        self._mark(marks.compiled(entries))

    def _mark(self, events: Iterable[marks.Event]) -> None:
        if self.view.marks.add(events, self.clock()):
            self.update_lines()

    def headers(self, width: int) -> list[Line]:
        """See `LineView`."""
        return headers(self.gpus, width, self.has_focus)

    def rows(self, width: int, height: int) -> list[Row]:
        """See `LineView`."""
        made = lines(self.gpus, width, height, self.view, self.clock())
        self._room_for_pcie = any(key.endswith(PCIE) for key, _ in made)
        return [Row(key, "line", line, fixed=not _stands_for_something(key)) for key, line in made]

    def line(self, row: Row, width: int) -> Line:
        """See `LineView`."""
        made: Line = row.subject
        return made


def _stands_for_something(key: str) -> bool:
    """Whether a line is a GPU, a process or a model that it holds; the cursor steps over bars, numbers and notes."""
    place, *rest = key.split("\0")
    if not rest:
        return place not in ("air", "note")
    return rest[0].isdigit() and (len(rest) == 1 or (len(rest) == 2 and not re.fullmatch(r"note\d+", rest[1])))
