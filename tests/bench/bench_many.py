"""The real app on very much: 5,000 repos, 100,000 kernel entries, 8 GPUs. How long its event loop stands still.

    python tests/bench/bench_many.py [REPOS] [ENTRIES] [FOLDER]

FOLDER keeps the generated caches for the next time (making them takes minutes); nothing in them is changed. Floors: the
event loop never blocked over 50 ms, whatever a person does; 250 MB. After the memory was read come thousands of
problems (another cache with broken repos) and the review of a plan for every stale entry, which nobody confirms.

`heart` says how long the loop stood still and why: on a busy machine other programs hold it too.
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

SICK = 3000
"""Broken repos that come at the end."""


def megabytes(what: str = "VmRSS", file: str = "status") -> float:
    """Memory of this process."""
    return next(
        int(line.split()[1]) / 1024 for line in Path(f"/proc/self/{file}").read_text().splitlines()
        if line.startswith(what)
    )  # fmt: skip


def memory(when: str) -> None:
    """Print the memory of this process."""
    own = megabytes("Private_Dirty", "smaps_rollup") + megabytes("Private_Clean", "smaps_rollup")
    print(f"{when:<34}RSS {megabytes():.0f} MB now, {megabytes('VmHWM'):.0f} MB at most (floor 250); "
          f"PSS {megabytes('Pss:', 'smaps_rollup'):.0f}, USS {own:.0f}", flush=True)  # fmt: skip


def sick(root: Path, repos: int) -> None:
    """A hub cache of repos that lost their content."""
    for number in range(repos):
        snapshot = root / f"models--sick--model-{number}" / "snapshots" / f"{number:040x}"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").symlink_to(f"../../blobs/{number:040x}")


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
    from cachetop_tui.prune.review import PlanView

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
                and kernels.shown and kernels.shown.kernels.entries and not kernels.shown.kernels.scanning
            )  # fmt: skip

        async with watched(heart, "first look at everything"):
            await until(scanned)
        async with watched(heart, "second pass"):
            await until(lambda: kernels.shown is not None and kernels.shown.stale > 0)
            await asyncio.sleep(15)
        gpus = app.overview.gpus.gpus
        print(f"{'':<34}{app.overview.picture.size:,} repos and entries, {len(gpus.gpus) if gpus else 0} GPUs")
        memory("memory after both passes")

        def outlook() -> bool:
            found = app.overview.picture.outlook
            return found is not None and sum(one.count or 0 for one in found.prospects) > 0

        async def side(shown: bool) -> None:
            if app.overview.query_one("#aside").display is not shown:
                await keys("b")

        async def in_side(pane: str, *names: str) -> None:
            await side(False)
            await keys(pane)
            await side(True)
            await keys(*names)

        async def document(*names: str) -> None:
            await keys(*names, "enter")
            await until(lambda: (tab := app.overview.tabs.current) is not None and tab.record is not None)
            await keys(*["pagedown"] * 5, "home")

        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "nothing, 8 s": lambda: asyncio.sleep(8),
            "what could go": lambda: until(outlook),
            "models: down 40, page down 40": lambda: keys(*["down"] * 40, *["pagedown"] * 40),
            "models: end, home, 5 times": lambda: keys("end", "home", times=5),
            "models: unfold 10": lambda: keys("right", "down", times=10),
            "models: fold all": lambda: keys("minus"),
            "models: filter": lambda: keys("f", *"model-4", "enter", "f", "escape"),
            "models: filter by size": lambda: keys("f", *"size>1GB", "enter", "f", "escape"),
            "models: sort": lambda: keys("6", "7", "8", "9", "0"),
            "models: scan again": lambda: keys("r"),
            "models: a repo's document": lambda: document("1", "home", "down"),
            "models: leave it": lambda: keys("escape", "w"),
            "kernels: unfold every SM": lambda: keys("2", "home", *["down", "right", "left"] * 20),
            "kernels: page down 40": lambda: keys("home", "down", "right", *["pagedown"] * 40),
            "kernels: end, home, 5 times": lambda: keys("end", "home", times=5),
            "kernels: filter": lambda: keys("f", *"fused_7", "enter", "end", "home", "f", "escape"),
            "kernels: filter stale": lambda: keys("f", *"stale", "enter", "end", "home", "f", "escape"),
            "models: find what is folded": lambda: keys(
                "1", "home", "apostrophe", *"preprocessor", "down", "down", "up", "enter", "minus", "home"
            ),
            "models: find what is nowhere": lambda: keys("apostrophe", *"nowhere", "backspace", "escape"),
            "kernels: find": lambda: keys("2", "apostrophe", *"fused_42", "enter"),
            "kernels: find what is not there": lambda: keys("apostrophe", *"xyz", "escape"),
            "kernels: a kernel's document": lambda: document("2", "apostrophe", *"fused_42", "enter"),
            "kernels: leave it": lambda: keys("escape", "w"),
            "kernels: fold all": lambda: keys("minus"),
            "quick open": lambda: keys("slash", *"fused_42", "escape"),
            "quick open: a repo": lambda: keys("slash", "at", *"model-4999", "escape"),
            "quick open: a kernel": lambda: keys("slash", "number_sign", *"nothing", "escape"),
            "commands": lambda: keys("colon", *"prune", "escape"),
            "activities": lambda: keys("1", "2", "3", "4", "5", "tab", "shift+tab", times=3),
            "side bar: models": lambda: in_side("1", "end", "home"),
            "side bar: kernels": lambda: in_side("2", "end", "home"),
            "side bar: find": lambda: in_side("1", *"model-12", "escape"),
            "maximise, panel, theme": lambda: keys("1", "z", "z", "o", "o", "t", "t", "t", "t"),
            "settings": lambda: keys("comma", *["down"] * 10, "escape", "w"),
            "GPU pane: down 40": lambda: keys("3", *["down"] * 40),
        }
        for name, step in steps.items():
            async with watched(heart, name):
                await step()
                await asyncio.sleep(0.5)
        memory("memory after all of that")
        async with watched(heart, f"{SICK:,} broken repos come"):
            Path(os.environ["CACHETOP_CONFIG"]).write_text(f"[models]\nroots = [{os.environ['BENCH_SICK']!r}]\n")
            await until(lambda: len(app.overview.picture.problems) >= SICK)
        async with watched(heart, "problems: look through them"):
            await keys(
                "5", *["down"] * 20, *["pagedown"] * 20, *["end", "home"] * 3, "apostrophe", *"model-29", "escape"
            )
        async with watched(heart, "a plan for every stale kernel"):
            await keys("P")
            await until(lambda: bool(app.screen.query("#plan")))
        print(f"{'':<34}{len(app.screen.query_one(PlanView).draft.plan.items):,} items in it")
        async with watched(heart, "the plan: look through it"):
            await keys(
                "right", *["pagedown"] * 20, *["end", "home"] * 3, "down", *["space"] * 3, "home", "left", "space"
            )
            await asyncio.sleep(1)
        async with watched(heart, "the plan: leave it"):
            await keys("escape")
            await until(lambda: app.screen is app.overview)
            await asyncio.sleep(3)
        memory("memory after that")
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
        broken = home / f"sick-{SICK}"
        if not broken.exists():
            sick(broken, SICK)
        (home / "config.toml").unlink(missing_ok=True)
        os.environ |= {
            "HOME": str(home), "TMPDIR": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_CACHE": str(hub),
            "TRITON_CACHE_DIR": str(triton), "CACHETOP_STATE_DIR": str(home / "state"), "TERM": "xterm-256color",
            "CACHETOP_CONFIG": str(home / "config.toml"), "XDG_CACHE_HOME": str(home / "cache"),
            "TORCHINDUCTOR_CACHE_DIR": str(home / "inductor"), "BENCH_SICK": str(broken),
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
