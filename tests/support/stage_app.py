"""An app that holds nothing but the widget under test, in one of the looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from cachetop_tui import themes


class StageApp(App[None]):
    """Shows one widget in a theme, with or without ASCII."""

    def __init__(self, widget: Widget | None = None, theme: str = "cachetop-dark", ascii_only: bool = False) -> None:
        super().__init__()
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = theme
        self.set_class(ascii_only, themes.ASCII_CLASS)
        self._widget = widget

    def compose(self) -> ComposeResult:
        """The widget under test."""
        if self._widget is not None:
            yield self._widget


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the app run until `true()`, at most `seconds`; an AssertionError after that."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)
        await pilot.pause()


def screen_lines(app: App[None]) -> list[str]:
    """The characters of the whole screen, as the compositor shows them."""
    return [strip.text for strip in app.screen._compositor.render_strips()]
