"""`%cachetop live`: models, kernels and GPUs in the notebook, once a second at most, for as long as they are seen."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from cachetop import api, locations
from cachetop.base import units
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.sampler import Sampler
from cachetop.gpu.source import NvmlSource
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner as HubScanner
from cachetop.kernelcache.scan import Scanner as KernelScanner
from cachetop.notebook import markup, plain, snapshots
from cachetop.notebook.output import Output
from cachetop.notebook.sheet import Sheet, Table

INTERVAL = 1.0
"""Seconds between two looks."""
_FIRST = 0.5
"""Seconds to wait for the first sample of the GPUs."""
_ROWS = 8
"""Rows of each pane; a notebook's output is no place to scroll in."""


class Panes:
    """The three panes as they are now. A look costs what changed; it opens no model file."""

    def __init__(self) -> None:
        self._hub = HubScanner(roots())
        self._kernels = KernelScanner(locations.kernel_roots())
        self._gpus = Sampler(NvmlSource(Attribution(self._hub.inodes)), INTERVAL)

    def start(self) -> None:
        """Begin to sample the GPUs; the first sample is waited for, as long as a driver that answers takes."""
        fresh = threading.Event()
        unsubscribe = self._gpus.subscribe(lambda _: fresh.set())
        self._gpus.start()
        fresh.wait(_FIRST)
        unsubscribe()

    def stop(self) -> None:
        """End sampling."""
        self._gpus.stop()

    def sheets(self) -> list[Sheet]:
        """Models, kernels, GPUs."""
        models, kernels = self._hub.scan(), self._kernels.scan()
        made = [snapshots.models(models), snapshots.kernels(kernels), snapshots.gpus(self._gpus.latest())]
        for sheet in made:
            sheet.tables = [_short(table) for table in sheet.tables]
        return made


def _short(table: Table) -> Table:
    rows = table.rows[:_ROWS]
    return dataclasses.replace(table, rows=rows, left_out=table.left_out + len(table.rows) - len(rows))


class Ticker:
    """Calls `draw` with fresh panes every `INTERVAL` seconds while `seen()`, from one daemon thread."""

    def __init__(self, draw: Callable[[list[Sheet]], object], seen: Callable[[], bool] = lambda: True) -> None:
        self._draw, self._seen = draw, seen
        self._panes = Panes()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cachetop-live", daemon=True)
        self.looks = 0
        """How many times it looked so far."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; nothing is drawn any more when this returns, unless it is called while drawing."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * INTERVAL)

    @property
    def running(self) -> bool:
        """Whether it still goes on."""
        return self._thread.is_alive()

    def _run(self) -> None:
        awake = False
        while not self._stopped.is_set():
            if self._seen() != awake:
                awake = not awake
                (self._panes.start if awake else self._panes.stop)()
            if awake:
                self.looks += 1
                try:
                    self._draw(self._panes.sheets())
                except Exception as error:
                    sys.stderr.write(f"cachetop: the live view stopped: {error!r}\n")
                    break
            self._stopped.wait(INTERVAL)
        self._panes.stop()


class PlainLive:
    """An output of a cell that is replaced once a second until `stop`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._ticker = Ticker(self._show)
        self._ticker.start()

    def stop(self) -> None:
        """Stop updating; what is shown stays."""
        self._ticker.stop()

    @property
    def running(self) -> bool:
        """Whether it still goes on."""
        return self._ticker.running

    def _show(self, sheets: list[Sheet]) -> None:
        self._output.show(bundle(sheets))


def bundle(sheets: list[Sheet]) -> dict[str, str]:
    """Several sheets as one output, with the time of the look."""
    clock = units.clock(time.time())
    return {
        "text/plain": "\n\n".join([*map(plain.text, sheets), f"at {clock}"]),
        "text/html": page(sheets),
    }


def page(sheets: list[Sheet]) -> str:
    """Several sheets as HTML."""
    return f"<div>{''.join(map(markup.html, sheets))}<div>at {units.clock(time.time())}</div></div>"


class Lives:
    """The live views of one kernel."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._views: list[Any] = []

    def start(self, as_plain: bool = False) -> Any:
        """Show one: the widget where anywidget is installed, else an output that is replaced, once in a terminal."""
        self._views = [view for view in self._views if view.running]
        output = Output(self._shell)
        if not output.lively:
            sheets = [snapshots.models(api.models()), snapshots.kernels(api.kernels()), snapshots.gpus(api.gpus())]
            output.show(bundle(sheets))
            return None
        if not as_plain and find_spec("anywidget") is not None:
            from cachetop.notebook.widget import LiveWidget

            view: Any = LiveWidget()
            self._views.append(view)
            return view
        self._views.append(PlainLive(output))
        return None

    def stop(self) -> None:
        """Stop all of them."""
        views, self._views = self._views, []
        for view in views:
            view.stop()
