"""What watching costs: `%%cachetop` on an empty cell, and `track()`, on a cache of some repos and kernels.

    python tests/bench/bench_notebook.py [--repos 50] [--entries 500] [--most 20]

Prints medians in milliseconds; ends with 1 when the empty cell costs more than `--most`. The plain cell beside it
is run by the same shell.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> int:
    """Build the caches, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repos", type=int, default=50)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--most", type=float, default=20.0, metavar="MILLISECONDS")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HF_HOME": f"{folder}/hf", "TRITON_CACHE_DIR": f"{folder}/triton", "HOME": folder}
        os.environ |= {"CACHETOP_STATE_DIR": f"{folder}/state", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
        from support import hubcache, triton_cache

        for number in range(asked.repos):
            hubcache.healthy(Path(folder) / "hf" / "hub", f"org/model-{number}")
        triton_cache.synthetic(Path(folder) / "triton", asked.entries)
        hubcache.settle(Path(folder) / "hf" / "hub")
        time.sleep(2.1)  # a folder that has just been changed is read again each time
        return measure(asked.repos, asked.entries, asked.most)


def measure(repos: int, entries: int, most: float) -> int:
    """Print the figures; 1 when an empty cell costs too much."""
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    import cachetop

    config = Config()
    config.HistoryManager.enabled = False
    kind: Any = InteractiveShell
    shell = kind(config=config, display_pub_class=CapturingDisplayPublisher)
    shell.run_line_magic("load_ext", "cachetop")

    def first() -> float:
        began = time.perf_counter()
        with cachetop.track():
            pass
        return (time.perf_counter() - began) * 1000

    def cell(source: str) -> float:
        began = time.perf_counter()
        shell.run_cell(source)
        return (time.perf_counter() - began) * 1000

    cold = first()
    rounds = [(cell("pass"), cell("%%cachetop\npass"), first()) for _ in range(21)]
    plain, watched, tracked = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(f"{repos} repos, {entries} kernel entries; medians of {len(rounds)} interleaved rounds")
    print(f"plain cell                 {plain:8.2f} ms")
    print(f"%%cachetop, empty cell     {watched:8.2f} ms, {watched - plain:.2f} ms more (at most {most:g})")
    print(f"track(), empty block       {tracked:8.2f} ms (the first one {cold:.1f} ms)")
    return int(watched - plain > most)


if __name__ == "__main__":
    sys.exit(main())
