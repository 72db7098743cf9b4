"""What a scan of a Triton cache costs, as ratios in one run: against a bare scandir+stat walk of the same tree.

    python tests/bench/bench_kernels.py [ENTRIES] [FOLDER]

Floor: the graph of 100,000 entries (name, SM, size, state of each) at most 1.5x of the bare walk. Times are the
medians of seven interleaved runs with a warm page cache.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.triton_cache import synthetic

RUNS = 7


def bare_walk(root: str) -> int:
    """The least that a listing with sizes can do."""
    total = 0
    with os.scandir(root) as entries:
        for entry in entries:
            with os.scandir(entry.path) as files:
                for file in files:
                    total += file.stat(follow_symlinks=False).st_blocks
    return total


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Make the cache, measure, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="bench-kernels-")
    root = os.path.join(folder, f"triton-{count}")
    if not os.path.isdir(root):
        synthetic(Path(root), count)
    location = Location("triton", root, "bench")
    scanner = Scanner([location])
    with_detail(scanner.scan(), scanner, ["sm_90"])
    times: dict[str, list[float]] = {}
    key = scanner.scan().entries[0].key
    for _ in range(RUNS):
        for name, work in (
            ("bare walk", lambda: bare_walk(root)),
            ("scan", lambda: Scanner([location]).scan()),
            ("scan again", scanner.scan),
            ("rescan of one entry", lambda: scanner.rescan("triton", [key])),
            ("second pass again", lambda: with_detail(scanner.scan(), scanner, ["sm_90"])),
        ):
            times.setdefault(name, []).append(seconds(work))
    walk = statistics.median(times["bare walk"])
    print(f"{count} entries, {count * 8} files")
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:22s} {middle * 1000:9.2f} ms   {middle / walk:7.4f} of the bare walk")
    if len(sys.argv) < 3:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
