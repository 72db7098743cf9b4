"""What a block of code cost, as frozen records (`cachetop.report/1`).

Sizes and memory in bytes, `seconds` of wall time, compile times in milliseconds. Unknown is None. Each row says
on what evidence it stands, because not all of it can be seen from inside a process.
"""

from __future__ import annotations

from cachetop.base.record import Problem, Record

SCHEMA = "cachetop.report/1"
FILE_EVIDENCE = ("mapped", "opened", "opened-by-someone", "opened-elsewhere")
"""How a read was seen, the strongest first.

`mapped`: this process had the file mapped when it was looked at. `opened`: this process opened it.
`opened-by-someone`: it was opened meanwhile, the system does not tell by whom. `opened-elsewhere`: another
process opened it meanwhile, and this one did not.
"""
KERNEL_EVIDENCE = ("listener", "trace", "appeared")
"""`listener`: Triton in this process said so. `trace`: torch in this process said so. `appeared`: the entry came
into the cache meanwhile, by whichever process."""


class ModelRead(Record, frozen=True):
    """The files of one repo that were opened or mapped, and how much of them was in RAM before.

    `bytes` are the sizes of these files, not what was read of them. `revision` is None where the files belong to
    several revisions. `resident_before` is None where it was not asked or cannot be told for one of the files:
    small ones of a large cache are not asked, nor is any while another block of this process is watched.
    """

    repo: str
    revision: str | None
    files: int
    bytes: int
    resident_before: int | None
    evidence: str
    names: tuple[str, ...] = ()
    resident_after: int | None = None


class Downloaded(Record, frozen=True):
    """A file that appeared in the hub cache meanwhile, by whichever process; `complete` False for a partial one."""

    repo: str
    revision: str | None
    file: str | None
    bytes: int
    complete: bool = True


class KernelUse(Record, frozen=True):
    """A kernel or compiled graph that was made (`hit` False) or taken from a cache on disk."""

    cache: str
    key: str | None
    name: str | None
    sm: tuple[str, ...]
    milliseconds: float | None
    hit: bool
    evidence: str = "appeared"
    part: str | None = None
    """For Inductor what it is: a graph (`fxgraph`), a C++ kernel (`cpp`), a Triton kernel (`triton`)."""


class VramUse(Record, frozen=True):
    """Used memory of one GPU before, at most, and after, by everybody; `own_...`: by this process alone."""

    gpu: int
    before: int | None
    peak: int | None
    after: int | None
    own_before: int | None = None
    own_after: int | None = None


class AllocatorPeak(Record, frozen=True):
    """torch's own allocator on one GPU. The peaks are None where an earlier peak was higher: torch keeps only the
    highest since the program started, and nobody else's statistics are reset here."""

    gpu: int
    allocated: int
    reserved: int
    allocated_peak: int | None
    reserved_peak: int | None


class TorchCompile(Record, frozen=True):
    """What torch.compile counted. `recompiles` are of frames that had been compiled before.

    `cache_hits` and `cache_misses` are of the graph cache (FxGraphCache), `autograd_hits` of the one above it, which
    holds the graphs with their backward (AOTAutogradCache).
    """

    graphs: int
    cache_hits: int
    cache_misses: int
    cache_bypassed: int
    graph_breaks: int
    recompiles: int
    autograd_hits: int = 0
    reasons: tuple[str, ...] = ()
    """Why there were graph breaks and recompiles, the first of each, on one line."""
    seconds: float | None = None


class Report(Record, frozen=True):
    """What a block of code read, downloaded, compiled and left in VRAM."""

    schema: str = SCHEMA
    seconds: float = 0.0
    models: tuple[ModelRead, ...] = ()
    downloads: tuple[Downloaded, ...] = ()
    kernels: tuple[KernelUse, ...] = ()
    vram: tuple[VramUse, ...] = ()
    problems: tuple[Problem, ...] = ()
    vram_reason: str | None = None
    """Why `vram` is empty."""
    allocator: tuple[AllocatorPeak, ...] = ()
    torch: TorchCompile | None = None
    """None where torch compiled nothing in this process, or is not imported."""
    evidence: dict[str, str] = {}
    """For each part how it was watched: what it can see, and what it cannot."""
    overhead_seconds: float = 0.0
    """What the watching itself took before and after the block; not part of `seconds`."""
    only: tuple[str, ...] = ()
    """The parts that were watched, none meaning all: models, kernels, vram."""
