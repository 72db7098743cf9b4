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
from collections.abc import Callable, Iterable

import msgspec

from cachetop.gpu import holdings, processes
from cachetop.gpu.holdings import Index, Weights
from cachetop.gpu.known import Known
from cachetop.gpu.records import Allocator, Gpu, Gpus, HeldModel, Process

Key = tuple[int, int]
"""(pid, start in clock ticks): a process for good, where a pid alone is reused."""
_REPO_ID = re.compile(rb"(?<![\w./-])([\w.-]+/[\w.-]+)(?![\w/-])|models--([\w.-]+)")
_LOOKS = 4
_LOOK_SECONDS = 0.002


class Attribution:
    """Remembers what the GPU processes were seen holding. Safe to use from several threads.

    `index_provider()` gives the inodes of the hub cache (`holdings.Index`); it is asked once per sample and
    only when there are GPU processes. It gives another mapping, not a changed one, when the cache changes.

    A process is looked at when it is new and while its VRAM grows, which is when it loads. Of the others each
    sample looks at a few, the longest unseen first, so that hundreds of idle processes cost no more than four.
    """

    def __init__(self, index_provider: Callable[[], Index]) -> None:
        self._index = index_provider
        self._known: dict[Key, Known] = {}
        self._weights = Weights({})
        self._lock = threading.Lock()

    def report(self, pid: int, ticks: int | None, repo: str, revision: str | None, bytes_held: int | None) -> None:
        """A worker says that it holds a model. `ticks` is its start in clock ticks; None looks it up now."""
        model = HeldModel(repo=repo, revision=revision, bytes=bytes_held, evidence="reported", seen=time.time())
        known = self._of(pid, ticks)
        if known is not None:
            with self._lock:
                known.report(model)

    def report_allocator(
        self, pid: int, ticks: int | None, allocated: int, reserved: int, uuid: str | None = None, seen: float = 0.0
    ) -> None:
        """A worker says what its torch allocator has on a GPU, in bytes, at the epoch second `seen` (0: now).

        Without the GPU's `uuid` it counts only while the process is on a single GPU.
        """
        known = self._of(pid, ticks)
        if known is not None:
            with self._lock:
                known.allocators[uuid] = Allocator(allocated=allocated, reserved=reserved, seen=seen or time.time())

    def report_weights(self, pid: int, ticks: int | None, bytes_held: int | None, uuid: str | None = None) -> None:
        """A worker says how many bytes loading its models added on a GPU; None where it cannot tell."""
        known = self._of(pid, ticks)
        if known is not None:
            with self._lock:
                known.weights[uuid] = bytes_held

    def withdraw(self, pid: int, repo: str | None = None) -> None:
        """A worker says that it let a model go, or all of them."""
        with self._lock:
            for key, known in self._known.items():
                if key[0] == pid:
                    known.withdraw(repo)

    def remembered(self) -> int:
        """Of how many processes anything is remembered."""
        with self._lock:
            return sum(not known.empty for known in self._known.values())

    def attach(self, gpus: Gpus) -> Gpus:
        """The same sample with every process's models filled in."""
        memory: dict[Key, int] = {}
        places: dict[Key, int] = {}
        for gpu in gpus.gpus:
            for process in gpu.processes:
                if process.ticks is not None and not process.host_pid:
                    key = (process.pid, process.ticks)
                    memory[key] = memory.get(key, 0) + (process.memory or 0)
                    places[key] = places.get(key, 0) + 1
        with self._lock:
            self._forget(memory)
        if not memory:
            return gpus
        index = self._index()
        if self._weights.index is not index:
            self._weights = Weights(index)
        for key in self._turn(memory):
            self._look(key, memory[key])
        return msgspec.structs.replace(gpus, gpus=tuple(self._filled(gpu, places) for gpu in gpus.gpus))

    def _of(self, pid: int, ticks: int | None) -> Known | None:
        """What is known of a process; None when it is gone."""
        ticks = processes.start_ticks(pid) if ticks is None else ticks
        if ticks is None:
            return None
        with self._lock:
            return self._known.setdefault((pid, ticks), Known())

    def _turn(self, memory: dict[Key, int]) -> Iterable[Key]:
        """The processes to look at in this sample."""
        idle: list[tuple[float, Key]] = []
        for key, held in memory.items():
            known = self._known.get(key)
            if known is None or not known.looked or held > known.memory:
                yield key
            else:
                idle.append((known.looked, key))
        began = time.perf_counter()
        for count, (_, key) in enumerate(sorted(idle)):
            if count >= _LOOKS and time.perf_counter() - began > _LOOK_SECONDS:
                return
            yield key

    def _look(self, key: Key, memory: int) -> None:
        pid, ticks = key
        now, held, named = time.time(), holdings.held(pid, self._weights), _named(pid, self._weights)
        if processes.start_ticks(pid) != ticks:
            held, named = None, ()  # it ended meanwhile: what was read may be another process's
        with self._lock:
            self._known.setdefault(key, Known()).look(now, memory, held, named)

    def _filled(self, gpu: Gpu, places: dict[Key, int]) -> Gpu:
        if not gpu.processes:
            return gpu
        with self._lock:
            rows = tuple(self._with(process, gpu.uuid, places) for process in gpu.processes)
        return msgspec.structs.replace(gpu, processes=rows)

    def _with(self, process: Process, uuid: str | None, places: dict[Key, int]) -> Process:
        known = self._known.get((process.pid, process.ticks or 0)) if not process.host_pid else None
        if known is None:
            return process
        allocator = known.allocator(uuid, places.get((process.pid, process.ticks or 0)) == 1)
        context = None
        if allocator is not None and process.memory is not None and process.memory >= allocator.reserved:
            context = process.memory - allocator.reserved
        return msgspec.structs.replace(
            process, models=known.models(), inspectable=known.inspectable, allocator=allocator, context=context
        )

    def _forget(self, present: dict[Key, int]) -> None:
        """Drop what is known of processes that ended; one that merely left the GPU is kept."""
        for key in [key for key in self._known if key not in present and processes.start_ticks(key[0]) != key[1]]:
            del self._known[key]


def _named(pid: int, weights: Weights) -> tuple[str, ...]:
    """The repos of the cache that stand on the command line, as an id or as a folder of the cache."""
    words = {
        (found[1] or found[2].replace(b"--", b"/")).decode("utf-8", "replace")
        for argument in processes.arguments(pid)
        for found in _REPO_ID.finditer(argument)
    }
    return tuple(sorted(words & weights.repos)) if words else ()
