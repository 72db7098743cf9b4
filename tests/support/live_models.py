"""The real app on a real hub cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from cachetop import locations
from cachetop.inventory import Inventory
from cachetop_tui.app import CachetopApp
from support.opening import until


@asynccontextmanager
async def live(size: tuple[int, int] = (100, 30)) -> AsyncIterator[tuple[CachetopApp, Pilot[None]]]:
    """The app on this test's own hub cache, once the second pass is on the screen."""
    app = CachetopApp(Inventory(hub=[locations.hub()], kernels=[], interval=0.2), host="gpubox")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: bool(app.overview.query("#filter")))
        await until(pilot, lambda: (models := app.overview.models.models) is not None and not models.scanning)
        await until(pilot, lambda: all(r.complete is not None or r.files for m in [app.overview.models.models]
                                       if m for repo in m.repos for r in repo.revisions))  # fmt: skip
        yield app, pilot
