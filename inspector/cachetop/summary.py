"""One snapshot of everything (`cachetop.status/1`), and what in it needs attention."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

import msgspec

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.record import Record
from cachetop.conversion.records import Job, Jobs
from cachetop.gpu.records import Gpu, Gpus, Memory
from cachetop.hub.layout import resumable
from cachetop.hub.records import Models, Partial
from cachetop.kernelcache.records import Kernels

SCHEMA = "cachetop.status/1"
_FULL = 0.95
_STALE = "cachetop prune kernels --stale --dry-run"
FIXES = {
    **dict.fromkeys(
        ("foreign-sm", "sm-alias", "toolchain-gone", "relocated", "truncated", "superseded", "unused"), _STALE
    ),
    "autotune-loser": _STALE,
    "orphan": "cachetop prune kernels --incomplete --dry-run",
    "dead-partial": "cachetop prune models --incomplete --dry-run",
    "vram-full": "cachetop jobs unload",
    "watch": "cachetop doctor",
    "disk-full": "cachetop prune models --detached --dry-run",
}
"""Rule -> what to run. Every other rule is looked at with `cachetop doctor`."""
MEANINGS = {
    "foreign-sm": "for an SM that no GPU here has",
    "sm-alias": "for another SM, known to go wrong on the GPU here",
    "toolchain-gone": "whose compiler or environment is gone",
    "relocated": "that point to another folder",
    "orphan": "whose compile stopped before the end",
    "truncated": "with a file missing or cut off",
    "superseded": "that a newer release compiled again",
    "unused": "not read for long",
    "autotune-loser": "that autotuning did not choose",
}
"""Rule of a stale entry -> what it says of entries, after their number."""
WATCH_FIX = "sudo sysctl fs.inotify.max_user_watches=1048576"
"""What lets inotify watch more folders, until the next start of the machine."""


class StatusProblem(Record, frozen=True):
    """Something that needs attention: the rule's name, what it is about, a sentence, and what to run or do."""

    rule: str
    subject: str
    message: str
    fix: str | None = None


class ModelTotals(Record, frozen=True):
    """The model caches in three numbers; sizes in bytes."""

    repos: int
    size: int
    size_on_disk: int


class SmTotals(Record, frozen=True):
    """The kernel entries of one SM. An entry for several SMs counts under each."""

    entries: int
    size_on_disk: int


class KernelTotals(Record, frozen=True):
    """The kernel caches; `by_sm` maps `sm_90` (or `unknown`) to its share."""

    entries: int
    size_on_disk: int
    by_sm: dict[str, SmTotals]


class GpuTotals(Record, frozen=True):
    """The GPUs together; `memory` is None where not every GPU reports its own."""

    available: bool
    reason: str | None
    count: int
    memory: Memory | None


class Status(Record, frozen=True, kw_only=True):
    """Models, kernels, GPUs and running jobs at one moment."""

    schema: str = SCHEMA
    host: str
    models: ModelTotals
    kernels: KernelTotals
    gpus: GpuTotals
    jobs: tuple[Job, ...]
    problems: tuple[StatusProblem, ...]


def summarize(models: Models, kernels: Kernels, gpus: Gpus, jobs: Jobs) -> Status:
    """Fold four snapshots into one. Of the jobs, those that run or wait are listed."""
    return Status(
        host=clean(socket.gethostname()),
        models=ModelTotals(repos=len(models.repos), size=models.size, size_on_disk=models.size_on_disk),
        kernels=KernelTotals(entries=len(kernels.entries), size_on_disk=kernels.size_on_disk, by_sm=_by_sm(kernels)),
        gpus=GpuTotals(available=gpus.available, reason=gpus.reason, count=len(_whole(gpus)), memory=_memory(gpus)),
        jobs=tuple(job for job in jobs.jobs if job.state in ("queued", "running")),
        problems=tuple(problems(models, kernels, gpus)),
    )


def problems(models: Models, kernels: Kernels, gpus: Gpus) -> Iterator[StatusProblem]:
    """What needs attention, most certain first, each with the command that mends it or looks closer."""
    for problem in _problems(models, kernels, gpus):
        yield msgspec.structs.replace(problem, fix=problem.fix or FIXES.get(problem.rule, "cachetop doctor"))


def _problems(models: Models, kernels: Kernels, gpus: Gpus) -> Iterator[StatusProblem]:
    for root in models.roots:
        if root.problem:
            yield StatusProblem(rule="unreadable", subject=root.path, message=root.problem, fix=root.fix)
    for problem in models.problems:
        yield StatusProblem(rule=problem.rule, subject="models", message=problem.message, fix=problem.fix)
    for repo in models.repos:
        for problem in repo.problems:
            yield StatusProblem(rule=problem.rule, subject=repo.id, message=problem.message, fix=problem.fix)
        for partial in repo.partials:
            if partial.live is False:
                name = partial.file or f"a file ({partial.blob[:12]}…)"
                yield StatusProblem(
                    rule="dead-partial",
                    subject=repo.id,
                    message=f"the download of {name} was cut off: {units.size(partial.bytes)} {_use(partial)}",
                )
    for cache in kernels.caches:
        if cache.problem:
            rule = "partly-unreadable" if cache.readable else "unreadable"
            yield StatusProblem(rule=rule, subject=cache.path, message=cache.problem)
    yield from _kernel_problems(kernels)
    for gpu in gpus.gpus:
        for xid in gpu.xids[-1:]:
            before = f" ({len(gpu.xids) - 1} more before it)" if len(gpu.xids) > 1 else ""
            message = f"Xid {xid.code} at {units.clock(xid.time)}: {xid.message}{before}"
            yield StatusProblem(rule="xid", subject=f"GPU {gpu.index}", message=message, fix=xid.fix)
        if gpu.problem:
            yield StatusProblem(rule="gpu", subject=f"GPU {gpu.index}", message=gpu.problem)
        elif gpu.memory and gpu.memory.total and gpu.memory.used > _FULL * gpu.memory.total:
            message = f"{units.memory(gpu.memory.used)} of {units.memory(gpu.memory.total)} VRAM are in use"
            yield StatusProblem(rule="vram-full", subject=f"GPU {gpu.index}", message=message)


def _kernel_problems(kernels: Kernels) -> Iterator[StatusProblem]:
    found: dict[tuple[str, str], list[int]] = {}
    for entry in kernels.entries:
        for rule in {stale.rule for stale in entry.stale}:
            found.setdefault((entry.cache, rule), []).append(entry.size_on_disk)
    yield from stale_problems((*key, len(sizes), sum(sizes)) for key, sizes in sorted(found.items()))


def stale_problems(totals: Iterable[tuple[str, str, int, int]]) -> Iterator[StatusProblem]:
    """One line per (cache, rule, entries, bytes on disk): a thousand stale kernels are one problem."""
    for cache, rule, count, size in totals:
        noun = "entry" if count == 1 else "entries"
        message = f"{count:,} {noun} {MEANINGS.get(rule, rule)}: {units.size(size)}"
        yield StatusProblem(rule=rule, subject=cache, message=message, fix=FIXES.get(rule, "cachetop doctor"))


def _use(partial: Partial) -> str:
    if resumable(partial.blob):
        return "that huggingface_hub 1.17 or older would go on with"
    return "are of no use"


def _by_sm(kernels: Kernels) -> dict[str, SmTotals]:
    sums: dict[str, list[int]] = {}
    for entry in kernels.entries:
        for sm in entry.sm or ("unknown",):
            pair = sums.setdefault(sm, [0, 0])
            pair[0] += 1
            pair[1] += entry.size_on_disk
    return {sm: SmTotals(entries=n, size_on_disk=size) for sm, (n, size) in sorted(sums.items(), key=_sm_order)}


def _sm_order(item: tuple[str, object]) -> tuple[int, str]:
    digits = "".join(c for c in item[0] if c.isdigit())
    return int(digits or 10**6), item[0]


def _whole(gpus: Gpus) -> list[Gpu]:
    """The GPUs without their MIG instances, which are parts of them."""
    return [gpu for gpu in gpus.gpus if gpu.mig is None]


def _memory(gpus: Gpus) -> Memory | None:
    whole = _whole(gpus)
    known = [gpu.memory for gpu in whole if gpu.memory]
    if not known or len(known) != len(whole):
        return None
    reserved = [memory.reserved for memory in known]
    return Memory(
        total=sum(memory.total for memory in known),
        used=sum(memory.used for memory in known),
        free=sum(memory.free for memory in known),
        reserved=None if None in reserved else sum(r for r in reserved if r is not None),
    )
