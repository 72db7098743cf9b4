"""Many things at once."""

from __future__ import annotations

import asyncio
import time

from support import pictures
from support.opening import opened, screen, until


async def test_with_many_things_the_loop_is_never_blocked_for_long() -> None:
    many = tuple(pictures.plain(f"org/model-{i:05}", 1e9 - i, 0.5, i) for i in range(5000))
    entries = tuple(pictures.entry("triton", f"kernel_{i}", f"sm_{80 + i % 10}", age=i) for i in range(20000))
    source = pictures.everything(models=pictures.models(*many), kernels=pictures.kernels(*entries))
    async with opened((120, 30), source) as (app, pilot):
        await until(pilot, lambda: "5,013 repos" in screen(app) and "20,020 entries" in screen(app))
        worst = 0.0
        stop = False

        async def beat() -> None:
            nonlocal worst
            while not stop:
                began = time.perf_counter()
                await asyncio.sleep(0.005)
                worst = max(worst, time.perf_counter() - began - 0.005)

        task = asyncio.create_task(beat())
        for key in ("down", "pagedown", "end", "home", "2", "end", "pageup", "right", "left", "1"):
            await pilot.press(key)
        stop = True
        await task
        assert worst < 0.5, f"the event loop was blocked for {worst * 1000:.0f} ms"
