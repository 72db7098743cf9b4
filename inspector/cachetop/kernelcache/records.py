"""What the kernel caches hold, as frozen records (`cachetop.kernels/1`).

An entry is one logical unit with all files that belong to it. `size_on_disk` is allocated bytes, each inode
once. Times are epoch seconds. An SM is written `sm_90`, `sm_90a`. Texts that come from a disk are cleaned.

The records hold no cycles, so they are kept out of the garbage collector's sight (`gc=False`): a cache of
100,000 entries would otherwise be walked again and again.
"""

from __future__ import annotations

from cachetop.base.record import Problem, Record

SCHEMA = "cachetop.kernels/1"
NOT_UNDERSTOOD = "contents not understood"
"""The part of an entry whose format is not read."""
STATES = ("complete", "compiling", "orphan", "relocated", "helper", "autotune", "opaque")


class Cache(Record, frozen=True):
    """One cache folder: `id` is its kind, with `:2`, `:3` when a kind has several roots."""

    id: str
    kind: str
    path: str
    reason: str
    exists: bool
    size_on_disk: int
    filesystem: str | None
    problem: str | None = None
    """What could not be read: the folder itself when not `readable`, else something in it."""
    readable: bool = True


class Producer(Record, frozen=True, gc=False):
    """Who made an entry, as far as its files say. `environment` is the prefix of the Python environment, `package`
    another package that made it, with its release: `warp-lang 1.19.0`."""

    triton: str | None = None
    torch: str | None = None
    cuda: str | None = None
    environment: str | None = None
    package: str | None = None


class Stale(Record, frozen=True, gc=False):
    """A rule that says an entry is of no use here any more, and the evidence for it."""

    rule: str
    evidence: str


class Entry(Record, frozen=True, gc=False):
    """One kernel-cache entry. `key` is its own name on disk, `name` the kernel's.

    (`cache`, `path`) identifies it: an Inductor cache can hold one key under two devices. `last_used` is the
    last use of the files on disk that is on record: when it was made where `reused` is False (nobody has read it
    since), None where the file system keeps no access times.
    """

    cache: str
    kind: str
    key: str
    name: str | None
    sm: tuple[str, ...]
    size_on_disk: int
    files: int
    created: float
    last_used: float | None
    state: str
    producer: Producer
    stale: tuple[Stale, ...] = ()
    problems: tuple[Problem, ...] = ()
    stage: str | None = None
    """The newest stage file of an entry in flight: source, ttir, ttgir, llir, ptx, cubin, json."""
    build_milliseconds: float | None = None
    """From the first to the last file of the entry, where those times mean that."""
    path: str = ""
    """Where it is below its cache's folder; for Triton the same as `key`."""
    part: str | None = None
    """What it is within its cache, where a cache holds several sorts: triton, wrapper, fxgraph, cpp, ..."""
    target: str | None = None
    """The SM in the header of its machine code, with the variant: `sm_90a` where `sm` says `sm_90`.
    For code that runs on the CPU (Numba, JAX) the CPU as LLVM names it."""
    reused: bool | None = None
    """Whether it was read from disk after it was made; None where access times do not tell."""


class Kernels(Record, frozen=True):
    """The whole picture: every cache that was looked for, and the entries of those that exist."""

    schema: str = SCHEMA
    caches: tuple[Cache, ...] = ()
    size_on_disk: int = 0
    entries: tuple[Entry, ...] = ()
    scanning: bool = False
    """Whether the first scan is still going on, so that more will come."""
