"""The numbers of the page: measured on this machine, or those of the example in the docs.

None means unknown and is said as such; nothing is estimated.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from dataclasses import dataclass

from cachetop import locations
from cachetop.base.hostile import clean
from cachetop.conversion.records import PHASES

_LOOK_BACK = 30


@dataclass(frozen=True)
class CacheFigure:
    """One kernel cache. `size` in bytes on disk; `variable` is what decided its place, None for a default.

    `entries` and `size` are None for a cache that could not be read.
    """

    kind: str
    path: str
    variable: str | None
    exists: bool
    entries: int | None
    size: int | None


@dataclass(frozen=True)
class GpuFigure:
    """One GPU; memory in bytes."""

    name: str
    sm: str | None
    used: int | None
    total: int | None


@dataclass(frozen=True)
class RunFigure:
    """A finished conversion: how it started (None: no model files), and seconds by phase."""

    start: str | None
    pipeline: str
    pages: int
    phases: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Figures:
    """Everything the page says about one machine. Sizes in bytes, times in milliseconds."""

    hub_path: str
    hub_variable: str | None
    hub_exists: bool
    hf_home: str
    token: bool
    """Whether a login token lies in HF_HOME. It is never read."""
    repos: int | None
    models_size: int | None
    largest: tuple[str, int] | None
    caches: tuple[CacheFigure, ...]
    entry_median: int | None
    build_median: float | None
    build_total: float | None
    by_sm: tuple[tuple[str, int], ...]
    known: int
    """Entries whose SM is known."""
    usable: int | None
    """Those of them that a GPU here can load; None without a GPU."""
    gpus: tuple[GpuFigure, ...]
    runs: tuple[RunFigure, ...] = ()
    """The newest finished conversion of each kind of start."""

    @property
    def entries(self) -> int | None:
        """Kernel entries of all caches; None when one could not be read."""
        return _sum([cache.entries for cache in self.caches])

    @property
    def kernels_size(self) -> int | None:
        """Bytes on disk of all kernel caches; None when one could not be read."""
        return _sum([cache.size for cache in self.caches])

    def cache(self, kind: str) -> CacheFigure | None:
        """The first cache of a kind."""
        return next((cache for cache in self.caches if cache.kind == kind), None)


def measure() -> Figures:
    """The figures of this machine, from one scan of each cache and one sample of the GPUs."""
    from cachetop import api

    hub = locations.hub()
    home, _, _ = locations.hf_home()
    models = api.models()
    readable = not any(root.problem for root in models.roots)
    gpus = api.gpus()
    sms = sorted({gpu.sm for gpu in gpus.gpus if gpu.sm})
    kernels = api.kernels(detail=True, sms=sms or None)
    variables = {place.path: place.variable for place in locations.kernel_roots()}
    counts = Counter(entry.cache for entry in kernels.entries)
    builds = [entry.build_milliseconds for entry in kernels.entries if entry.build_milliseconds is not None]
    known = [entry for entry in kernels.entries if entry.sm]
    foreign = sum(any(stale.rule == "foreign-sm" for stale in entry.stale) for entry in known)
    return Figures(
        hub_path=hub.path,
        hub_variable=hub.variable,
        hub_exists=hub.exists,
        hf_home=home,
        token=any(os.path.exists(os.path.join(home, name)) for name in ("token", "stored_tokens")),
        repos=len(models.repos) if readable else None,
        models_size=models.size if readable else None,
        largest=max(((repo.id, repo.size) for repo in models.repos), key=lambda pair: pair[1], default=None),
        caches=tuple(
            CacheFigure(
                c.kind,
                c.path,
                variables.get(c.path),
                c.exists,
                None if c.problem else counts[c.id],
                None if c.problem else c.size_on_disk,
            )
            for c in kernels.caches
        ),
        entry_median=_median([entry.size_on_disk for entry in kernels.entries]),
        build_median=statistics.median(builds) if builds else None,
        build_total=sum(builds) if builds else None,
        by_sm=tuple(sorted(Counter(sm for entry in known for sm in entry.sm).items(), key=_sm_order)),
        known=len(known),
        usable=len(known) - foreign if sms else None,
        gpus=tuple(
            GpuFigure(clean(g.name), g.sm, g.memory.used if g.memory else None, g.memory.total if g.memory else None)
            for g in gpus.gpus
        ),
        runs=_runs(),
    )


def _runs() -> tuple[RunFigure, ...]:
    from cachetop.conversion.folder import Listing
    from cachetop.conversion.report import job

    found: dict[str | None, RunFigure] = {}
    for one in [done for done in Listing().jobs() if done.state == "done"][:_LOOK_BACK]:
        told = job(one.id)
        phases = tuple((phase, told.phases[phase]) for phase in PHASES if phase in told.phases)
        found.setdefault(told.start, RunFigure(told.start, clean(told.pipeline), told.pages, phases))
    return tuple(found.values())


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _median(sizes: list[int]) -> int | None:
    return round(statistics.median(sizes)) if sizes else None


def _sm_order(pair: tuple[str, int]) -> tuple[int, str]:
    digits = "".join(c for c in pair[0] if c.isdigit())
    return int(digits or 10**6), pair[0]
