"""Snapshots with what was asked for: a name, or filter expressions as the command line takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cachetop import api
from cachetop.base.filters import compile_filters
from cachetop.doctor.examine import examine
from cachetop.doctor.records import Doctor, Finding
from cachetop.gpu.records import Gpu, Gpus
from cachetop.hub.choose import FILTERS as REPO
from cachetop.hub.records import Models, Repo
from cachetop.kernelcache import sm as sms
from cachetop.kernelcache.choose import FILTERS as ENTRY
from cachetop.kernelcache.records import Entry, Kernels

_Keys = dict[str, tuple[str, Callable[[Any], Any]]]
_GPU: _Keys = {
    "name": ("text", lambda gpu: [str(gpu.index), gpu.uuid, gpu.name, gpu.label]),
    "sm": ("text", lambda gpu: gpu.sm and [gpu.sm, gpu.sm.removeprefix("sm_")]),
    "used": ("size", lambda gpu: gpu.memory and gpu.memory.used),
    "free": ("size", lambda gpu: gpu.memory and gpu.memory.free),
    "total": ("size", lambda gpu: gpu.memory and gpu.memory.total),
}
_FINDING: _Keys = {
    "name": ("text", lambda finding: [finding.area, finding.subject]),
    "area": ("text", lambda finding: finding.area),
    "subject": ("text", lambda finding: finding.subject),
    "severity": ("text", lambda finding: finding.severity),
}


def models(filters: Sequence[str]) -> Models:
    """The repos that match. Raises ValueError with a sentence for a filter that makes no sense."""
    keep: Callable[[Repo], bool] = compile_filters(_named(filters), REPO)
    found = api.models(detail=True)
    return msgspec.structs.replace(found, repos=tuple(repo for repo in found.repos if keep(repo)))


def kernels(
    filters: Sequence[str], sm: str | None, cache: str | None, stale: bool, assume: Sequence[str] = ()
) -> Kernels:
    """The entries that match; `assume` are SMs to judge by. Raises ValueError with a sentence for a senseless one."""
    keep: Callable[[Entry], bool] = compile_filters(_named(filters), ENTRY)
    wanted = sms.normalize(sm) if sm else None
    judged = tuple(map(sms.normalize, assume)) or (_here() if stale else None)
    found = api.kernels(detail=True, sms=judged)
    kinds = {cache.kind for cache in found.caches} | {cache.id for cache in found.caches}
    if cache is not None and cache not in kinds:
        raise ValueError(f"{cache!r} is no kernel cache; there are {', '.join(sorted(kinds))}")
    entries = [
        entry
        for entry in found.entries
        if keep(entry)
        and (wanted is None or any(sms.asked(one, wanted) for one in (*entry.sm, entry.target or "")))
        and (cache is None or cache in (entry.kind, entry.cache))
        and (not stale or entry.stale)
    ]
    return msgspec.structs.replace(found, entries=tuple(entries))


def gpus(filters: Sequence[str]) -> Gpus:
    """The GPUs that match. Raises ValueError with a sentence for a filter that makes no sense, or a GPU not there."""
    keep: Callable[[Gpu], bool] = compile_filters(_named(filters), _GPU)
    found = api.gpus()
    chosen = tuple(gpu for gpu in found.gpus if keep(gpu))
    if filters and found.available and not chosen:
        there = ", ".join(f"{gpu.label} ({gpu.name})" for gpu in found.gpus)
        raise ValueError(f"no GPU is meant by {' '.join(filters)!r}; there are {there}")
    return msgspec.structs.replace(found, gpus=chosen)


def doctor(filters: Sequence[str]) -> Doctor:
    """The findings that match. Raises ValueError with a sentence for a filter that makes no sense."""
    keep: Callable[[Finding], bool] = compile_filters(_named(filters), _FINDING)
    found = examine()
    return msgspec.structs.replace(found, findings=tuple(one for one in found.findings if keep(one)))


def _here() -> tuple[str, ...] | None:
    from cachetop.gpu.present import sms as present

    return present()


def _named(filters: Sequence[str]) -> list[str]:
    """A word that compares nothing is a name."""
    return [one if any(sign in one for sign in "=<>") else f"name={one}" for one in filters]
