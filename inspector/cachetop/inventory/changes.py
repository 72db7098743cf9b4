"""Two snapshots in a row as events: what appeared, changed, went; what is downloading; how VRAM moved.

The event objects are those of the public contract, without `seq`. The first snapshot of a kind is the state
of things and makes no events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cachetop.conversion.events import Tail, masked
from cachetop.conversion.folder import JobFolder, jobs_dir
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models, Repo
from cachetop.inventory.run_feed import LIVE
from cachetop.inventory.updates import GpusChanged, KernelsChanged, ModelsChanged, RunsChanged, Update
from cachetop.kernelcache.records import Entry, Kernels

Event = dict[str, Any]
VRAM_STEP = 1 << 20
"""Bytes by which VRAM must have moved to be worth an event."""


class Changes:
    """Turns the inventory's updates into events. Keeps the last snapshot of each kind."""

    def __init__(self) -> None:
        self._models: Models | None = None
        self._kernels: Kernels | None = None
        self._vram: dict[int, int] = {}
        self._xids: dict[int, float] = {}
        self._tails: dict[str, Tail] | None = None

    def of(self, update: Update) -> Iterator[Event]:
        """The events that lead from the last snapshot of this kind to this one."""
        match update:
            case KernelsChanged(kernels):
                yield from self._of_kernels(kernels)
            case ModelsChanged(models):
                yield from self._of_models(models)
            case GpusChanged(gpus):
                yield from self._of_gpus(gpus)
            case RunsChanged():
                yield from self._of_runs(update)

    def _of_kernels(self, kernels: Kernels) -> Iterator[Event]:
        if kernels.scanning:  # the first scan's entries as they come
            return
        before, self._kernels = self._kernels, kernels
        if before is None:
            return
        kinds = {cache.id: cache.kind for cache in kernels.caches}
        old = {(entry.cache, entry.path): entry for entry in before.entries}
        for entry in kernels.entries:
            known = old.pop((entry.cache, entry.path), None)
            if known is None:
                yield _entry("entry-appeared", entry)
            elif known is not entry and _progress(known) != _progress(entry):
                yield _entry("entry-changed", entry)
        for entry in old.values():
            if entry.cache in kinds:
                yield _entry("entry-removed", entry)

    def _of_models(self, models: Models) -> Iterator[Event]:
        if models.scanning:  # the first scan's repos as they come
            return
        before, self._models = self._models, models
        if before is None:
            return
        old = {(repo.root, repo.type, repo.id): repo for repo in before.repos}
        for repo in models.repos:
            known = old.pop((repo.root, repo.type, repo.id), None)
            if known is None:
                yield _repo("entry-appeared", repo)
            elif known is not repo:
                if _differs(known, repo):
                    yield _repo("entry-changed", repo)
                yield from _downloads(known, repo)
        for repo in old.values():
            yield _repo("entry-removed", repo)

    def _of_gpus(self, gpus: Gpus) -> Iterator[Event]:
        for gpu in gpus.gpus:
            for xid in gpu.xids:
                if xid.time > self._xids.get(gpu.index, 0.0):
                    self._xids[gpu.index] = xid.time
                    said = f"GPU {gpu.index}: Xid {xid.code}, {xid.message}"
                    yield {"event": "error", "message": said, "hint": xid.fix, "gpu": gpu.index, "xid": xid.code}
            used = gpu.in_use
            if used is None or gpu.mig is not None:
                continue
            known = self._vram.get(gpu.index)
            if known is None or abs(known - used) >= VRAM_STEP:
                self._vram[gpu.index] = used
                if known is not None:
                    yield {"event": "vram", "gpu": gpu.index, "used": used}

    def _of_runs(self, update: RunsChanged) -> Iterator[Event]:
        """What the live jobs write themselves; jobs that had ended before are history."""
        first, self._tails = self._tails is None, self._tails or {}
        for run in update.runs:
            if run.job.id not in self._tails:
                tail = Tail(JobFolder(jobs_dir() / run.job.id).events)
                if first and run.job.state not in LIVE:
                    tail.poll()
                self._tails[run.job.id] = tail
            for event in self._tails[run.job.id].poll():
                yield {**masked(event), "job": run.job.id}


def _progress(entry: Entry) -> tuple[object, ...]:
    """How far an entry has come. That it was moved here is found by the second pass and no change of the entry."""
    return "complete" if entry.state == "relocated" else entry.state, entry.stage, entry.files


def _entry(event: str, entry: Entry) -> Event:
    return {
        "event": event,
        "cache": entry.cache,
        "kind": entry.kind,
        "key": entry.key,
        "name": entry.name,
        "sm": list(entry.sm),
        "state": entry.state,
        "stage": entry.stage,
    }


def _repo(event: str, repo: Repo) -> Event:
    return {"event": event, "cache": "hub", "kind": repo.type, "key": repo.id, "name": repo.id, "sm": []}


def _differs(before: Repo, now: Repo) -> bool:
    """Whether a repo has become another one: not by residency, access times, a growing partial, or the second pass."""
    if _shape(before) != _shape(now):
        return True
    pairs = zip(before.revisions, now.revisions, strict=True)
    return any(None not in (a.complete, b.complete) and a.complete != b.complete for a, b in pairs)


def _shape(repo: Repo) -> tuple[object, ...]:
    return repo.size, tuple((r.commit, r.refs) for r in repo.revisions), len(repo.partials)


def _downloads(before: Repo, now: Repo) -> Iterator[Event]:
    old = {partial.blob: partial.bytes for partial in before.partials}
    for partial in now.partials:
        if partial.bytes != old.get(partial.blob):
            yield {
                "event": "download",
                "repo": now.id,
                "file": partial.file,
                "bytes": partial.bytes,
                "total": partial.expected,
            }
