"""How fast deleting is, against shutil.rmtree on an equal tree, and how long the event loop waits meanwhile.

`python tests/bench/bench_prune.py [ENTRIES] [ROUNDS]`: ENTRIES Triton entries of 8 files each (default 22,000: 198,000
names). Prints seconds and the ratio; both sides delete the same kind of tree on the same disk, interleaved.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from cachetop.prune import kernels
from cachetop.prune.draft import Drafting
from cachetop.prune.execute import execute
from cachetop.prune.selection import Selection
from cachetop.prune.work import Draft
from support.triton_cache import backdate, synthetic


def _plan(root: Path) -> Draft:
    scanner = Scanner([Location("triton", str(root), "the benchmark says so")])
    into = Drafting([str(root)])
    kernels.draft(scanner.scan(), scanner, Selection("kernels", all=True), into)
    return into.done()


def _rmtree(root: Path) -> float:
    began = time.perf_counter()
    for path in root.iterdir():
        shutil.rmtree(path)
    return time.perf_counter() - began


def _execute(root: Path, state: Path) -> tuple[float, float, float]:
    """(seconds to plan, seconds to execute and unlink, the longest wait of a 10 ms tick in ms)."""
    began = time.perf_counter()
    draft = _plan(root)
    planned = time.perf_counter() - began
    waits: list[float] = []
    seconds = 0.0

    async def meanwhile() -> None:
        nonlocal seconds
        over = threading.Event()

        def work() -> None:
            nonlocal seconds
            start = time.perf_counter()
            result = execute(draft, state, now=True)
            seconds = time.perf_counter() - start
            assert len(result.deleted) == len(draft.work) and result.freed == draft.plan.frees, result.failed
            over.set()

        threading.Thread(target=work).start()
        while not over.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            waits.append(time.perf_counter() - before - 0.01)

    asyncio.run(meanwhile())
    return planned, seconds, 1000 * sorted(waits)[int(len(waits) * 0.99)]


def main() -> None:
    """Run both, several times, the better of each counts."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 22_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in ("rmtree", "cachetop") if number % 2 == 0 else ("cachetop", "rmtree"):
                root = Path(folder, f"{name}{number}")
                synthetic(root, count)
                backdate(root, 60)
                os.sync()
                if name == "rmtree":
                    theirs.append(_rmtree(root))
                    print(f"shutil.rmtree      {theirs[-1]:6.2f} s")
                else:
                    planned, seconds, wait = _execute(root, Path(folder, "state"))
                    ours.append(seconds)
                    print(f"cachetop execute   {seconds:6.2f} s   (plan {planned:.2f} s)")
                    print(f"  a 10 ms tick of the event loop came {wait:.0f} ms late (99 % of them less)")
    print(f"{count * 9:,} names: ratio {min(ours) / min(theirs):.2f} of shutil.rmtree (1.00 or less is the aim)")


if __name__ == "__main__":
    main()
