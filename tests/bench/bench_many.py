"""The real app on very much: 5,000 repos, 100,000 kernel entries, 8 GPUs. How long its event loop stands still.

    python tests/bench/bench_many.py [REPOS] [ENTRIES] [FOLDER]

FOLDER keeps the generated caches for the next time (making them takes minutes). Floors: the event loop never blocked
over 50 ms while scanning, scrolling, filtering and unfolding; 250 MB. `heart` says how long the loop stood still and
how much of that this process computed: on a busy machine other programs hold it too.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.bench_gpus import scenario
from bench.bench_hub import build
from bench.heart import Heart
from support import fake_nvml
from support.triton_cache import synthetic


def megabytes(what: str = "VmRSS") -> float:
    """Memory of this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(what))


@asynccontextmanager
async def watched(heart: Heart, name: str) -> AsyncIterator[None]:
    """Print how long the loop stood still meanwhile."""
    heart.said()
    began, cpu = time.monotonic(), time.process_time()
    yield
    took, used = time.monotonic() - began, time.process_time() - cpu
    print(f"{name:<34}{took:6.1f} s, CPU {used / took:4.0%}, {heart.said()}", flush=True)


async def drive() -> None:
    """Open the app, let it look, and do what a person does."""
    from cachetop.inventory import Inventory
    from cachetop_tui import garbage
    from cachetop_tui.app import CachetopApp

    garbage.prepare()
    app, heart = CachetopApp(Inventory()), Heart()
    beating = asyncio.create_task(heart.beat())
    async with app.run_test(size=(160, 45)) as pilot:
        models, kernels = app.overview.models, app.overview.kernels

        async def until(true: Callable[[], bool], seconds: float = 240) -> None:
            end = time.monotonic() + seconds
            while not true():
                assert time.monotonic() < end, "it does not come"
                await asyncio.sleep(0.05)

        async def keys(*names: str, times: int = 1) -> None:
            for _ in range(times):
                await pilot.press(*names)

        def scanned() -> bool:
            return bool(
                models.models and not models.models.scanning and models.models.repos
                and kernels.shown and kernels.shown.kernels.entries
            )  # fmt: skip

        async with watched(heart, "first look at everything"):
            await until(scanned)
        async with watched(heart, "second pass"):
            await until(lambda: kernels.shown is not None and kernels.shown.stale > 0)
            await asyncio.sleep(15)
        gpus = app.overview.gpus.gpus
        print(f"{'':<34}{app.overview.picture.size:,} repos and entries, "
              f"{len(gpus.gpus) if gpus else 0} GPUs, {megabytes():.0f} MB")  # fmt: skip
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "nothing, 8 s": lambda: asyncio.sleep(8),
            "models: down 40, page down 40": lambda: keys(*["down"] * 40, *["pagedown"] * 40),
            "models: end, home, 5 times": lambda: keys("end", "home", times=5),
            "models: unfold 10": lambda: keys("right", "down", times=10),
            "models: filter": lambda: keys("f", *"model-4", "enter", "f", "escape"),
            "models: scan again": lambda: keys("r"),
            "kernels: unfold every SM": lambda: keys("2", "home", *["down", "right", "left"] * 20),
            "kernels: page down 40": lambda: keys("home", "down", "right", *["pagedown"] * 40),
            "kernels: end, home, 5 times": lambda: keys("end", "home", times=5),
            "kernels: filter": lambda: keys("f", *"fused_7", "enter", "end", "home", "f", "escape"),
            "kernels: find": lambda: keys("apostrophe", *"fused_42", "enter"),
            "quick open": lambda: keys("slash", *"fused_42", "escape"),
            "side bar": lambda: keys("b", "end", "home", "b"),
            "GPU pane: down 40": lambda: keys("3", *["down"] * 40),
        }
        for name, step in steps.items():
            async with watched(heart, name):
                await step()
                await asyncio.sleep(0.5)
        print(f"{'memory':<34}{megabytes():8.0f} MB now, {megabytes('VmHWM'):.0f} MB at most (floor 250)")
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


def main() -> None:
    """Build what is missing, point everything there, drive."""
    repos = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    entries = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as own:
        home = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(own)
        hub, triton = home / f"hub-{repos}", home / f"triton-{entries}"
        if not hub.exists():
            build(hub, repos)
        if not triton.exists():
            synthetic(triton, entries)
        os.environ |= {
            "HOME": str(home), "TMPDIR": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_CACHE": str(hub),
            "TRITON_CACHE_DIR": str(triton), "CACHETOP_STATE_DIR": str(home / "state"), "TERM": "xterm-256color",
            "CACHETOP_CONFIG": str(home / "config.toml"), "XDG_CACHE_HOME": str(home / "cache"),
            "TORCHINDUCTOR_CACHE_DIR": str(home / "inductor"),
        }  # fmt: skip
        sleepers: list[subprocess.Popen[Any]] = [subprocess.Popen(["sleep", "600"]) for _ in range(20)]
        try:
            with fake_nvml.driver(scenario(8, [one.pid for one in sleepers])):
                asyncio.run(drive())
        finally:
            for process in sleepers:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
