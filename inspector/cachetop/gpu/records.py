"""What the GPUs report, as frozen records (`cachetop.gpus/1`).

Memory in bytes, utilization in %, temperature in C, power in W. `memory.used` is NVML v2's: without
`reserved`. A value that could not be read is None and its reason stands in `unavailable` under its name.
"""

from __future__ import annotations

from cachetop.base.record import Record

SCHEMA = "cachetop.gpus/1"
EVIDENCE = ("reported", "mapped", "seen-loading", "command-line")


class Memory(Record, frozen=True):
    """Device memory in bytes."""

    total: int
    used: int
    free: int
    reserved: int | None


class HeldModel(Record, frozen=True):
    """A model that a process holds, on which evidence, and when that was last seen (epoch seconds)."""

    repo: str
    revision: str | None
    bytes: int | None
    evidence: str
    seen: float


class Allocator(Record, frozen=True):
    """What a worker's torch allocator says of its own memory on this GPU, in bytes, and when (epoch seconds)."""

    allocated: int
    """In tensors now."""
    reserved: int
    """Taken from the driver: the tensors and what is kept for the next ones."""
    seen: float
    weights: int | None = None
    """Of `allocated`: what loading its models added, None where that was not seen; the rest are activations."""


class Instance(Record, frozen=True):
    """Which slice of a GPU in MIG mode a row stands for, by the driver's numbers."""

    index: int
    gpu_instance: int | None
    compute_instance: int | None


class Process(Record, frozen=True):
    """One process on one GPU. `memory` is its bytes there, None where the driver does not say."""

    pid: int
    user: str | None
    command: str | None
    memory: int | None
    models: tuple[HeldModel, ...] = ()
    inspectable: bool = True
    """False: its maps could not be read, so `models` may be short of what it holds."""
    note: str | None = None
    started: float | None = None
    """When the process started, epoch seconds."""
    ticks: int | None = None
    """The same in clock ticks since boot: with the pid it names a process for good."""
    container: str | None = None
    """First 12 characters of its container's id, or its Slurm job."""
    host_pid: bool = False
    """The pid is of the host, seen from inside a container: it means nothing here and is never signalled."""
    allocator: Allocator | None = None
    """Only for cachetop's own workers, which report it."""
    context: int | None = None
    """With `allocator`: the rest of `memory`, which is the CUDA context, its kernels and libraries' workspaces."""


class Pcie(Record, frozen=True):
    """What goes over the bus now, in bytes/s, as the driver measured it over 20 ms."""

    rx: int
    """To the GPU."""
    tx: int
    """From the GPU."""


class Xid(Record, frozen=True):
    """An error that the driver reported of a GPU: when (epoch seconds), its number, what it means, what to do."""

    time: float
    code: int
    message: str
    fix: str
    gpu_instance: int | None = None
    """In MIG mode the GPU instance it is about, None for the whole GPU."""


class Gpu(Record, frozen=True):
    """One GPU, or one MIG instance of it: those follow the row of their GPU and carry its `index`.

    `unattributed` is used memory minus that of all listed processes and MIG instances.
    """

    index: int
    uuid: str | None
    name: str
    sm: str | None
    memory: Memory | None
    utilization: int | None
    temperature: int | None
    power: float | None
    processes: tuple[Process, ...]
    unattributed: int | None
    unavailable: dict[str, str] = {}
    """Field name -> why it has no value."""
    problem: str | None = None
    """Why the whole device does not answer (lost, needs a reset), with its last values kept above."""
    simulated: bool = False
    power_limit: float | None = None
    """The power limit in force, in W."""
    shared: Memory | None = None
    """System RAM, where the GPU has no memory of its own: `used` is what all programs use of it."""
    throttle: tuple[str, ...] | None = None
    """Why the clocks are held down: power-cap, thermal, hardware-slowdown, ...; empty when they are not."""
    peak: int | None = None
    """The most that was in use since sampling began, in bytes; without memory of its own, by its processes."""
    mig: Instance | None = None
    """Set on the row of a MIG instance. Sums over GPUs leave these rows out: their memory is their GPU's."""
    instances: int | None = None
    """On a GPU in MIG mode, how many instances it has; None when it is not in that mode."""

    pcie: Pcie | None = None
    """Read only while it is shown: asking takes the driver 40 ms."""
    xids: tuple[Xid, ...] = ()
    """Errors that the driver reported since sampling began, oldest first; the newest 20."""

    @property
    def in_use(self) -> int | None:
        """Bytes in use on it; without memory of its own, what its processes hold of the RAM. None when unknown."""
        if self.memory is not None:
            return self.memory.used
        held = [process.memory for process in self.processes]
        if self.shared is None or None in held or "processes" in self.unavailable:
            return None
        return sum(one for one in held if one is not None)

    @property
    def key(self) -> str:
        """What tells this row from all others while the machine runs."""
        return self.uuid or self.label

    @property
    def label(self) -> str:
        """`GPU 0`, or `GPU 0 MIG 3` for an instance."""
        return f"GPU {self.index}" + (f" MIG {self.mig.index}" if self.mig else "")


class Gpus(Record, frozen=True):
    """One sample of all GPUs. `waiting` is for how many seconds the driver has not answered."""

    schema: str = SCHEMA
    available: bool = False
    reason: str | None = None
    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()
    time: float = 0.0
    waiting: float | None = None
