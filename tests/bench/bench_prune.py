"""How fast deleting is, against shutil.rmtree on an equal tree, and how long the event loop waits meanwhile.

`python tests/bench/bench_prune.py [ENTRIES] [ROUNDS]`: ENTRIES Triton entries of 8 files each (default 22,250: 200,250
names), below TMPDIR.

`shutil.rmtree`: of each entry of the tree, one after the other.
`cachetop`: `execute` with `--now` on an identical copy: each item looked at again, journaled and moved into the trash,
then the trash unlinked, each file measured.
`held`: the part of it after which the entries are out of the cache, and where a prune that can be undone ends.

Making the plan is not in it: it is what the listing costs anyway, and is printed apart. Both sides run in turn, on the
same disk, with as warm a cache of inodes. Meanwhile an event loop of the same process ticks every 10 ms.
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

from cachetop.base.mounts import filesystem
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


def _execute(root: Path, state: Path) -> tuple[float, float, float, list[float]]:
    """(seconds to plan, to move into the trash, to move and unlink, how late each 10 ms tick came in ms)."""
    began = time.perf_counter()
    draft = _plan(root)
    planned = time.perf_counter() - began
    waits: list[float] = []
    seconds = held = 0.0

    async def meanwhile() -> None:
        nonlocal seconds
        over = threading.Event()

        def work() -> None:
            nonlocal seconds
            start = time.perf_counter()

            def progress(step: str, done: int, total: int) -> None:
                nonlocal held
                if step == "moving" and done == total:
                    held = time.perf_counter() - start

            result = execute(draft, state, now=True, progress=progress)
            seconds = time.perf_counter() - start
            assert len(result.deleted) == len(draft.work) and result.freed == draft.plan.frees, result.failed
            over.set()

        threading.Thread(target=work).start()
        while not over.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            waits.append(time.perf_counter() - before - 0.01)

    asyncio.run(meanwhile())
    return planned, held, seconds, sorted(1000 * wait for wait in waits)


def main() -> None:
    """Run both in turn; the best of each side counts."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 22_250
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
                    print(f"shutil.rmtree {theirs[-1]:6.2f} s", flush=True)
                else:
                    planned, held, seconds, late = _execute(root, Path(folder, "state"))
                    ours.append(seconds)
                    print(
                        f"cachetop      {seconds:6.2f} s   held after {held:.2f} s   plan {planned:.2f} s", flush=True
                    )
                    middle, most = late[len(late) // 2], late[int(len(late) * 0.99)]
                    print(f"  event loop late by {middle:.1f} ms (median), {most:.1f} (99 %), {late[-1]:.0f} (worst)")
    where = filesystem(tempfile.gettempdir())
    print(f"{count * 9:,} names on {where}: ratio {min(ours) / min(theirs):.2f} of shutil.rmtree (aim: 1.00 or less)")


if __name__ == "__main__":
    main()
