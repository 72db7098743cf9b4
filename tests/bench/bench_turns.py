"""How long each work of the background keeps another thread waiting: what the event loop has to wait for its turn.

    python tests/bench/bench_turns.py [REPOS] [ENTRIES] [FILES] [FOLDER]

The event loop is stood in for by a thread that sleeps 2 ms again and again. Two ways of waiting are told apart by the
comparison that is printed first: a loop that only computes lets go after the switch interval, one that computes and
makes a system call now and then does not (`cachetop.base.turns`). FOLDER keeps the generated caches for the next time.
Floor: never over 50 ms.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import bench_dataset, bench_hub
from support.triton_cache import synthetic

NAP = 0.002
LATE = 0.01
"""Seconds from which on it is shown where the other thread was then."""


def measure(name: str, work: Callable[[], object]) -> None:
    """Do `work` in a thread and print how late this one woke up meanwhile."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    late: list[float] = []
    places: Counter[str] = Counter()
    began = time.perf_counter()
    thread.start()
    while thread.is_alive():
        before = time.perf_counter()
        time.sleep(NAP)
        late.append(time.perf_counter() - before - NAP)
        if late[-1] > LATE and (frame := sys._current_frames().get(thread.ident or 0)):
            inner = [one for one in traceback.extract_stack(frame) if "cachetop" in one.filename][-1:]
            places.update(f"{Path(one.filename).name}:{one.lineno}" for one in inner)
    took, late = time.perf_counter() - began, sorted(late) or [0.0]
    said = ", ".join(f"{place} {times}x" for place, times in places.most_common(3))
    print(
        f"{name:<34}{took:6.2f} s   others wait {1000 * late[len(late) * 99 // 100]:5.1f} ms (99 %), "
        f"{1000 * late[-1]:5.1f} at worst   {failed[0] if failed else said}",
        flush=True,
    )


def compare() -> None:
    """A loop that only computes, and one with a system call now and then."""
    for every, what in ((0, "computing only"), (2000, "with a call now and then")):
        end = time.perf_counter() + 2

        def work(every: int = every, end: float = end) -> None:
            turn = 0
            while turn % 50 or time.perf_counter() < end:
                turn += 1
                if every and turn % every == 0:
                    os.stat("/")

        measure(what, work)


def drive(hub: Path, dataset: Path, triton: Path, state: Path) -> None:
    """All that the app does in threads over very much."""
    from cachetop.hub import beside
    from cachetop.hub.detail import with_detail
    from cachetop.hub.scan import Scanner
    from cachetop.hub.verify import Verifier
    from cachetop.kernelcache import scan as kernels
    from cachetop.kernelcache.detail import Detail
    from cachetop.locations import Location
    from cachetop.prune.plan import plan
    from cachetop.prune.prospects import of_kernels, of_models
    from cachetop.prune.selection import selection

    for name, root in (("repos", hub), ("dataset", dataset)):
        scanner = Scanner([Location("hub", str(root), "bench")])
        measure(f"{name}: scan", scanner.scan)
        found = scanner.scan()
        look, verify = partial(with_detail, found, scanner), partial(Verifier(scanner, state).run, found.repos)
        measure(f"{name}: scan again", scanner.scan)
        measure(f"{name}: second pass", look)
        measure(f"{name}: second pass again", look)
        measure(f"{name}: whose inode", scanner.inodes)
        measure(f"{name}: what could go", partial(of_models, look(), (), time.time()))
        os.environ["HF_HUB_CACHE"] = str(root)
        measure(f"{name}: plan", partial(plan, [selection("models", detached=True)]))
        if root is dataset:  # the repos have no content to check
            measure(f"{name}: verify", verify)
            measure(f"{name}: verify again", verify)
    caches = kernels.Scanner([Location("triton", str(triton), "bench")])
    detail = Detail(caches)
    measure("kernels: scan", lambda: caches.scan(entries=False))
    graph = caches.scan(entries=False)
    measure("kernels: filled", lambda: detail.filled(graph))
    measure("kernels: second pass", lambda: [None for _ in detail.slices(("90",))])
    measure("kernels: second pass again", lambda: [None for _ in detail.slices(("90",))])
    measure("kernels: scan again", lambda: caches.scan(quick=True, entries=False))
    full = detail.filled(graph)
    measure("kernels: what could go", partial(of_kernels, full, ()))
    measure("kernels: plan", partial(plan, [selection("kernels", stale=True)]))
    measure("beside", beside.look)


def main() -> None:
    """Build what is missing, measure."""
    given = [int(one) for one in sys.argv[1:4]]
    repos, entries, files = given + [5000, 100_000, 100_000][len(given) :]
    from cachetop_tui import garbage

    with tempfile.TemporaryDirectory() as own:
        home = Path(sys.argv[4]) if len(sys.argv) > 4 else Path(own)
        hub, dataset, triton = home / f"hub-{repos}", home / f"dataset-{files}", home / f"triton-{entries}"
        if not hub.exists():
            bench_hub.build(hub, repos)
        if not dataset.exists():
            bench_dataset.build(dataset, files)
        if not triton.exists():
            synthetic(triton, entries)
        os.environ |= {
            "HOME": own, "TMPDIR": own, "XDG_CACHE_HOME": own, "HF_HOME": own, "TRITON_CACHE_DIR": str(triton),
            "CACHETOP_STATE_DIR": f"{own}/state", "CACHETOP_CONFIG": f"{own}/config.toml",
        }  # fmt: skip
        garbage.prepare()  # as the app does
        compare()
        drive(hub, dataset, triton, Path(own) / "state")


if __name__ == "__main__":
    main()
