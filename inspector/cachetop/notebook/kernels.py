"""Which kernels a block of code compiled or took from a cache: what was said, and what appeared on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import msgspec

from cachetop import locations
from cachetop.base.record import Problem
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from cachetop.notebook.listeners import Listeners
from cachetop.notebook.records import KernelUse, TorchCompile

_PARTS = (None, "triton", "cpp", "fxgraph")
"""What counts as a kernel or graph among an Inductor cache's entries; the rest is wrapping."""
_STATES = ("complete", "compiling", "opaque")
_SLACK = 2.0
"""Seconds by which a file system's clock may be behind."""
_scanners: dict[tuple[Location, ...], Scanner] = {}
_lock = threading.RLock()


class KernelWatch:
    """Watches the kernel caches from `__init__` to `finish`; `tick` is called in between."""

    def __init__(self) -> None:
        self._began = time.time()
        self._roots = tuple(locations.kernel_roots())
        self._before = _scan(self._roots)
        self._listeners = Listeners()
        self._listeners.start()

    @property
    def evidence(self) -> str:
        """How kernels are seen, in a sentence."""
        heard = "Triton's listener, " if self._listeners.heard_triton else ""
        return f"{heard}torch's trace in this process, and what appeared in {len(self._roots)} watched cache folders"

    def tick(self) -> None:
        """Set Triton's listener if Triton has come meanwhile."""
        self._listeners.tick()

    def finish(self) -> tuple[tuple[KernelUse, ...], TorchCompile | None, tuple[Problem, ...]]:
        """Stop watching. Kernels and graphs, torch.compile's own count, caches that could not be read."""
        torch = self._listeners.stop()
        # torch sets TRITON_CACHE_DIR when it compiles, so the roots may be others now
        roots = tuple(dict.fromkeys((*self._roots, *locations.kernel_roots())))
        after = _scan(self._roots)
        # an entry that did not change is the same object in both pictures
        known = {id(entry) for entry in self._before.entries}
        pictures = [(after, [entry for entry in after.entries if id(entry) not in known])]
        for root in roots:
            if root not in self._roots:
                found = _scan((root,))
                pictures.append((found, list(found.entries)))
        appeared = list(self._appeared(pictures))
        problems = tuple(
            Problem(rule="unreadable", message=cache.problem) for cache in after.caches if cache.problem is not None
        )
        return tuple(_joined(self._listeners, appeared)), torch, problems

    def _appeared(self, pictures: list[tuple[Kernels, list[Entry]]]) -> Iterator[KernelUse]:
        """The entries that are new; one that two of the roots hold counts once."""
        if not any(entries for _, entries in pictures):
            return
        known = {_place(entry, self._before) for entry in self._before.entries}
        for found, entries in pictures:
            for entry in entries:
                place = _place(entry, found)
                if place in known or entry.created < self._began - _SLACK:
                    continue
                known.add(place)
                if entry.state in _STATES and entry.part in _PARTS:
                    yield KernelUse(
                        cache=entry.cache,
                        key=entry.key,
                        name=entry.name,
                        sm=entry.sm,
                        milliseconds=entry.build_milliseconds,
                        hit=False,
                        part=entry.part,
                    )


def warm() -> None:
    """Read the caches now, so that the first block does not have to."""
    _scan(tuple(locations.kernel_roots()))


def _scan(roots: tuple[Location, ...]) -> Kernels:
    with _lock:
        again = roots in _scanners
        return _scanners.setdefault(roots, Scanner(roots)).scan(quick=again)  # only what is new counts


def _place(entry: Entry, of: Kernels) -> str:
    root = next(cache.path for cache in of.caches if cache.id == entry.cache)
    return f"{root}/{entry.path or entry.key}"


def _joined(listeners: Listeners, appeared: list[KernelUse]) -> Iterator[KernelUse]:
    """What was said first, completed by what is on disk; then what only appeared, with the times that were told."""
    on_disk = {use.key: use for use in appeared}
    told: set[str | None] = set()
    for use in (*listeners.kernels, *listeners.graphs):
        told.add(use.key)
        disk = on_disk.get(use.key)
        yield use if disk is None else msgspec.structs.replace(use, cache=disk.cache, name=use.name or disk.name)
    times = dict(listeners.times)
    for use in appeared:
        if use.key not in told:
            spent = times.pop(use.name or "", None)
            yield use if spent is None else msgspec.structs.replace(use, milliseconds=spent, evidence="trace")
    for name, spent in times.items():
        if not any(use.name == name for use in listeners.kernels):
            yield KernelUse(
                cache="inductor", key=None, name=name, sm=(), milliseconds=spent, hit=False, evidence="trace",
                part="triton",
            )  # fmt: skip
