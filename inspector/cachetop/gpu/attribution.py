"""Which models are in the memory of which GPU process, each with the evidence for it.

`reported`: the process is a worker that said so. `mapped`: it has the weights mapped or open now.
`seen-loading`: it had, at the time given; a CUDA program unmaps the file once the weights are on the GPU.
`command-line`: a repo of the cache is named on its command line. A process on two GPUs shows its models on
both: from outside nobody can tell which of them holds what.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import msgspec

from cachetop.gpu import holdings, processes
from cachetop.gpu.holdings import Index, Inode, Owner, Weights
from cachetop.gpu.records import EVIDENCE, Gpus, HeldModel, Process

Key = tuple[int, int]
"""(pid, start in clock ticks): a process for good, where a pid alone is reused."""
_REPO_ID = re.compile(rb"(?<![\w./-])([\w.-]+/[\w.-]+)(?![\w/-])|models--([\w.-]+)")


class Attribution:
    """Remembers what the GPU processes were seen holding. Safe to use from several threads.

    `index_provider()` gives the inodes of the hub cache (`holdings.Index`); it is asked once per sample and
    only when there are GPU processes. It gives another mapping, not a changed one, when the cache changes.
    """

    def __init__(self, index_provider: Callable[[], Index]) -> None:
        self._index = index_provider
        self._seen: dict[Key, dict[Inode, tuple[float, tuple[Owner, ...]]]] = {}
        self._reported: dict[Key, dict[str, HeldModel]] = {}
        self._weights = Weights({})
        self._lock = threading.Lock()

    def report(self, pid: int, ticks: int | None, repo: str, revision: str | None, bytes_held: int | None) -> None:
        """A worker says that it holds a model. `ticks` is its start in clock ticks; None looks it up now."""
        ticks = processes.start_ticks(pid) if ticks is None else ticks
        if ticks is None:
            return
        model = HeldModel(repo=repo, revision=revision, bytes=bytes_held, evidence="reported", seen=time.time())
        with self._lock:
            self._reported.setdefault((pid, ticks), {})[repo] = model

    def withdraw(self, pid: int, repo: str | None = None) -> None:
        """A worker says that it let a model go, or all of them."""
        with self._lock:
            for key in {key for key in (*self._reported, *self._seen) if key[0] == pid}:
                reported, seen = self._reported.get(key, {}), self._seen.get(key, {})
                for name in [name for name in reported if repo in (None, name)]:
                    del reported[name]
                for inode, (_, owners) in list(seen.items()):
                    if repo is None or repo in (owner.repo for owner in owners):
                        del seen[inode]

    def remembered(self) -> int:
        """Of how many processes anything is remembered."""
        with self._lock:
            return len({key for memory in (self._seen, self._reported) for key, known in memory.items() if known})

    def attach(self, gpus: Gpus) -> Gpus:
        """The same sample with every process's models filled in."""
        pids = {p.pid: p for gpu in gpus.gpus for p in gpu.processes if p.ticks is not None and not p.host_pid}
        self._forget(pids)
        if not pids:
            return gpus
        index = self._index()
        if self._weights.index is not index:
            self._weights = Weights(index)
        found = {pid: self._look(process, self._weights) for pid, process in pids.items()}
        return msgspec.structs.replace(
            gpus,
            gpus=tuple(
                msgspec.structs.replace(gpu, processes=tuple(_with(p, found.get(p.pid)) for p in gpu.processes))
                for gpu in gpus.gpus
            ),
        )

    def _look(self, process: Process, weights: Weights) -> tuple[tuple[HeldModel, ...], bool]:
        """The models of one process, and whether it could be inspected."""
        assert process.ticks is not None
        key, now = (process.pid, process.ticks), time.time()
        held = holdings.held(process.pid, weights)
        if processes.start_ticks(process.pid) != process.ticks:
            return (), False  # it ended meanwhile: what was read may be another process's
        found = [
            HeldModel(repo=repo, revision=None, bytes=None, evidence="command-line", seen=now)
            for repo in _named(process.pid, weights)
        ]
        with self._lock:
            # shards are mapped one after the other and gone again: all that were ever seen make up the model
            seen = self._seen.setdefault(key, {})
            seen.update((inode, (now, owners)) for inode, owners in (held or {}).items())
            for one in holdings.models_of({inode: owners for inode, (_, owners) in seen.items()}):
                evidence = "seen-loading" if one.inodes.isdisjoint(held or ()) else "mapped"
                last = max(seen[inode][0] for inode in one.inodes)
                found.append(
                    HeldModel(repo=one.repo, revision=one.revision, bytes=one.bytes, evidence=evidence, seen=last)
                )
            found.extend(self._reported.get(key, {}).values())
        best: dict[str, HeldModel] = {}
        for model in sorted(found, key=lambda one: EVIDENCE.index(one.evidence), reverse=True):
            best[model.repo] = model
        return tuple(sorted(best.values(), key=lambda one: (EVIDENCE.index(one.evidence), one.repo))), held is not None

    def _forget(self, present: dict[int, Process]) -> None:
        """Drop what is known of processes that ended; one that merely left the GPU is kept."""
        with self._lock:
            for memory in (self._seen, self._reported):
                for key in list(memory):
                    process = present.get(key[0])
                    if (process.ticks if process else processes.start_ticks(key[0])) != key[1]:
                        del memory[key]


def _named(pid: int, weights: Weights) -> list[str]:
    """The repos of the cache that stand on the command line, as an id or as a folder of the cache."""
    words = {
        (found[1] or found[2].replace(b"--", b"/")).decode("utf-8", "replace")
        for argument in processes.arguments(pid)
        for found in _REPO_ID.finditer(argument)
    }
    return sorted(words & weights.repos) if words else []


def _with(process: Process, found: tuple[tuple[HeldModel, ...], bool] | None) -> Process:
    if found is None:
        return process
    return msgspec.structs.replace(process, models=found[0], inspectable=found[1])
