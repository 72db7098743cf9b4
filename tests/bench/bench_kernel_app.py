"""What a large kernel cache costs in the app: how long the event loop is held, when the first rows are there, and how
long a new entry takes from the disk to the screen.

    python tests/bench/bench_kernel_app.py [ENTRIES] [FOLDER]

The real inventory watches a real cache (two files an entry, so that 100,000 are made in a minute) and feeds the real
app at 160x45, which runs headless. Floors: a new entry on the screen within 100 ms at the median in a burst of 3,000,
none lost; the event loop never held for 50 ms.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.heart import Heart

BURST = 3000
LIBRARY = "/opt/e/lib/python3.11/site-packages/triton/backends/nvidia/lib/libdevice.bc"


def key(word: str) -> str:
    """A folder's name as Triton gives it."""
    from support.triton_cache import key_of

    return key_of(hashlib.sha256(word.encode()).digest())


def write(root: Path, word: str, number: int) -> None:
    """One complete entry, of two files."""
    from support.triton_cache import metadata

    entry = root / key(word)
    entry.mkdir()
    name = f"triton_poi_fused_{number % 50}"
    about = metadata(name, (75, 80, 86, 89, 90, 100, 120)[number % 7], triton_version="3.8.0",
                     extern_libs=[["libdevice", LIBRARY]])  # fmt: skip
    (entry / f"{name}.json").write_text(json.dumps(about))
    (entry / f"__grp__{name}.json").write_text(json.dumps({"child_paths": {f"{name}.json": f"{entry}/{name}.json"}}))


def compiled(root: Path, word: str, number: int) -> None:
    """One entry file by file, as Triton writes it: each in a folder of its own that is removed again, then renamed."""
    from support.triton_cache import metadata

    entry = root / key(word)
    entry.mkdir()
    name = f"triton_poi_fused_{number % 50}"
    about = json.dumps(metadata(name, 90, triton_version="3.8.0", extern_libs=[["libdevice", LIBRARY]]))
    files = {f"{name}.{ending}": "x" * 2000 for ending in ("source", "ttir", "ttgir", "llir", "ptx", "cubin")}
    files[f"{name}.json"] = about
    files[f"__grp__{name}.json"] = json.dumps({"child_paths": {one: f"{entry}/{one}" for one in files}})
    for file, text in files.items():
        temporary = entry / f"tmp.pid_{os.getpid()}_{number}"
        temporary.mkdir()
        (temporary / file).write_text(text)
        os.replace(temporary / file, entry / file)
        temporary.rmdir()


def burst(root: Path) -> None:
    """Be another process that compiles: 3,000 entries, and the moment each was made."""
    sys.stdin.readline()
    for n in range(BURST):
        print(key(f"burst {n}"), time.perf_counter(), flush=True)
        compiled(root, f"burst {n}", n)


async def measure(root: Path, count: int) -> None:
    """Run the app on the cache."""
    from cachetop.inventory import Inventory
    from cachetop.locations import Location
    from cachetop_tui import garbage
    from cachetop_tui.app import CachetopApp
    from cachetop_tui.panes.kernels import KernelsPane

    garbage.prepare()
    inventory = Inventory(hub=[], kernels=[Location("triton", str(root), "bench")])
    app = CachetopApp(inventory, host="bench")
    seen: dict[str, float] = {}
    show = KernelsPane.show

    def shown(self: KernelsPane, tree: object) -> None:
        show(self, tree)  # type: ignore[arg-type]
        moment = time.perf_counter()
        for entry in tree.appeared:  # type: ignore[attr-defined]
            seen.setdefault(entry.key, moment)

    KernelsPane.show = shown  # type: ignore[method-assign]
    heart = Heart()

    def said(what: str) -> None:
        print(f"{what}: event loop {heart.said()}", flush=True)

    began = time.perf_counter()
    async with app.run_test(size=(160, 45)) as pilot:
        task = asyncio.create_task(heart.beat())
        pane = app.overview.kernels
        while pane.shown is None:
            await asyncio.sleep(0.005)
        print(f"{count:,} entries: first rows after {time.perf_counter() - began:.2f} s")
        while not any(entry.producer.triton for entry in pane.shown.kernels.entries[-3:]):
            await asyncio.sleep(0.05)
        print(f"second pass over after {time.perf_counter() - began:.1f} s")
        said("start and second pass")
        await asyncio.sleep(3)
        said("three idle seconds")
        pane.focus()
        steps = (
            ("moving, every group folded or filled", ["down"] * 30),
            (f"unfolding a group of {count // 7:,}", ["home", "down", "right"]),
            ("moving in it", ["down"] * 30 + ["pagedown"] * 10 + ["end"]),
        )
        for name, keys in steps:
            for one in keys:
                await pilot.press(one)
            said(name)
        command = [sys.executable, __file__, "--burst", str(root)]
        writer = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdin is not None and writer.stdout is not None
        writer.stdin.write(b"go\n")
        lines = (await writer.communicate())[0].decode().splitlines()
        made = {name: float(moment) for name, moment in (line.split() for line in lines)}
        end = time.perf_counter() + 30
        while made.keys() - seen.keys() and time.perf_counter() < end:
            await asyncio.sleep(0.01)
        delays = [(seen[name] - moment) * 1000 for name, moment in made.items() if name in seen]
        said(f"burst of {BURST:,} with that group unfolded")
        lost, middle, worst = len(made.keys() - seen.keys()), statistics.median(delays), max(delays)
        print(f"burst: {lost} lost, {middle:.0f} ms to the screen at the median, {worst:.0f} worst")
        task.cancel()
    for name in made:
        shutil.rmtree(root / name)


def main() -> None:
    """Make the cache, run, print."""
    if sys.argv[1:2] == ["--burst"]:
        burst(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="bench-app-"))
    root = folder / f"small-{count}"
    if not root.is_dir():
        root.mkdir(parents=True)
        for n in range(count):
            write(root, str(n), n)
    for n in range(BURST):  # of a run that was cut short
        shutil.rmtree(root / key(f"burst {n}"), ignore_errors=True)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    os.environ.update(HOME=str(home), TMPDIR=str(home), CACHETOP_STATE_DIR=str(home / "state"),
                      CACHETOP_CONFIG=str(home / "config.toml"))  # fmt: skip
    asyncio.run(measure(root, count))
    if len(sys.argv) < 3:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
