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
from cachetop.hub.about import About, GpuFree, describe
from cachetop.hub.choose import PRESETS, WORDS, keep
from cachetop.hub.choose import arrange as arranged
from cachetop.hub.records import Asked, Models
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner
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


def models(
    filters: Sequence[str], preset: str | None = None, sort: str | None = None, limit: int | None = None
) -> Asked:
    """The repos that match, in the order asked for; with a limit or a preset in its order.

    Raises ValueError with a sentence for what makes no sense.
    """
    chosen = PRESETS[preset or "biggest"]
    known = [one if one.strip().lower() in WORDS else name for one, name in zip(filters, _named(filters), strict=True)]
    order = sort or (chosen.sort if preset or limit is not None else None)
    test, arrange = keep([*chosen.filters, *known]), arranged(order) if order else list
    found = api.models(detail=True)
    fields = {name: getattr(found, name) for name in Models.__struct_fields__}
    repos = arrange([repo for repo in found.repos if test(repo)])[:limit]
    return Asked(**fields | {"repos": tuple(repos)}, total=len(found.repos), sort=order)


def repo(name: str) -> About:
    """One repo in depth, written as REPO or REPO@REVISION. Raises ValueError with a sentence where there is none."""
    scanner = Scanner(roots())
    name, _, revision = name.partition("@")
    hits = [one for one in scanner.scan().repos if name in (one.id, f"{one.type}/{one.id}")]
    if not hits:
        raise ValueError(f"no repo {name!r} is in the cache; %cachetop models lists those that are")
    try:
        found = describe(hits[0], scanner, revision or None)
    except LookupError as error:
        raise ValueError(str(error.args[0])) from None
    if found.memory is None:
        return found
    now = api.gpus(timeout=2)
    free = tuple(GpuFree(index=gpu.index, free=gpu.memory.free) for gpu in now.gpus if gpu.memory)
    return msgspec.structs.replace(found, gpu_free=free, gpu_free_reason=None if free else now.reason)


def kernels(
    filters: Sequence[str], sm: str | None, cache: str | None, stale: bool, assume: Sequence[str] = ()
) -> Kernels:
    """The entries that match; `assume` are SMs to judge by. Raises ValueError with a sentence for a senseless one."""
    test: Callable[[Entry], bool] = compile_filters(_named(filters), ENTRY)
    wanted = sms.normalize(sm) if sm else None
    judged = tuple(map(sms.normalize, assume)) or (_here() if stale else None)
    found = api.kernels(detail=True, sms=judged)
    kinds = {cache.kind for cache in found.caches} | {cache.id for cache in found.caches}
    if cache is not None and cache not in kinds:
        raise ValueError(f"{cache!r} is no kernel cache; there are {', '.join(sorted(kinds))}")
    entries = [
        entry
        for entry in found.entries
        if test(entry)
        and (wanted is None or any(sms.asked(one, wanted) for one in (*entry.sm, entry.target or "")))
        and (cache is None or cache in (entry.kind, entry.cache))
        and (not stale or entry.stale)
    ]
    return msgspec.structs.replace(found, entries=tuple(entries))


def gpus(filters: Sequence[str]) -> Gpus:
    """The GPUs that match. Raises ValueError with a sentence for a filter that makes no sense, or a GPU not there."""
    test: Callable[[Gpu], bool] = compile_filters(_named(filters), _GPU)
    found = api.gpus()
    chosen = tuple(gpu for gpu in found.gpus if test(gpu))
    if filters and found.available and not chosen:
        there = ", ".join(f"{gpu.label} ({gpu.name})" for gpu in found.gpus)
        raise ValueError(f"no GPU is meant by {' '.join(filters)!r}; there are {there}")
    return msgspec.structs.replace(found, gpus=chosen)


def doctor(filters: Sequence[str]) -> Doctor:
    """The findings that match. Raises ValueError with a sentence for a filter that makes no sense."""
    test: Callable[[Finding], bool] = compile_filters(_named(filters), _FINDING)
    found = examine()
    return msgspec.structs.replace(found, findings=tuple(one for one in found.findings if test(one)))


def _here() -> tuple[str, ...] | None:
    from cachetop.gpu.present import sms as present

    return present()


def _named(filters: Sequence[str]) -> list[str]:
    """A word that compares nothing is a name."""
    return [one if any(sign in one for sign in "=<>") else f"name={one}" for one in filters]
