"""The report on a block of code, as it is shown, and as one line."""

from __future__ import annotations

from collections.abc import Iterator

from cachetop.base import units
from cachetop.notebook.records import KernelUse, ModelRead, Report
from cachetop.notebook.sheet import Cell, Sheet, count

_SEEN = {
    "mapped": "mapped here",
    "opened": "opened here",
    "opened-by-someone": "opened, by whom is not known",
    "opened-elsewhere": "opened by another process",
    "listener": "Triton said so",
    "trace": "torch said so",
    "appeared": "appeared in the cache",
}


def sheet(report: Report) -> Sheet:
    """All of a report."""
    made = Sheet(f"{units.duration(report.seconds)}: {', '.join(_summary(report)) or 'nothing read, nothing compiled'}")
    made.table(
        "Model files read", "MODEL|FILES|SIZE|IN RAM BEFORE|SEEN", [_read(row) for row in report.models], "<>>><"
    )
    fetched = [
        (_at(row.repo, row.revision), row.file or "?", units.size(row.bytes), "whole" if row.complete else "partial")
        for row in report.downloads
    ]
    made.table("Came into the model cache", "MODEL|FILE|SIZE|STATE", fetched, "<<>")
    made.table("Kernels", "KERNEL|CACHE|SM|TIME||SEEN", [_kernel(row) for row in _together(report.kernels)], "<<<><")
    vram = [
        (
            f"GPU {row.gpu}",
            *(units.memory(value) for value in (row.before, row.peak, row.after)),
            units.memory(None if None in (row.own_before, row.own_after) else (row.own_after or 0)),
        )
        for row in report.vram
    ]
    made.table("VRAM", "GPU|BEFORE|PEAK|AFTER|THIS PROCESS", vram, "<>>>>")
    for peak in report.allocator:
        highest = "no new peak" if peak.allocated_peak is None else f"peak {units.memory(peak.allocated_peak)}"
        made.fact(
            f"torch on GPU {peak.gpu}",
            f"{units.memory(peak.allocated)} allocated, {units.memory(peak.reserved)} reserved, {highest}",
        )
    if report.torch is not None:
        made.fact("torch.compile", ", ".join(_compile(report)))
        for reason in report.torch.reasons:
            made.remark("note", f"torch.compile: {reason}")
    if not report.vram and report.vram_reason:
        made.remark("note", report.vram_reason)
    for problem in report.problems:
        made.remark("error" if problem.rule == "exception" else "warning", problem.message)
    return made


def line(report: Report) -> str | None:
    """What a block cost on one line; None when it cost nothing but time."""
    said = list(_summary(report))
    return f"{units.duration(report.seconds)}: {', '.join(said)}" if said else None


def _summary(report: Report) -> Iterator[str]:
    read = [row for row in report.models if row.evidence != "opened-elsewhere"]
    if read:
        size = sum(row.bytes for row in read)
        warm = [row.resident_before for row in read]
        known = sum(value for value in warm if value is not None)
        share = f", {100 * known / size:.0f} % in RAM before" if size and None not in warm else ""
        files = count(sum(row.files for row in read), "file")
        yield f"{files} of {count(len(read), 'model')} ({units.size(size)}{share}) read"
    if report.downloads:
        size = sum(row.bytes for row in report.downloads)
        yield f"{count(len(report.downloads), 'file')} came into the model cache ({units.size(size)})"
    new = [row for row in report.kernels if not row.hit]
    made = [row for row in new if row.part not in ("fxgraph", "cpp")]
    if made:
        yield f"{count(len(made), 'kernel')} compiled"
    graphs = sum(row.part == "fxgraph" for row in new)
    if graphs:
        yield f"{count(graphs, 'graph')} compiled"
    built = sum(row.part == "cpp" for row in new)
    if built:
        yield f"{count(built, 'C++ file')} built"
    hits = sum(row.hit for row in report.kernels)
    if hits:
        yield f"{hits} from a kernel cache"
    for row in report.vram:
        if row.before is not None and row.after is not None and abs(row.after - row.before) >= 1 << 20:
            sign = "+" if row.after > row.before else "-"
            top = "" if row.peak is None else f" (peak {units.memory(row.peak)})"
            yield f"GPU {row.gpu} {sign}{units.memory(abs(row.after - row.before))}{top}"


def _at(repo: str, revision: str | None) -> str:
    return f"{repo}@{revision[:8]}" if revision else repo


def _read(row: ModelRead) -> tuple[Cell, ...]:
    warm = units.UNKNOWN
    if row.resident_before is not None:
        warm = f"{100 * row.resident_before / row.bytes:.0f} %" if row.bytes else "0 %"
    seen = _SEEN.get(row.evidence, row.evidence)
    return _at(row.repo, row.revision), str(row.files), units.size(row.bytes), warm, seen


def _together(kernels: tuple[KernelUse, ...]) -> list[tuple[KernelUse, int]]:
    """Rows that differ in nothing that is shown, counted: an Inductor cache's C++ kernels have no names."""
    counted: dict[KernelUse, int] = {}
    for row in kernels:
        same = row
        if row.part == "cpp" and row.milliseconds is None:
            same = KernelUse(
                cache=row.cache, key=None, name=None, sm=row.sm, milliseconds=None, hit=row.hit,
                evidence=row.evidence, part=row.part,
            )  # fmt: skip
        counted[same] = counted.get(same, 0) + 1
    return list(counted.items())


_WHAT = {"fxgraph": "graph", "cpp": "C++ kernel or probe", "triton": "Triton kernel", None: "kernel"}


def _kernel(counted: tuple[KernelUse, int]) -> tuple[Cell, ...]:
    row, times = counted
    name = row.name or (f"{_WHAT.get(row.part, 'kernel')} {row.key[:10]}" if row.key else _WHAT.get(row.part, "kernel"))
    if times > 1:
        name = f"{name} ({times} times)"
    spent = None if row.milliseconds is None else row.milliseconds / 1000
    return (
        name,
        row.cache,
        " ".join(row.sm) or "-",
        units.duration(spent),
        "hit" if row.hit else "compiled",
        _SEEN.get(row.evidence, row.evidence),
    )


def _compile(report: Report) -> Iterator[str]:
    told = report.torch
    if told is None:
        return
    yield count(told.graphs, "graph")
    yield f"{count(told.cache_hits, 'cache hit')}, {count(told.cache_misses, 'miss', 'misses')}"
    if told.cache_bypassed:
        yield f"{told.cache_bypassed} not cacheable"
    yield count(told.graph_breaks, "graph break")
    yield count(told.recompiles, "recompile")
    if told.seconds is not None:
        yield units.duration(told.seconds)
