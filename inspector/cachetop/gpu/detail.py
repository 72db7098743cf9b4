"""One GPU process in depth: which cache roots it uses, which files of the hub cache and which kernels it has mapped."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from cachetop.base.hostile import clean, mask
from cachetop.base.record import Record
from cachetop.gpu import environment, holdings, processes
from cachetop.gpu.history import History
from cachetop.gpu.holdings import Index, Weights
from cachetop.gpu.records import Process
from cachetop.locations import Location

_MAPPED_PATH = re.compile(rb"^\S+ \S+ \S+ \S+ [1-9]\d* +(/.*)$", re.MULTILINE)
_MOST = 2000
_IN_A_CACHE = (
    ("triton", re.compile(r"/\.triton/cache/")),
    ("inductor", re.compile(r"/torchinductor_[^/]+/")),
    ("torch-extensions", re.compile(r"/torch_extensions/")),
    ("flashinfer", re.compile(r"/\.cache/flashinfer/")),
    ("vllm", re.compile(r"/\.cache/vllm/")),
)
_SHIPPED = re.compile(
    r"/(lib(?:cublas(?:Lt)?|cudnn\w*|cufft|cusparse(?:Lt)?|cusolver|curand|nccl|nvrtc|nvjitlink|torch_cuda\w*|"
    r"onnxruntime_providers_(?:cuda|tensorrt)|nvinfer\w*|bitsandbytes_cuda\w*)\.so[\w.]*|"
    r"(?:flash_attn\w*|_vllm_fa\w*|causal_conv1d_cuda|selective_scan_cuda|xformers\w*|_C)(?:\.[\w-]+)*\.so)$"
)


class MappedFile(Record, frozen=True):
    """A file of the hub cache that the process has mapped or open now. `revision` None: no revision names it."""

    repo: str
    revision: str | None
    file: str | None
    """None for a blob that no revision names: usually a download that is running."""
    size: int
    how: str
    """mapped or open."""


class KernelLibrary(Record, frozen=True):
    """A shared library with GPU kernels that the process has mapped."""

    path: str
    cache: str | None
    """The kind of kernel cache it lies in; None: it was installed with a package that ships its kernels."""


class ProcessDetail(Record, frozen=True, kw_only=True):
    """One GPU process in depth."""

    process: Process
    environment: dict[str, str]
    """Cache variables it was started with, in a fixed order; others are never read out."""
    files: tuple[MappedFile, ...]
    libraries: tuple[KernelLibrary, ...]
    memory: tuple[tuple[float, int], ...]
    """(epoch seconds, bytes of VRAM) where it changed, oldest first."""
    first_seen: tuple[tuple[float, str, str], ...]
    """(epoch seconds, repo, evidence) when each of its models was first seen, oldest first."""
    time: float
    problem: str | None = None
    """Why nothing more is known: other user, gone, a pid of the host."""


def inspect(
    process: Process, index: Index, history: History | None = None, roots: Sequence[Location] = ()
) -> ProcessDetail:
    """What /proc tells of a process that a GPU sample lists. Reads files, so not for an event loop. Never raises.

    `index` is that of the hub cache (`holdings.Index`), `roots` are the known kernel caches.
    """
    pid, ticks = process.pid, process.ticks
    memory = history.memory(pid, ticks) if history else ()
    first_seen = history.models(pid, ticks) if history else ()

    def nothing(problem: str) -> ProcessDetail:
        return ProcessDetail(
            process=process, environment={}, files=(), libraries=(), memory=memory, first_seen=first_seen,
            time=time.time(), problem=problem,
        )  # fmt: skip

    if process.host_pid:
        return nothing("The driver names a pid of the host here: inside this container nothing is known of it.")
    if ticks is None or processes.start_ticks(pid) != ticks:
        return nothing("The process has ended." if ticks is not None else "This process cannot be looked up here.")
    variables = environment.cache_variables(pid)
    maps = processes.read_maps(pid)
    if maps is None:
        return nothing("It belongs to another user or protects itself: its owner or root sees what it has mapped.")
    weights = Weights(index)
    files = tuple(_files(pid, maps, weights))
    libraries = tuple(_libraries(maps, roots))
    if processes.start_ticks(pid) != ticks:
        return nothing("The process has ended.")
    return ProcessDetail(
        process=process, environment=variables or {}, files=files, libraries=libraries, memory=memory,
        first_seen=first_seen, time=time.time(),
    )  # fmt: skip


def _files(pid: int, maps: bytes, weights: Weights) -> Iterator[MappedFile]:
    how = dict.fromkeys(holdings.opened(pid), "open") | dict.fromkeys(holdings.mapped(maps, weights), "mapped")
    found = {
        MappedFile(repo=repo, revision=revision, file=file, size=size, how=kind)
        for inode, kind in how.items()
        for repo, revision, file, size in map(holdings.plain, weights.index.get(inode, ()))
    }
    yield from sorted(found, key=lambda one: (one.repo, one.file or "", one.revision or ""))[:_MOST]


def _libraries(maps: bytes, roots: Sequence[Location]) -> Iterator[KernelLibrary]:
    paths = {clean(found[1].removesuffix(b" (deleted)")) for found in _MAPPED_PATH.finditer(maps)}
    listed = []
    for path in paths:
        if path.endswith(".so") or ".so." in path:
            cache = _cache_of(path, roots)
            if cache or _SHIPPED.search(path):
                listed.append(KernelLibrary(path=mask(path), cache=cache))
    yield from sorted(listed, key=lambda one: (one.cache is None, one.cache or "", one.path))[:_MOST]


def _cache_of(path: str, roots: Sequence[Location]) -> str | None:
    for root in roots:
        if path.startswith(root.path.rstrip("/") + "/"):
            return root.kind
    return next((kind for kind, pattern in _IN_A_CACHE if pattern.search(path)), None)
