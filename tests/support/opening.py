"""The app opened on the samples, for tests that drive it by keys."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from cachetop_tui.app import CachetopApp
from cachetop_tui.sources import Source
from support import pictures


@asynccontextmanager
async def opened(
    size: tuple[int, int] = (120, 30), source: Source | None = None, **more: Any
) -> AsyncIterator[tuple[CachetopApp, Pilot[None]]]:
    """The app on the samples, with everything known already painted."""
    app = CachetopApp(source or pictures.everything(), clock=lambda: pictures.NOW, host="gpubox", **more)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await until(pilot, lambda: app.overview.models.models is not None or source is not None)
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait until `true` holds; gives up with a failure."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it did not come about")


def screen(app: CachetopApp) -> str:
    """The characters on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
