"""How much faster the scan is than huggingface_hub's, and a rescan than a scan.

Run it as a script: `python tests/bench/bench_hub.py [REPOS] [FILES]`. It builds a cache of sparse files in a
temporary folder (FILES: of a dataset repo beside the models), takes turns, and prints the fastest rounds in wall time,
what a person waits, and in CPU time with that of child processes, which other load disturbs least. `system calls alone`
is what a scan asks of the kernel, in a bare loop: no scan in Python and in one process can be faster.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

SMALL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "vocab.json", "merges.txt", "README.md", ".gitattributes", "preprocessor_config.json",
)  # fmt: skip
ROUNDS = 7


def name_of(*parts: object, length: int = 64) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:length]


def build(cache: Path, repos: int) -> None:
    """`repos` models of 1 to 5 revisions with 10 small files and 1 to 8 shards each, most of them shared."""
    chance = random.Random(7)
    for number in range(repos):
        top = cache / f"models--org{number % 97}--model-{number}"
        for part in ("blobs", "refs", "snapshots", "trees"):
            (top / part).mkdir(parents=True)
        shards = chance.choices([1, 2, 4, 8], [60, 25, 10, 5])[0]
        revisions = chance.choices([1, 2, 3, 4, 5], [70, 15, 8, 4, 3])[0]
        files = [*SMALL, *(f"model-{k:05d}-of-{shards:05d}.safetensors" for k in range(1, shards + 1))]
        for revision in range(revisions):
            commit = name_of(number, revision, length=40)
            snapshot = top / "snapshots" / commit
            snapshot.mkdir()
            for file in files:
                version = revision if chance.random() < 0.3 else 0
                large = file not in SMALL
                blob = name_of(number, file, version, length=64 if large else 40)
                path = top / "blobs" / blob
                if not path.exists():
                    path.touch()
                    os.truncate(path, chance.randrange(1 << 20, 5 << 30) if large else chance.randrange(500, 4500))
                (snapshot / file).symlink_to(f"../../blobs/{blob}")
            listed = {file: {"size": (snapshot / file).stat().st_size, "blob_id": "0" * 40} for file in files}
            (top / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": listed}))
            (top / "refs" / ("main" if revision == revisions - 1 else f"v{revision}")).write_text(commit)


def build_dataset(cache: Path, files: int) -> None:
    """One dataset repo of `files` shards, a thousand to a folder."""
    top, commit = cache / "datasets--big--shards", "d" * 40
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (top / part).mkdir(parents=True)
    (top / "refs" / "main").write_text(commit)
    for number in range(files):
        folder = top / "snapshots" / commit / "data" / f"train-{number // 1000:03d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        blob = top / "blobs" / name_of("shard", number)
        blob.touch()
        os.truncate(blob, 300_000)
        (folder / f"{number:06d}.tar").symlink_to(f"../../../../blobs/{blob.name}")


def calls_alone(cache: Path) -> None:
    """The system calls of a scan: list each folder, stat each blob, read each link and ref; nothing is kept."""

    def inside(descriptor: int) -> None:
        for name in os.listdir(descriptor):
            try:
                os.readlink(name, dir_fd=descriptor)
            except OSError:
                within(name, descriptor, inside)

    def refs(descriptor: int) -> None:
        for name in os.listdir(descriptor):
            file = os.open(name, os.O_RDONLY, dir_fd=descriptor)
            os.fstat(file)
            os.read(file, 256)
            os.close(file)

    def blobs(descriptor: int) -> None:
        for name in os.listdir(descriptor):
            os.lstat(name, dir_fd=descriptor)

    def snapshots(descriptor: int) -> None:
        for name in os.listdir(descriptor):
            within(name, descriptor, inside)

    def within(name: str, at: int, look: Callable[[int], None]) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.fstat(descriptor)
        look(descriptor)
        os.close(descriptor)

    def repo(descriptor: int) -> None:
        within("refs", descriptor, refs)
        within("blobs", descriptor, blobs)
        within("snapshots", descriptor, snapshots)

    root = os.open(cache, os.O_RDONLY)
    for name in os.listdir(root):
        within(name, root, repo)
    os.close(root)


def worst_delay(work: Callable[[], object]) -> float:
    """Milliseconds that a 5 ms tick of this thread came late at most while `work` ran in another one."""
    thread = threading.Thread(target=work)
    thread.start()
    worst = 0.0
    while thread.is_alive():
        began = time.perf_counter()
        time.sleep(0.005)
        worst = max(worst, time.perf_counter() - began - 0.005)
    return worst * 1000


class Took(NamedTuple):
    """Milliseconds: of wall time, and of CPU time in this process and in children that ended."""

    wall: float
    cpu: float


def timed(call: Callable[[], object]) -> Took:
    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)

    gc.collect()
    began, used = time.perf_counter(), cpu()
    answer = call()
    took = Took((time.perf_counter() - began) * 1000, (cpu() - used) * 1000)
    del answer  # whoever asked keeps it
    return took


def fastest(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Took]:
    """The least wall time and the least CPU time of each call in all rounds."""
    took: dict[str, list[Took]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            took[name].append(timed(call))
    return {name: Took(min(one.wall for one in each), min(one.cpu for one in each)) for name, each in took.items()}


def memory_of_helpers(call: Callable[[], object]) -> list[int]:
    """Bytes of memory that each helper of a scan had at most."""
    from cachetop.hub.helper import Helper

    most: list[int] = []
    end = Helper.end

    def watched(helper: Helper) -> None:
        if helper.pid is not None:
            status = Path(f"/proc/{helper.pid}/status").read_text()
            most.append(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
        end(helper)

    with patch.object(Helper, "end", watched):
        call()
    return most


def main() -> None:
    from huggingface_hub import __version__, scan_cache_dir

    from cachetop.base.collecting import settle
    from cachetop.hub import folder, parts
    from cachetop.hub.detail import with_detail
    from cachetop.hub.records import Models
    from cachetop.hub.scan import Scanner, scan
    from cachetop.locations import Location

    repos = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    shards = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as base:
        cache = Path(base)
        build(cache, repos)
        if shards:
            build_dataset(cache, shards)
        time.sleep(2.1)  # folders younger than that are read again on purpose
        roots = [Location("hub", base, "bench")]

        def one_process() -> Models:
            with patch.object(parts, "wanted", lambda _: 0), patch.object(folder, "wanted", lambda _: 0):
                return scan(roots)

        scanner = Scanner(roots)
        models = scanner.scan()
        assert models.size == scan_cache_dir(cache).size_on_disk
        took = fastest(
            {
                f"scan_cache_dir of huggingface_hub {__version__}": lambda: scan_cache_dir(cache),
                "system calls alone": lambda: calls_alone(cache),
                "scan": lambda: scan(roots),
                "scan in one process": one_process,
                "rescan, nothing changed": scanner.scan,
                "second pass": lambda: with_detail(models, scanner),
            },
            ROUNDS if repos + shards / 20 <= 1000 else 3,
        )
        firsts: list[float] = []
        began = time.perf_counter()
        Scanner(roots).scan(lambda _: firsts.append(time.perf_counter() - began))
        files = sum(len(revision.files) for repo in models.repos for revision in repo.revisions)
        print(f"{len(models.repos)} repos, {files} files, {models.size / 1e12:.1f} TB")
        print(f"{'wall':>9}    {'CPU':>9}")
        for name, each in took.items():
            print(f"{each.wall:9.2f} ms {each.cpu:9.2f} ms  {name}")
        live = Scanner(roots)

        settle()  # as the app does
        delay = worst_delay(live.scan)
        theirs, calls, ours, alone, again, *_ = took.values()
        print(f"{1000 * firsts[0] if firsts else ours.wall:9.2f} ms  until the first rows (wall time)")
        print(f"{delay:9.2f} ms  that another thread waits at most during the first scan of the app")
        helpers = memory_of_helpers(lambda: scan(roots))
        print(f"{len(helpers):9d}     helpers of a scan, of {max(helpers, default=0) / 1e6:.0f} MB at most")
        print(f"{theirs.wall / ours.wall:9.1f} x   scan_cache_dir / scan, in wall time")
        print(f"{theirs.cpu / ours.cpu:9.1f} x   scan_cache_dir / scan, in CPU time of all processes")
        print(f"{theirs.cpu / alone.cpu:9.1f} x   scan_cache_dir / scan in one process, in CPU time")
        print(f"{theirs.cpu / calls.cpu:9.1f} x   scan_cache_dir / system calls alone, in CPU time")
        print(f"{ours.wall / again.wall:9.1f} x   scan / rescan, in wall time")
        print(f"{alone.cpu / again.cpu:9.1f} x   scan in one process / rescan, in CPU time")
        print(f"{theirs.cpu / again.cpu:9.1f} x   scan_cache_dir / rescan, in CPU time")


if __name__ == "__main__":
    main()
