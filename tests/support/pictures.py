"""Sample snapshots for the app: two GPUs, a dozen repos, four kernel caches, on one fixed clock. And a fake feed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cachetop.base.disks import Disk
from cachetop.conversion.records import Jobs, Run
from cachetop.gpu.records import Gpu, Gpus, HeldModel, Memory, Pcie, Process
from cachetop.hub.choose import resident
from cachetop.hub.records import File, Models, Partial, Repo, Revision, Root
from cachetop.inventory.updates import (
    GpusChanged,
    KernelsChanged,
    Listener,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)
from cachetop.kernelcache.records import Cache, Entry, Kernels, Producer, Stale

NOW = 1_795_442_560.0
HUB = "/home/ana/.cache/huggingface/hub"
DAY = 86400.0
MIB, GIB = 2**20, 2**30


def commit(name: str) -> str:
    """A commit hash that belongs to `name`."""
    return hashlib.sha1(name.encode()).hexdigest()


def file(name: str, size: int, warm: float | None = 0.0) -> File:
    """One file, `warm` of which (0 to 1) is in RAM; None: not measured."""
    blob = hashlib.sha256(f"{name}{size}".encode()).hexdigest()
    return File(name=name, size=size, size_on_disk=size, blob=blob, resident=None if warm is None else int(size * warm))


def revision(seed: str, files: tuple[File, ...], refs: tuple[str, ...] = ("main",), **more: Any) -> Revision:
    """One revision, complete unless told otherwise."""
    size = sum(one.size for one in files)
    fields: dict[str, Any] = {
        "commit": commit(seed), "refs": refs, "size": size, "size_on_disk": size, "reclaimable": size,
        "detached": not refs, "complete": True, "files": files,
    }  # fmt: skip
    return Revision(**{**fields, **more})


def repo(
    name: str, revisions: tuple[Revision, ...], used: float | None = 0.0, kind: str = "model", **more: Any
) -> Repo:
    """One repo, last used `used` seconds before NOW."""
    blobs = {one.blob: one.size for rev in revisions for one in rev.files}
    size = sum(blobs.values())
    fields: dict[str, Any] = {
        "id": name, "type": kind, "root": HUB, "size": size, "size_on_disk": size, "reclaimable": size,
        "last_used": None if used is None else NOW - used, "last_modified": NOW - 30 * DAY, "problems": (),
        "revisions": revisions, "partials": (),
    }  # fmt: skip
    fields["downloading"] = any(one.live for one in more.get("partials", ()))
    return Repo(**{**fields, **more})


def plain(name: str, size: float, warm: float | None, used: float, kind: str = "model") -> Repo:
    """A repo with one file in one revision."""
    return repo(name, (revision(name, (file("model.safetensors", int(size), warm),)),), used, kind)


def models(*extra: Repo) -> Models:
    """A hub cache with something of every kind in it."""
    tables = (
        file("tableformer_accurate.safetensors", 212_800_000, 1.0),
        file("tableformer_fast.safetensors", 145_200_000),
    )
    old = revision("llama-old", (file("old.safetensors", 16_100_000_000),), ())
    download = Partial(
        file="consolidated.safetensors", blob="ab" * 32, bytes=12_300_000_000, expected=48_100_000_000, pid=40112,
        live=True,
    )  # fmt: skip
    dead = Partial(file=None, blob="cd" * 32, bytes=2_210_000_000, expected=None, pid=None, live=False)
    repos = (
        plain("docling-project/docling-layout-heron", 171_700_000, 1.0, 2),
        repo("docling-project/docling-models", (revision("tables", tables, ("main", "v2.3.0")),), 3),
        plain("Qwen/Qwen2.5-VL-7B-Instruct", 16.6e9, 0.31, 380),
        repo("mistralai/Mistral-Small-3.2-24B-Instruct-2506", (), 1, partials=(download,)),
        repo(
            "meta-llama/Llama-3.1-8B-Instruct",
            (revision("llama", (file("model.safetensors", 16_000_000_000),)), old),
            93 * DAY,
        ),
        plain("HuggingFaceFW/fineweb-edu", 28.4e9, 0.0, 58 * DAY, "dataset"),
        plain("BAAI/bge-m3", 4.57e9, 0.02, 12 * DAY),
        repo("google/gemma-3-12b-it", (), None, partials=(dead,)),
        plain("openai/whisper-large-v3-turbo", 1.62e9, 0.0, 41 * DAY),
        plain("kernels-community/flash-attn3", 1.06e9, 0.04, 400, "kernel"),
        plain("ibm-granite/granite-docling-258M", 529e6, 0.0, 3 * DAY),
        plain("HuggingFaceTB/SmolVLM-256M-Instruct", 513e6, None, 26 * DAY),
        plain("sentence-transformers/all-MiniLM-L6-v2", 91e6, 0.02, 5 * DAY),
        *extra,
    )
    size = sum(one.size for one in repos)
    root = Root(path=HUB, reason="default: no variable set")
    types: dict[str, int] = {}
    for one in repos:
        types[one.type] = types.get(one.type, 0) + one.size
    warm = sum(part[0] for one in repos if (part := resident(one)))
    return Models(roots=(root,), size=size, size_on_disk=size, repos=repos, size_by_type=types, resident=warm)


def entry(cache: str, name: str, sm: str, size: float = 40e3, age: float = 2 * DAY, **more: Any) -> Entry:
    """One kernel entry, created `age` seconds before NOW."""
    key = hashlib.sha256(f"{cache}{name}{sm}".encode()).hexdigest()[:32]
    fields: dict[str, Any] = {
        "cache": cache, "kind": cache.partition(":")[0], "key": key, "path": f"/cache/{cache}/{key}", "name": name,
        "sm": (sm,) if sm else (), "size_on_disk": int(size), "files": 7, "created": NOW - age,
        "last_used": NOW - age, "state": "complete", "producer": Producer(triton="3.8.0"),
        "build_milliseconds": 68.0 + len(name),
    }  # fmt: skip
    return Entry(**{**fields, **more})


def stale(rule: str, evidence: str = "") -> tuple[Stale, ...]:
    """One verdict."""
    return (Stale(rule=rule, evidence=evidence or rule),)


def kernels(*extra: Entry) -> Kernels:
    """Four caches, three SMs, one entry being built, some stale."""
    entries = (
        entry(
            "inductor", "triton_red_fused_native_layer_norm_3", "sm_90", 18.2e3, 3, state="compiling", stage="llir",
            build_milliseconds=None,
        ),
        entry("inductor", "triton_poi_fused_add_relu_threshold_backward_7", "sm_90", 41.2e3, 5),
        *(entry("inductor", f"triton_per_fused__softmax_{i}", "sm_90", 38.6e3, 400 + i) for i in range(12)),
        entry("triton", "matmul_kernel", "sm_90", 91e3, 7000),
        entry("triton", "add_kernel", "sm_75", 36.4e3, 7200),
        entry("triton", "softmax_kernel", "sm_75", 44e3, 41 * DAY, stale=stale("toolchain-gone")),
        entry("triton", "add_kernel", "sm_86", 36.9e3, 64 * DAY, stale=stale("foreign-sm")),
        entry("triton", "matmul_kernel", "sm_86", 71e3, 64 * DAY, stale=stale("orphan"), state="orphan",
              build_milliseconds=None),
        entry("nvrtc", "elementwise_kernel", "sm_90", 14.2e3, 9 * DAY, build_milliseconds=None),
        *extra,
    )  # fmt: skip
    places = {
        "inductor": ("/tmp/torchinductor_ana", "tmpfs", 1_580_000_000),
        "triton": ("/home/ana/.triton/cache", "ext4", 318_000_000),
        "nvrtc": ("/home/ana/.cache/torch/kernels", "ext4", 14_200),
        "cuda-driver": ("/home/ana/.nv/ComputeCache", "ext4", 38_000_000),
    }
    caches = tuple(
        Cache(
            id=kind, kind=kind, path=path, reason="default: no variable set", exists=True, size_on_disk=size,
            filesystem=system,
        )
        for kind, (path, system, size) in places.items()
    )  # fmt: skip
    return Kernels(caches=caches, entries=entries, size_on_disk=sum(cache.size_on_disk for cache in caches))


def held(name: str, mib: float, evidence: str = "reported", age: float = 1) -> HeldModel:
    """A model in VRAM, last seen `age` seconds before NOW."""
    return HeldModel(repo=name, revision=None, bytes=int(mib * MIB), evidence=evidence, seen=NOW - age)


def gpus(busy: int = 61, moment: float = NOW, **more: Any) -> Gpus:
    """Two GPUs with five processes."""
    small = Gpu(
        index=0, uuid="GPU-0", name="NVIDIA GeForce GTX 1650", sm="sm_75", utilization=4, temperature=41, power=11.2,
        memory=Memory(total=4 * GIB, used=644 * MIB, free=4 * GIB - 644 * MIB, reserved=0),
        processes=(
            Process(pid=2210, user="root", command="/usr/lib/xorg/Xorg", memory=317 * MIB),
            Process(pid=39120, user="li", command="python3", memory=276 * MIB, inspectable=False,
                    note="not inspectable: other user"),
        ),
        unattributed=51 * MIB, pcie=Pcie(rx=2 * MIB, tx=MIB),
    )  # fmt: skip
    used = int(66.4 * GIB)
    parts = (int(62.4 * GIB), int(2.14 * GIB), int(1.31 * GIB))
    large = Gpu(
        index=1, uuid="GPU-1", name="NVIDIA H100 80GB HBM3", sm="sm_90", utilization=busy, temperature=54, power=312.0,
        memory=Memory(total=int(79.6 * GIB), used=used, free=int(13.2 * GIB), reserved=0),
        processes=(
            Process(pid=38804, user="ana", command="vllm serve", memory=parts[0],
                    models=(held("Qwen/Qwen2.5-VL-7B-Instruct", 15872, "seen-loading", 380),)),
            Process(pid=41877, user="ana", command="docling, run 15", memory=parts[1],
                    models=(held("docling-project/docling-layout-heron", 164),
                            held("docling-project/docling-models", 203))),
            Process(pid=40551, user="ana", command="jupyter kernel", memory=parts[2]),
        ),
        unattributed=used - sum(parts), pcie=Pcie(rx=1800 * MIB, tx=240 * MIB),
    )  # fmt: skip
    fields: dict[str, Any] = {"available": True, "driver": "580.95", "gpus": (small, large), "time": moment}
    return Gpus(**{**fields, **more})


NO_DRIVER = Gpus(available=False, reason="There is no NVIDIA driver here: libnvidia-ml.so.1 was not found.", time=NOW)


@dataclass
class FakeInventory:
    """Stands in for the live inventory: what it holds is published when it starts, and more by `publish`."""

    models: Models | None = None
    kernels: Kernels | None = None
    gpus: Gpus | None = None
    jobs: Jobs | None = field(default_factory=Jobs)
    runs: tuple[Run, ...] = ()
    watch: WatchChanged | None = field(default_factory=lambda: WatchChanged("inotify", None))
    scans: int = 0
    running: bool = False
    listeners: list[Listener] = field(default_factory=list)

    def disks(self) -> tuple[Disk, ...]:
        """Two file systems: one with a home folder, one in RAM."""
        roots = [root.path for root in self.models.roots] if self.models is not None else []
        roots += [cache.path for cache in self.kernels.caches] if self.kernels is not None else []
        home, memory = ([path for path in roots if path.startswith(part)] for part in ("/home", "/tmp"))
        return (
            Disk("/home", "ext4", 1_800_000_000_000, 342_000_000_000, 1_458_000_000_000, tuple(home)),
            Disk("/tmp", "tmpfs", 33_600_000_000, 30_300_000_000, 3_300_000_000, tuple(memory)),
        )

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Remember a listener."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def start(self) -> None:
        """Tell how changes are noticed."""
        self.running = True
        if self.watch is not None:
            self.publish(self.watch)

    def stop(self) -> None:
        """Note that it was stopped."""
        self.running = False

    def rescan(self) -> None:
        """Count."""
        self.scans += 1

    def publish(self, update: Update) -> None:
        """Hand an update to whoever listens, as the feeds do."""
        match update:
            case ModelsChanged():
                self.models = update.models
            case KernelsChanged():
                self.kernels = update.kernels
            case GpusChanged():
                self.gpus = update.gpus
            case RunsChanged():
                self.jobs, self.runs = update.jobs, update.runs
            case WatchChanged():
                self.watch = update
        for listener in tuple(self.listeners):
            listener(update)


def everything(**more: Any) -> FakeInventory:
    """An inventory that knows all the samples already."""
    fields: dict[str, Any] = {"models": models(), "kernels": kernels(), "gpus": gpus()}
    return FakeInventory(**{**fields, **more})
