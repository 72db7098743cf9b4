"""What a listener is told: one frozen update per kind of change, each with the whole new snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cachetop.conversion.records import Jobs, Run
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models
from cachetop.kernelcache.records import Kernels


@dataclass(frozen=True, slots=True)
class ModelsChanged:
    """The hub cache, whole. Sent first without the second pass, then with it."""

    models: Models


@dataclass(frozen=True, slots=True)
class KernelsChanged:
    """The kernel caches, whole, and the (cache, path) of entries that were not there before."""

    kernels: Kernels
    appeared: frozenset[tuple[str, str]] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class GpusChanged:
    """One sample of the GPUs, about once a second."""

    gpus: Gpus


@dataclass(frozen=True, slots=True)
class RunsChanged:
    """The jobs, newest first, and the newest of them folded from their events."""

    jobs: Jobs
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class WatchChanged:
    """How changes on disk are noticed now: inotify, polling or mixed, and why not inotify alone."""

    mode: str
    reason: str | None


Update = ModelsChanged | KernelsChanged | GpusChanged | RunsChanged | WatchChanged
Listener = Callable[[Update], None]
"""Called from the feeds' threads, one at a time per feed. It must return quickly and not raise."""
