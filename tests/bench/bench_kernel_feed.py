"""What the live picture of the kernel caches costs: nothing changed, one new entry, a burst of 3,000.

    python tests/bench/bench_kernel_feed.py [ENTRIES] [FOLDER]

Floors: nothing changed under 1 ms a look; a burst of 3,000 new entries: none lost, median under 100 ms from disk to
the published snapshot. One new entry is measured at two sizes of the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cachetop.inventory.kernel_feed import KernelFeed
from cachetop.inventory.updates import KernelsChanged, Update
from cachetop.locations import Location
from cachetop.watch import Target, Watcher
from support.triton_cache import key_of, synthetic, write_entry

BURST = 3000
LIBRARY = "/opt/e/lib/python3.11/site-packages/triton/backends/nvidia/lib/libdevice.bc"


def key(word: str) -> str:
    """A folder's name as Triton gives it."""
    return key_of(hashlib.sha256(word.encode()).digest())


def milliseconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def still(root: Path) -> tuple[float, float]:
    """(a look at nothing new, a look at one new entry), medians in ms."""
    feed = KernelFeed(lambda update: None, [Location("triton", str(root), "bench")], lambda: ["sm_90"])
    feed.look()
    time.sleep(2.1)  # a folder's time stamp is trusted once it is two seconds old
    feed._whole_at = time.monotonic() + 3600
    feed.wake()
    feed.look()
    nothing, one = [], []
    for n in range(21):
        feed.wake()
        nothing.append(milliseconds(feed.look))
        folder = write_entry(root, key(f"one {n}"), triton_version="3.8.0", extern_libs=[["libdevice", LIBRARY]])
        feed._quick_at = time.monotonic() + 3600
        feed.touched(str(folder))
        one.append(milliseconds(feed.look))
        shutil.rmtree(folder)
        feed.wake()
        feed.look()
        os.utime(root, (time.time() - 60, time.time() - 60))
        feed.wake()
        feed.look()
    return statistics.median(nothing), statistics.median(one)


def burst(root: Path) -> tuple[int, float, float]:
    """(entries lost, median, worst): ms from an entry's folder to the snapshot that has it, with the real watcher."""
    seen: dict[str, float] = {}
    ready = threading.Event()

    def publish(update: Update) -> None:
        moment = time.perf_counter()
        if isinstance(update, KernelsChanged):
            for _, path in update.appeared:
                seen.setdefault(path, moment)
            if update.kernels.entries and update.kernels.entries[0].producer.triton:
                ready.set()  # the second pass has been over the whole cache

    feed = KernelFeed(publish, [Location("triton", str(root), "bench")], lambda: ["sm_90"])
    watch = Watcher(lambda name: feed.wake(), lambda name, path: feed.touched(path))
    feed.start()
    watch.start()
    ready.wait(600)
    watch.watch([Target("t", str(root), files=False)])
    time.sleep(3)
    made = {}
    for n in range(BURST):
        name = key(f"burst {n}")
        made[name] = time.perf_counter()
        write_entry(root, name, triton_version="3.8.0", extern_libs=[["libdevice", LIBRARY]])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not made.keys() <= seen.keys():
        time.sleep(0.01)
    watch.stop()
    feed.stop()
    delays = [(seen[name] - moment) * 1000 for name, moment in made.items() if name in seen]
    for name in made:
        shutil.rmtree(root / name)
    return len(made.keys() - seen.keys()), statistics.median(delays), max(delays)


def main() -> None:
    """Make the caches, measure, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="bench-feed-")
    for size in (count // 10, count):
        root = Path(folder, f"triton-{size}")
        if not root.is_dir():
            synthetic(root, size)
        nothing, one = still(root)
        print(f"{size:7,} entries: nothing changed {nothing:.3f} ms, one new entry {one:.2f} ms")
    lost, middle, worst = burst(root)
    print(
        f"{count:7,} entries: {lost} of {BURST} lost, {middle:.0f} ms to the snapshot at the median, {worst:.0f} worst"
    )
    if len(sys.argv) < 3:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
