"""`%cachetop auto on`: one quiet line after each cell that read, fetched, compiled or left something in VRAM."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from cachetop.notebook.report_sheet import line
from cachetop.notebook.track import Track


class Auto:
    """The line after each cell of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._track: Track | None = None
        self._depth = 0
        self.on = False

    def switch(self, on: bool) -> None:
        """Turn it on or off; a cell that is running is not reported."""
        if on == self.on:
            return
        self.on = on
        events = self._shell.events
        change = events.register if on else events.unregister
        change("pre_run_cell", self._before)
        change("post_run_cell", self._after)
        self._depth = 1 if on else 0  # the cell that switches it on ends with a post_run_cell of its own
        self._drop()

    def _before(self, info: Any) -> None:
        self._depth += 1
        if self._depth == 1 and not str(info.raw_cell).lstrip().startswith(("%cachetop", "%%cachetop")):
            self._drop()
            self._track = Track()
            self._track.__enter__()

    def _after(self, result: Any) -> None:
        self._depth = max(0, self._depth - 1)
        track = self._track
        if self._depth or track is None:
            return
        self._track = None
        track.__exit__(None, None, None)
        said = line(track.report)
        if said is not None:
            print(f"cachetop: {said}")  # noqa: T201

    def _drop(self) -> None:
        track, self._track = self._track, None
        if track is not None:
            track.__exit__(None, None, None)
