"""The public functions of `import cachetop`: each looks afresh and returns frozen objects; `--json` encodes these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    """The Hugging Face cache: repos, revisions, refs, files, partial downloads. Sizes in bytes, times since the epoch.

    `size` counts st_size of each inode once, as huggingface_hub's `size_on_disk` does; `size_on_disk` its blocks.
    `detail` adds the second pass: completeness, residency in RAM, the expected size of partials, and the
    places beside the hub cache.
    Never raises for what is on disk: a folder that cannot be read is a root with a `problem`, a configuration that
    cannot be used one of `problems`.
    """
    import msgspec

    from cachetop.hub import beside
    from cachetop.hub.detail import with_detail
    from cachetop.hub.roots import roots, trouble
    from cachetop.hub.scan import Scanner

    scanner = Scanner(roots())
    graph = scanner.scan()
    graph = msgspec.structs.replace(graph, problems=graph.problems + trouble())
    if not detail:
        return graph
    return msgspec.structs.replace(with_detail(graph, scanner), beside=beside.look())


def kernels(*, detail: bool = False, sms: Sequence[str] | None = None) -> Kernels:
    """The kernel caches: entries with name, SM, size on disk in bytes, state, and the time they were made.

    `detail` adds the second pass: producer, last use, build time, and the stale rules. `sms` are the SMs this
    machine has (`("sm_90",)`); without them nothing is called foreign. Never raises for what is on disk: a folder
    that cannot be read is a cache with a `problem`. Raises ValueError for what is no SM.
    """
    from cachetop.kernelcache.detail import with_detail
    from cachetop.kernelcache.scan import Scanner

    scanner = Scanner(locations.kernel_roots())
    graph = scanner.scan()
    return with_detail(graph, scanner, _several(sms)) if detail else graph


def gpus(*, timeout: float = 5.0, pcie: bool = False) -> Gpus:
    """The GPUs, their memory in bytes, processes and the models these hold, with the evidence for each.

    `available` is False, with a `reason`, where there is no GPU or driver; a field that the driver does not tell is
    None. A driver that hangs is given `timeout` seconds. `pcie` also measures the throughput of the bus, in bytes a
    second, which takes 40 ms for each GPU.
    """
    from cachetop.gpu.attribution import Attribution
    from cachetop.gpu.sampler import sample_once
    from cachetop.gpu.source import NvmlSource

    source = NvmlSource()
    source.measure_pcie(pcie)
    sample = sample_once(source, timeout)
    if not any(gpu.processes for gpu in sample.gpus):
        return sample
    from cachetop.hub.roots import roots
    from cachetop.hub.scan import Scanner

    scanner = Scanner(roots())
    scanner.scan()
    attribution = Attribution(scanner.inodes)
    if any(_WORKER in (process.command or "") for gpu in sample.gpus for process in gpu.processes):
        from cachetop.inventory.reports import tell_now

        tell_now(attribution)
    return attribution.attach(sample)


def jobs() -> Jobs:
    """All conversion jobs, newest first, and the resident workers. Times since the epoch, durations in seconds."""
    from cachetop.conversion.folder import Listing
    from cachetop.conversion.records import Jobs
    from cachetop.conversion.workers import workers

    return Jobs(jobs=Listing().jobs(), workers=workers())


def status(*, gpus_now: Gpus | None = None) -> Status:
    """One snapshot of models, kernels, GPUs and running jobs, with what needs attention. Sizes and memory in bytes.

    `gpus_now` is a sample of the GPUs that somebody has at hand; without one the driver is asked.
    """
    from cachetop.summary import summarize

    sample = gpus() if gpus_now is None else gpus_now
    here = tuple(sorted({gpu.sm for gpu in sample.gpus if gpu.sm})) or None
    return summarize(models(detail=True), kernels(detail=True, sms=here), sample, jobs())


def plan(
    what: str,
    *names: str,
    stale: bool = False,
    sm: str | None = None,
    assume_sm: str | Sequence[str] = (),
    cache: str | None = None,
    ir_only: bool = False,
    detached: bool = False,
    superseded: bool = False,
    older_than: str | float | None = None,
    incomplete: bool = False,
    max_size: str | int | None = None,
    filters: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002  the command line's own word
    sms: str | Sequence[str] | None = None,
    keep: str | Sequence[str] | None = None,
    force: bool = False,
) -> Plan:
    """What pruning would delete, free and cost to have again; nothing is touched. `frees` is in bytes on disk.

    `what` is "kernels" or "models"; `names` are keys of kernel entries, or `REPO[@REVISION]`. The selectors are those
    of the command line and join with AND; stale, sm, assume_sm, cache and ir_only are for kernels, detached and
    superseded for models. `older_than` is "30d" or seconds, `max_size` "20G" or bytes. `sms` are the SMs
    of this machine, by default those of its GPUs: without any nothing is foreign. What a glob of `keep` names stays,
    by default of the keep list in the configuration. `force` lifts the block on what is only in use.

    Raises ValueError with a sentence for a selector that makes no sense, or when there is none, and ConfigError for
    a configuration that cannot be used.
    """
    from cachetop.config import load
    from cachetop.gpu.present import sms as present
    from cachetop.prune.plan import plan as draft
    from cachetop.prune.selection import selection

    chosen = selection(
        what, names=names, stale=stale, sm=sm, assume_sm=assume_sm, cache=cache, ir_only=ir_only, detached=detached,
        superseded=superseded, older_than=older_than, incomplete=incomplete, max_size=max_size, filters=filters,
        all=all,
    )  # fmt: skip
    if keep is None:
        keep = load(locations.config_file()).keep
    if sms is None and what == "kernels":
        sms = present()
    return draft([chosen], keep=_several(keep) or (), force=force, sms=_several(sms)).plan


def convert(
    files: str | Path | Sequence[str | Path],
    *,
    pipeline: str = "auto",
    device: str = "auto",
    to: str | Sequence[str] = ("md",),
    output: str | Path | None = None,
    force: bool = False,
    python: str | None = None,
    keep_warm: float = 0,
    options: Options | None = None,
    vram_budget: int | None = None,
) -> JobHandle:
    """Start a Docling conversion of one or several files in a worker process and return its handle at once.

    `pipeline` is auto, standard, vlm, native or offline; `device` auto, cpu, cuda or cuda:N; `to` some of md, json,
    html, text, doctags. Outputs go into the folder `output`, else into the job's own; an existing file is not
    overwritten without `force`. `python` is the interpreter that has docling. With `keep_warm` the worker stays that
    many seconds after its last job, its models loaded; `vram_budget` is how many bytes of VRAM it may then hold, by
    default what the configuration says. `options` come from `cachetop.conversion.options.make`.

    `handle.wait()` waits for its end, `handle.run()` is its picture so far, `handle.cancel()` asks it to stop. The job
    goes on when this process ends. Raises ValueError with a sentence when it cannot be started, ConfigError for a
    configuration that cannot be used. A file that is missing is an error of the job, not of this call.
    """
    from cachetop.config import load
    from cachetop.conversion import launch

    if vram_budget is None and keep_warm:
        vram_budget = load(locations.config_file()).vram_budget

    return launch.convert(
        [files] if isinstance(files, str | Path) else files,
        pipeline=pipeline,
        device=device,
        to=(to,) if isinstance(to, str) else tuple(to),
        output=None if output is None else str(output),
        force=force,
        python=python,
        keep_warm=keep_warm,
        options=options,
        gpus=_cards,
        vram_budget=vram_budget,
    )


def _several(given: str | Sequence[str] | None) -> Sequence[str] | None:
    """One text is one, not its letters."""
    return (given,) if isinstance(given, str) else given


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
