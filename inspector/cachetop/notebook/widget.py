"""The live view as a widget, for JupyterLab, Notebook 7, VS Code and marimo. Needs anywidget (extra `jupyter`)."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from cachetop.notebook.live import Ticker, page
from cachetop.notebook.sheet import Sheet

ALIVE = 15.0
"""Seconds after which a view that says nothing counts as gone: its page was closed."""


class LiveWidget(anywidget.AnyWidget):
    """Models, kernels and GPUs, looked at once a second while some view of it is on screen.

    Each view tells when it is seen and when not, and that it is still there. Without a view that is seen nothing
    is looked at. `stop` or `close` ends it for good.
    """

    _esm = Path(__file__).with_name("widget.js")
    html = traitlets.Unicode("<div>cachetop: looking …</div>").tag(sync=True)
    """What is drawn. Made by `markup`, which escapes every text."""
    stopped = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._views: dict[str, float] = {}
        self._lock = threading.Lock()
        self.on_msg(self._told)
        self._ticker = Ticker(self._draw, self._seen)
        self._ticker.start()

    @property
    def running(self) -> bool:
        """Whether it goes on, seen or not."""
        return self._ticker.running

    @property
    def looks(self) -> int:
        """How many times it looked so far."""
        return self._ticker.looks

    def stop(self) -> None:
        """End updating; what is shown stays and says so."""
        self._ticker.stop()
        self.stopped = True

    def close(self) -> None:
        """End updating and take the widget off the page."""
        self._ticker.stop()
        super().close()

    def _told(self, _widget: Any, message: Any, _buffers: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("view"), str):
            return
        with self._lock:
            if message.get("seen") is True:
                self._views[message["view"]] = time.monotonic()
            else:
                self._views.pop(message["view"], None)

    def _seen(self) -> bool:
        with self._lock:
            return any(time.monotonic() - last < ALIVE for last in self._views.values())

    def _draw(self, sheets: list[Sheet]) -> None:
        self.html = page(sheets)
