"""What the live picture of the kernel caches costs: nothing changed, one new entry, new ones during the first second
pass, a burst of 3,000, an Inductor cache of 2,000 folders.

    python tests/bench/bench_kernel_feed.py [ENTRIES] [FOLDER]

Floors: nothing changed under 1 ms a look; a burst of 3,000 new entries: none lost, median under 100 ms from disk to
the published snapshot; the same median while the second pass runs. One new entry is measured at two sizes of the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
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
DURING = 400
FOLDERS = 2000
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


def write(root: Path, count: int) -> None:
    """Be another process that compiles: an entry each 5 ms and the moment its folder was made, once told to begin."""
    sys.stdin.readline()
    for n in range(count):
        print(key(f"during {n}"), time.perf_counter(), flush=True)
        write_entry(root, key(f"during {n}"), triton_version="3.8.0", extern_libs=[["libdevice", LIBRARY]])
        time.sleep(0.005)


def during(root: Path) -> tuple[int, float, float, float]:
    """(entries made while the first second pass ran, ms to the snapshot at the median and the worst, s it took)."""
    seen: dict[str, float] = {}
    listed = threading.Event()

    def publish(update: Update) -> None:
        moment = time.perf_counter()
        listed.set()
        if isinstance(update, KernelsChanged):
            for _, path in update.appeared:
                seen.setdefault(path, moment)

    feed = KernelFeed(publish, [Location("triton", str(root), "bench")], lambda: ["sm_90"])
    watch = Watcher(lambda name: feed.wake(), lambda name, path: feed.touched(path))
    watch.start()
    watch.watch([Target("t", str(root), files=False)])
    command = [sys.executable, __file__, "--write", str(root), str(DURING)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    feed.start()
    listed.wait(60)
    began = time.perf_counter()
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    while feed._judged_for is None:
        time.sleep(0.002)
    over = time.perf_counter()
    made = {name: float(moment) for name, moment in (line.split() for line in writer.stdout)}
    writer.wait()
    time.sleep(1)
    watch.stop()
    feed.stop()
    delays = [(seen[name] - moment) * 1000 for name, moment in made.items() if moment < over]
    for name in made:
        shutil.rmtree(root / name)
    return len(delays), statistics.median(delays), max(delays), over - began


def inductor(root: Path) -> tuple[float, float, float]:
    """Ms for a look at an Inductor cache of 2,000 folders where nothing changed: by the clock where inotify covers it,
    by the clock where it does not, and at one new wrapper where it does."""
    for n in range(FOLDERS):
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        top = letters[n % 36] + letters[n // 36 % 36]
        folder = Path(root, *(("fxgraph", top) if n >= 1296 else (top,)))
        folder.mkdir(parents=True)
        if n >= 1296:
            Path(folder, f"f{n}").mkdir()
            Path(folder, f"f{n}", "x").write_bytes(b"x")
        else:
            Path(folder, f"c{n}.py").write_text("x = 1\n")
    covered: list[str] = [str(root)]
    feed = KernelFeed(
        lambda update: None, [Location("inductor", str(root), "bench")], lambda: None, 1.0, lambda: covered
    )
    feed.look()
    time.sleep(2.1)
    feed._whole_at = time.monotonic() + 3600
    feed.wake()
    feed.look()

    def clocked() -> float:
        feed._quick_at = 0.0
        return milliseconds(feed.look)

    announced = statistics.median(clocked() for _ in range(21))
    news = []
    for n in range(21):
        Path(root, "aa", f"cnew{n}.py").write_text("x = 1\n")
        feed.touched(str(Path(root, "aa", f"cnew{n}.py")))
        feed._quick_at = time.monotonic() + 3600
        news.append(milliseconds(feed.look))
    covered.clear()
    time.sleep(2.1)
    clocked()
    return announced, statistics.median(clocked() for _ in range(21)), statistics.median(news)


def main() -> None:
    """Make the caches, measure, print."""
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="bench-feed-")
    for size in (count // 10, count):
        root = Path(folder, f"triton-{size}")
        if not root.is_dir():
            synthetic(root, size)
        nothing, one = still(root)
        print(f"{size:7,} entries: nothing changed {nothing:.3f} ms, one new entry {one:.2f} ms")
    many, middle, worst, took = during(root)
    print(
        f"{count:7,} entries: {many} made while the second pass ran ({took:.1f} s), {middle:.0f} ms to the snapshot at "
        f"the median, {worst:.0f} worst"
    )
    lost, middle, worst = burst(root)
    print(
        f"{count:7,} entries: {lost} of {BURST} lost, {middle:.0f} ms to the snapshot at the median, {worst:.0f} worst"
    )
    with tempfile.TemporaryDirectory(prefix="bench-feed-") as place:
        announced, polled, new = inductor(Path(place))
    print(
        f"{FOLDERS:7,} Inductor folders: nothing changed {announced:.3f} ms where inotify covers them, {polled:.1f} ms "
        f"where not; one new wrapper {new:.2f} ms"
    )
    if len(sys.argv) < 3:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
