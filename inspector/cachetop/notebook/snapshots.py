"""The snapshots of models, kernels, GPUs and of everything, as they are shown."""

from __future__ import annotations

import time

from cachetop.base import units
from cachetop.base.record import Problem
from cachetop.gpu.records import Gpu, Gpus, HeldModel, Process
from cachetop.hub.about import About
from cachetop.hub.choose import resident
from cachetop.hub.facts import count as elements
from cachetop.hub.facts import downloads, facts, refs_of
from cachetop.hub.records import Asked, Models, Repo
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.sm import order
from cachetop.notebook.sheet import Bar, Cell, Sheet, count
from cachetop.summary import Status, StatusProblem

_WARM = 4


def models(found: Models) -> Sheet:
    """The Hugging Face cache, the largest repo first."""
    size, disk = units.size(found.size), units.size(found.size_on_disk)
    shown = f"{len(found.repos):,} shown of " if isinstance(found, Asked) and len(found.repos) < found.total else ""
    total = found.total if isinstance(found, Asked) else len(found.repos)
    made = Sheet(f"Models: {shown}{count(total, 'repo')}, {size}, on disk {disk}")
    repos = list(found.repos)
    if not (isinstance(found, Asked) and found.sort):
        repos.sort(key=lambda repo: (-repo.size, repo.id))
    largest = max((repo.size for repo in repos), default=0)
    rows = [_repo(repo, largest) for repo in repos]
    head, right = "REPO|TYPE|REVISIONS|SIZE|IN RAM|USED|REMARKS", "<<><><<"
    if all(row[_WARM] == units.UNKNOWN for row in rows):  # residency was not asked for
        rows = [row[:_WARM] + row[_WARM + 1 :] for row in rows]
        head, right = head.replace("|IN RAM", ""), "<<><<<"
    made.table("", head, rows, right)
    for repo in repos:
        for problem in repo.problems:
            made.remark("warning", f"{repo.id}: {problem.message}{_fix(problem)}")
    for problem in found.problems:
        made.remark("warning", f"{problem.message}{_fix(problem)}")
    for root in found.roots:
        if root.problem:
            made.remark("error", root.problem)
        else:
            made.remark("note", f"In {root.path} ({root.reason}){'' if root.exists else ', which is not there yet'}.")
    return made


def _fix(problem: Problem | StatusProblem) -> str:
    return f" Fix: {problem.fix}" if problem.fix else ""


def repo(found: About) -> Sheet:
    """One repo in depth."""
    made = Sheet(f"{found.id} ({found.type})")
    for label, said in facts(found, time.time()):
        made.fact(label, said)
    revisions = [
        (one.commit[:12], refs_of(one.refs) or "detached", str(len(one.files)), units.size(one.size))
        for one in found.revisions
    ]
    made.table("", "REVISION|REFS|FILES|SIZE", revisions, "<<>>")
    weights = [
        (one.name, units.size(one.size), elements(one.parameters), ", ".join(one.dtypes), one.problem or "")
        for one in found.weights
    ]
    made.table("", "WEIGHTS|SIZE|PARAMETERS|TYPES|", weights, "<>><<")
    tensors = [(one.name, one.dtype, " x ".join(map(str, one.shape)), units.size(one.size)) for one in found.tensors]
    made.table("", "TENSOR|TYPE|SHAPE|SIZE", tensors, "<<<>")
    for problem in found.problems:
        made.remark("warning", f"{problem.message}{_fix(problem)}")
    return made


def kernels(found: Kernels) -> Sheet:
    """The kernel caches: their sums by SM, then the entries, the newest first."""
    size = units.size(sum(entry.size_on_disk for entry in found.entries))
    made = Sheet(f"Kernels: {count(len(found.entries), 'entry', 'entries')}, {size} on disk")
    sums: dict[str, list[int]] = {}
    for entry in found.entries:
        for sm in entry.sm or ("no SM",):
            pair = sums.setdefault(sm, [0, 0])
            pair[0] += 1
            pair[1] += entry.size_on_disk
    rows: list[tuple[Cell, ...]] = [(sm, str(sums[sm][0]), units.size(sums[sm][1])) for sm in sorted(sums, key=order)]
    made.table("", "SM|ENTRIES|ON DISK", rows, "<>>")
    newest = sorted(found.entries, key=lambda entry: -entry.created)
    made.table("", "KERNEL|CACHE|SM|SIZE|MADE|STATE|VERDICT", [_entry(entry) for entry in newest], "<<<>><<")
    for cache in found.caches:
        if cache.problem:
            made.remark("warning", cache.problem)
    there = [f"{cache.id} in {cache.path} ({cache.reason})" for cache in found.caches if cache.exists]
    made.remark("note", f"Found: {'; '.join(there)}." if there else "None of the kernel caches is there yet.")
    return made


def gpus(found: Gpus) -> Sheet:
    """The GPUs with their processes and the models these hold."""
    if not found.available:
        made = Sheet("GPUs: not available")
        made.remark("note", found.reason or "The GPUs cannot be read.")
        return made
    made = Sheet(f"GPUs: {count(sum(gpu.mig is None for gpu in found.gpus), 'GPU')}, driver {found.driver or '?'}")
    made.table("", "GPU|SM|VRAM|LOAD|TEMPERATURE|POWER", [_gpu(gpu) for gpu in found.gpus], "<<<>>>")
    for gpu in found.gpus:
        made.table(
            f"{gpu.label}: processes",
            "COMMAND|PID|USER|MEMORY|MODELS",
            [_process(process) for process in gpu.processes],
            "<><><",
        )
        if gpu.problem:
            made.remark("error", gpu.problem)
    if found.reason:
        made.remark("warning", found.reason)
    return made


def status(found: Status) -> Sheet:
    """Everything in a few lines, and what needs attention."""
    made = Sheet(f"cachetop on {found.host}")
    models = found.models
    made.fact(
        "Models",
        f"{count(models.repos, 'repo')}, {units.size(models.size)} ({units.size(models.size_on_disk)} on disk)",
    )
    made.fact(
        "Kernels",
        f"{count(found.kernels.entries, 'entry', 'entries')}, {units.size(found.kernels.size_on_disk)} on disk",
    )
    if not found.gpus.available:
        made.fact("GPUs", found.gpus.reason or "not available")
    elif found.gpus.memory:
        used, total = units.memory(found.gpus.memory.used), units.memory(found.gpus.memory.total)
        made.fact("GPUs", f"{found.gpus.count}, {used} of {total} VRAM in use")
    else:
        made.fact("GPUs", f"{found.gpus.count}, memory not reported by all of them")
    by_sm = [(sm, str(share.entries), units.size(share.size_on_disk)) for sm, share in found.kernels.by_sm.items()]
    made.table("Kernels by SM", "SM|ENTRIES|ON DISK", by_sm, "<>>")
    made.table("Jobs", "JOB|STATE|FILES", [(job.id, job.state, str(len(job.files))) for job in found.jobs])
    for problem in found.problems:
        made.remark("warning", f"{problem.rule}: {problem.subject}: {problem.message.rstrip('.')}.{_fix(problem)}")
    return made


def _repo(repo: Repo, largest: int) -> tuple[Cell, ...]:
    remarks = downloads(repo.partials)
    missing = sum(len(revision.missing) for revision in repo.revisions if revision.complete is False)
    if missing:
        remarks.append(f"{count(missing, 'file')} missing")
    detached = sum(revision.detached for revision in repo.revisions)
    if detached:
        remarks.append(f"{detached} detached")
    return (
        repo.id,
        repo.type,
        str(len(repo.revisions)),
        Bar(repo.size, largest, units.size(repo.size)),
        _warm(repo),
        units.age(repo.last_used),
        ", ".join(remarks),
    )


def _warm(repo: Repo) -> str:
    """The share of the repo's bytes that is in RAM; unknown when it is for any of its files."""
    found = resident(repo)
    return units.UNKNOWN if found is None else units.share(*found)


def _entry(entry: Entry) -> tuple[Cell, ...]:
    return (
        entry.name or f"{entry.part or entry.kind} {entry.key[:10]}",
        entry.cache,
        " ".join(entry.sm) or "-",
        units.size(entry.size_on_disk),
        units.age(entry.created),
        f"{entry.state} ({entry.stage})" if entry.stage else entry.state,
        "; ".join(f"{one.rule}: {one.evidence}" for one in entry.stale)
        or "; ".join(problem.message for problem in entry.problems),
    )


def _gpu(gpu: Gpu) -> tuple[Cell, ...]:
    memory: Cell = units.UNKNOWN
    if gpu.memory:
        said = f"{units.memory(gpu.memory.used)} of {units.memory(gpu.memory.total)}"
        memory = Bar(gpu.memory.used, gpu.memory.total, said)

    def number(value: float | None, unit: str) -> str:
        return units.UNKNOWN if value is None else f"{value:.0f} {unit}"

    return (
        f"{gpu.label} {gpu.name}",
        gpu.sm or units.UNKNOWN,
        memory,
        number(gpu.utilization, "%"),
        number(gpu.temperature, "C"),
        number(gpu.power, "W"),
    )


def _process(process: Process) -> tuple[Cell, ...]:
    held = "; ".join(_held(model) for model in process.models)
    return (
        process.command or units.UNKNOWN,
        str(process.pid),
        process.user or units.UNKNOWN,
        units.memory(process.memory),
        held or ("none seen" if process.inspectable else units.UNKNOWN),
    )


def _held(model: HeldModel) -> str:
    revision = f"@{model.revision[:8]}" if model.revision else ""
    return f"{model.repo}{revision} ({model.evidence})"
