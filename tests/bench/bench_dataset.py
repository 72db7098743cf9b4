"""The real app on one dataset repo of very many files: how long its event loop stands still at what a person does.

    python tests/bench/bench_dataset.py [FILES] [FOLDER]

FOLDER keeps the generated cache for the next time. Each file has a checksum of its own, a second revision replaces
every hundredth. Floor: the event loop never blocked over 50 ms; see `heart` for what is printed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.bench_many import megabytes, watched
from bench.heart import Heart

OLD, NEW = "d" * 40, "e" * 40
NAME = "big/shards"


def build(cache: Path, files: int) -> None:
    """A dataset of `files` small shards, a thousand to a folder, in two revisions with their lists."""
    top = cache / "datasets--big--shards"
    for part in ("blobs", "refs", "trees"):
        (top / part).mkdir(parents=True)
    (top / "refs" / "main").write_text(NEW)
    for commit, changed in ((OLD, 0), (NEW, 100)):
        listed = {}
        for number in range(files):
            version = 1 if changed and number % changed == 0 else 0
            folder = top / "snapshots" / commit / "data" / f"train-{number // 1000:03d}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            content = f"{number} {version} ".encode() * 60
            name = hashlib.sha256(content).hexdigest()
            blob = top / "blobs" / name
            if not blob.exists():
                blob.write_bytes(content)
            (folder / f"{number:06d}.tar").symlink_to(f"../../../../blobs/{name}")
            listed[f"data/train-{number // 1000:03d}/{number:06d}.tar"] = {
                "size": len(content), "blob_id": "0" * 40, "lfs_sha256": name, "lfs_size": len(content),
            }  # fmt: skip
        (top / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": listed}))


async def drive() -> None:
    """Open the app, let it look, and do what a person does."""
    from cachetop.inventory import Inventory
    from cachetop_tui import garbage
    from cachetop_tui.app import CachetopApp

    garbage.prepare()
    app, heart = CachetopApp(Inventory(kernels=[])), Heart()
    beating = asyncio.create_task(heart.beat())
    async with app.run_test(size=(120, 40)) as pilot:
        models, overview = app.overview.models, app.overview

        async def until(true: Callable[[], bool], seconds: float = 120) -> None:
            end = time.monotonic() + seconds
            while not true():
                assert time.monotonic() < end, "it does not come"
                await asyncio.sleep(0.02)

        async def keys(*names: str) -> None:
            for name in names:
                await pilot.press(name)

        async def task(*names: str) -> None:
            before = overview.model_task
            await keys(*names)
            await until(lambda: overview.model_task is not before)
            await until(lambda: overview.model_task is not None and not overview.model_task.state.going)
            print(f"{'':<34}{overview.model_task.said if overview.model_task else ''}")
            await keys("escape", "1")

        def passed() -> bool:
            found = models.models
            return bool(found and found.repos and all(one.complete for repo in found.repos for one in repo.revisions))

        async with watched(heart, "first look"):
            await until(lambda: bool(models.models and not models.models.scanning and models.models.repos))
        async with watched(heart, "second pass"):
            await until(passed)
        async with watched(heart, "nothing, 6 s"):
            await asyncio.sleep(6)
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "unfold the repo, the revision": lambda: keys("1", "right", "down", "down", "right"),
            "down 40, page down 40": lambda: keys(*["down"] * 40, *["pagedown"] * 40),
            "end, home, 5 times": lambda: keys(*["end", "home"] * 5),
            "find a file by typing": lambda: keys("apostrophe", *"098765", "enter", "1"),
            "find what is folded": lambda: keys("minus", "apostrophe", *"097531.tar", "down", "enter"),
            "the file's document": lambda: keys("enter", "pagedown", "f", *"blob", "enter", "escape", "escape", "1"),
            "find what is nowhere": lambda: keys("minus", "apostrophe", *"nowhere", "escape"),
            "unfold again": lambda: keys("home", "right", "down", "down", "right"),
            "filter, back": lambda: keys("f", *"train-04", "enter", "f", "escape"),
            "fold, unfold the revision": lambda: keys("home", "down", "left", "right", "left"),
            "scan again": lambda: keys("home", "r"),
            "side bar": lambda: keys("b", "end", "home", "b", "1"),
            "quick open": lambda: keys("slash", *"@shards", "escape"),
            "the repo's document": lambda: keys("1", "home", "enter", *["pagedown"] * 10, "end", "escape"),
            "revision diff": lambda: keys("1", "home", "down", "enter", *["pagedown"] * 10, "end", "escape"),
            "mark, plan, leave": lambda: keys("1", "home", "space", "delete"),
        }
        for name, step in steps.items():
            async with watched(heart, name):
                await step()
                await asyncio.sleep(0.5)
        async with watched(heart, "the plan's review"):
            await until(lambda: app.screen is not overview)
            await asyncio.sleep(1)
            await keys("escape", "1", "home", "space")
        async with watched(heart, "warm"):
            await task("W")
        async with watched(heart, "drop"):
            await task("D", "left", "enter")
        async with watched(heart, "verify"):
            await task("C")
        async with watched(heart, "verify again"):
            await task("C")
        print(f"{'memory':<34}{megabytes():8.0f} MB now, {megabytes('VmHWM'):.0f} MB at most")
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


def main() -> None:
    """Build what is missing, point everything there, drive."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as own:
        home = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(own)
        hub = home / f"dataset-{files}"
        if not hub.exists():
            build(hub, files)
        os.environ |= {
            "HOME": str(home), "TMPDIR": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_CACHE": str(hub),
            "CACHETOP_STATE_DIR": str(home / "state"), "CACHETOP_CONFIG": str(home / "config.toml"),
            "XDG_CACHE_HOME": str(home / "cache"), "TERM": "xterm-256color",
        }  # fmt: skip
        (home / "state" / "verified.json").unlink(missing_ok=True)
        asyncio.run(drive())


if __name__ == "__main__":
    main()
