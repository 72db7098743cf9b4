"""The marks on the history line of VRAM: when a model was loaded, when a kernel was compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetop.base.hostile import clean
from cachetop_tui.panes.gpu_data import SECONDS

if TYPE_CHECKING:
    from cachetop.conversion.records import Run
    from cachetop.gpu.records import Gpus
    from cachetop.kernelcache.records import Entry

MODEL, KERNEL = "model", "kernel"
_MOST = 400


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `time` (epoch seconds); `gpu` is the key of its GPU, None for all of them.

    With `sms` it concerns only GPUs of one of these; none for a kernel that may run on any.
    """

    time: float
    kind: str
    text: str
    gpu: str | None = None
    sms: tuple[str, ...] = ()

    def concerns(self, key: str, sm: str | None) -> bool:
        """Whether it happened on this GPU: a kernel for sm_90a runs on an sm_90."""
        return self.gpu in (None, key) and (
            not self.sms or sm is None or any(one.rstrip("af") == sm.rstrip("af") for one in self.sms)
        )


@dataclass(slots=True)
class Marks:
    """What happened within the last minute, in the order of time."""

    events: tuple[Event, ...] = ()
    _held: dict[tuple[str, int], frozenset[str]] = field(default_factory=dict)
    _first: bool = True

    def note(self, gpus: Gpus) -> None:
        """A model that a process holds and did not hold in the sample before was loaded now."""
        held: dict[tuple[str, int], frozenset[str]] = {}
        fresh: list[Event] = []
        for gpu in gpus.gpus:
            for process in gpu.processes:
                repos = frozenset(model.repo for model in process.models if model.evidence != "command-line")
                held[gpu.key, process.pid] = repos
                for repo in sorted(repos - self._held.get((gpu.key, process.pid), frozenset())):
                    fresh.append(Event(gpus.time, MODEL, clean(repo, 80).rpartition("/")[2], gpu.key))
        if self._first:
            fresh = []  # loaded before anybody looked
        self._held, self._first = held, self._first and not gpus.available
        self.add(fresh, gpus.time)

    def add(self, events: Iterable[Event], now: float) -> bool:
        """Add events, each once, and forget those of more than a minute ago; returns whether anything changed."""
        kept = {event for event in (*self.events, *events) if now - event.time <= SECONDS}
        merged = tuple(sorted(kept, key=lambda event: (event.time, event.kind, event.text)))[-_MOST:]
        changed = merged != self.events
        self.events = merged
        return changed

    def of(self, key: str, sm: str | None = None) -> tuple[Event, ...]:
        """Those of one GPU and those of all that concern its SM."""
        return tuple(event for event in self.events if event.concerns(key, sm))


def compiled_in(runs: Iterable[Run]) -> Iterator[Event]:
    """Kernels that conversions compiled on a GPU; where a run has no such kernel there is none."""
    for run in runs:
        if (run.device or "").startswith("cuda"):
            for kernel in run.kernels:
                if not kernel.hit:
                    yield Event(kernel.time, KERNEL, clean(kernel.name or kernel.key or kernel.cache, 80))


def compiled(entries: Iterable[Entry]) -> Iterator[Event]:
    """Cache entries that are new on disk: compiled when they were created."""
    for entry in entries:
        yield Event(entry.created, KERNEL, clean(entry.name or entry.key, 80), sms=tuple(entry.sm))
