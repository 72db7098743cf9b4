"""The public functions of `import cachetop`: each looks afresh and returns frozen objects; `--json` encodes these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachetop import locations

if TYPE_CHECKING:
    from cachetop.conversion.cards import Card
    from cachetop.conversion.launch import JobHandle
    from cachetop.conversion.options import Options
    from cachetop.conversion.records import Jobs
    from cachetop.gpu.records import Gpus
    from cachetop.hub.records import Models
    from cachetop.kernelcache.records import Kernels
    from cachetop.prune.records import Plan
    from cachetop.summary import Status

_WORKER = "/cachetop/conversion/worker"
"""Stands on the command line of cachetop's own workers."""


def models(*, detail: bool = False) -> Models:
    """The Hugging Face cache: repos, revisions, refs, files, partial downloads.

    `detail` adds the second pass: completeness, residency in RAM, the expected size of partials, and the
    places beside the hub cache.
    Never raises for what is on disk: a folder that cannot be read is a root with a `problem`.
    """
    import msgspec

    from cachetop.hub import beside
    from cachetop.hub.detail import with_detail
    from cachetop.hub.scan import Scanner

    scanner = Scanner([locations.hub()])
    graph = scanner.scan()
    if not detail:
        return graph
    return msgspec.structs.replace(with_detail(graph, scanner), beside=beside.look())


def kernels(*, detail: bool = False, sms: Sequence[str] | None = None) -> Kernels:
    """The kernel caches: entries with name, SM, size and state.

    `detail` adds the second pass: producer, last use, build time, and the stale rules. `sms` are the SMs this
    machine has (`("sm_90",)`); without them nothing is called foreign.
    """
    from cachetop.kernelcache.detail import with_detail
    from cachetop.kernelcache.scan import Scanner

    scanner = Scanner(locations.kernel_roots())
    graph = scanner.scan()
    return with_detail(graph, scanner, sms) if detail else graph


def gpus(*, timeout: float = 5.0, pcie: bool = False) -> Gpus:
    """The GPUs, their memory, processes and the models these hold. `available` is False, with a reason, without one.

    `pcie` also measures the throughput of the bus, which takes 40 ms for each GPU.
    """
    from cachetop.gpu.attribution import Attribution
    from cachetop.gpu.sampler import sample_once
    from cachetop.gpu.source import NvmlSource

    source = NvmlSource()
    source.measure_pcie(pcie)
    sample = sample_once(source, timeout)
    if not any(gpu.processes for gpu in sample.gpus):
        return sample
    from cachetop.hub.scan import Scanner

    scanner = Scanner([locations.hub()])
    scanner.scan()
    attribution = Attribution(scanner.inodes)
    if any(_WORKER in (process.command or "") for gpu in sample.gpus for process in gpu.processes):
        from cachetop.inventory.reports import tell_now

        tell_now(attribution)
    return attribution.attach(sample)


def jobs() -> Jobs:
    """All conversion jobs, newest first, and the resident workers."""
    from cachetop.conversion.folder import Listing
    from cachetop.conversion.records import Jobs
    from cachetop.conversion.workers import workers

    return Jobs(jobs=Listing().jobs(), workers=workers())


def status() -> Status:
    """One snapshot of models, kernels, GPUs and running jobs, with what needs attention."""
    from cachetop.summary import summarize

    sample = gpus()
    here = tuple(sorted({gpu.sm for gpu in sample.gpus if gpu.sm})) or None
    return summarize(models(detail=True), kernels(detail=True, sms=here), sample, jobs())


def plan(
    what: str,
    *names: str,
    sms: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    force: bool = False,
    **selectors: Any,
) -> Plan:
    """What pruning would delete, free and cost; nothing is touched.

    `what` is "kernels" or "models"; `names` are keys or `REPO[@REVISION]`. `selectors` are those of the command
    line: stale, sm, assume_sm, cache, older_than ("30d"), incomplete, detached, max_size ("20G"), ir_only, filters,
    all; several join with AND. `sms` are the SMs of this machine. Raises ValueError with a sentence.
    """
    from cachetop.prune.plan import plan as draft
    from cachetop.prune.selection import selection

    return draft([selection(what, names=names, **selectors)], keep=keep, force=force, sms=sms).plan


def convert(
    files: Sequence[str | Path],
    *,
    pipeline: str = "auto",
    device: str = "auto",
    to: Sequence[str] = ("md",),
    output: str | Path | None = None,
    force: bool = False,
    python: str | None = None,
    keep_warm: float = 0,
    options: Options | None = None,
    vram_budget: int | None = None,
) -> JobHandle:
    """Start a Docling conversion in a worker process and return its handle at once.

    `handle.wait()` waits for its end, `handle.run()` is its picture so far, `handle.cancel()` asks it to stop.
    The job goes on when this process ends. `options` come from `cachetop.conversion.options.make`. `vram_budget` is
    how many bytes of VRAM a worker that is kept may hold, by default what the configuration says. Raises ValueError
    with a sentence when it cannot be started, ConfigError for a configuration that cannot be used.
    """
    from cachetop.config import load
    from cachetop.conversion import launch

    if vram_budget is None and keep_warm:
        vram_budget = load(locations.config_file()).vram_budget

    return launch.convert(
        [str(file) for file in files],
        pipeline=pipeline,
        device=device,
        to=tuple(to),
        output=None if output is None else str(output),
        force=force,
        python=python,
        keep_warm=keep_warm,
        options=options,
        gpus=_cards,
        vram_budget=vram_budget,
    )


def _cards() -> list[Card]:
    """The real GPUs that torch could number, with what makes one better than another."""
    from cachetop.conversion.cards import Card
    from cachetop.gpu.sampler import sample_once
    from cachetop.gpu.source import NvmlSource

    found = sample_once(NvmlSource(), 2.0).gpus
    if any(gpu.simulated or gpu.mig or gpu.instances is not None for gpu in found):
        return []  # a GPU in MIG mode is seen by torch as its instances
    return [
        Card(gpu.index, gpu.uuid, gpu.name, gpu.memory.free if gpu.memory else None, gpu.utilization)
        for gpu in found
        if gpu.uuid and not gpu.problem
    ]
