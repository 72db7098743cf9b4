"""One sample of all GPUs out of NVML: each device on its own, so that a lost one does not hide the others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from cachetop.base import units
from cachetop.gpu import asleep
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.nvml import Nvml
from cachetop.gpu.processes import Processes, Who
from cachetop.gpu.reasons import FIELD, NOT_SHOWN, NOT_SUPPORTED, DeviceProblem, NoDriver, Unavailable
from cachetop.gpu.records import Gpu, Gpus, Instance, Memory, Process, Xid
from cachetop.gpu.rest import Rest
from cachetop.gpu.structs import RawProcess
from cachetop.gpu.system_memory import system_memory
from cachetop.gpu.xid import Watch

T = TypeVar("T")
_FIELDS = (
    "memory", "utilization", "temperature", "power", "power_limit", "throttle", "pcie", "processes", "unattributed",
)  # fmt: skip
_OF_THE_WHOLE = ("utilization", "temperature", "power", "power_limit", "throttle", "pcie")
_XIDS = 20


class NvmlSource:
    """The real GPUs. Used by one thread at a time; see `cachetop.gpu.sampler.Source`.

    Without an `attribution` the processes carry no models. `pci` is where the devices' sleep states are read,
    `rest` decides when an idle laptop's driver is let go of. With `xids` the errors that the driver reports by itself
    are watched for, which takes a source that is sampled again and again.
    """

    def __init__(
        self,
        attribution: Attribution | None = None,
        processes: Processes | None = None,
        pci: str = asleep.PCI,
        rest: Rest | None = None,
        xids: bool = False,
    ) -> None:
        self._attribution = attribution
        self._processes = processes or Processes()
        self._pci = pci
        self._nvml = Nvml()
        self._rest = rest or Rest()
        self._watch = Watch(self._nvml) if xids else None
        self._xids: dict[int, tuple[Xid, ...]] = {}
        self._measure = False
        self._last: dict[int, tuple[float, tuple[Gpu, ...]]] = {}
        self._who: dict[int, Who] = {}

    def open(self) -> None:
        """Initialize the driver, unless that would wake every GPU or keep them awake. Raises NoDriver."""
        if asleep.all_asleep(self._pci):
            raise NoDriver("Every NVIDIA GPU is asleep to save power; it is shown again when a program wakes it.")
        self._rest.check()
        self._nvml.open()
        if self._watch is not None:
            self._watch.restart()

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples ask for the throughput of the bus: 40 ms for each GPU. From any thread."""
        self._measure = shown

    def sample(self) -> Gpus:
        """All GPUs as they are now. Raises NoDriver when the driver went away; `open` brings it back."""
        version = self._nvml.driver_version()
        self._who = {}  # a process on eight GPUs is looked up once per sample
        gpus: list[Gpu] = []
        for index, xid in self._watch.drain() if self._watch else ():
            self._xids[index] = (*self._xids.get(index, ()), xid)[-_XIDS:]
        for index in range(self._nvml.count()):
            gpus += self._device(index)
        if self._xids:
            gpus = [
                msgspec.structs.replace(gpu, xids=self._xids.get(gpu.index, ())) if gpu.mig is None else gpu
                for gpu in gpus
            ]
        found = Gpus(
            available=bool(gpus),
            reason=None if gpus else "The NVIDIA driver is there, but it has no GPU.",
            driver=None if isinstance(version, Unavailable) else version,
            gpus=tuple(gpus),
            time=time.time(),
        )
        if self._rest.due(found):
            self._nvml.close()
            raise NoDriver(self._rest.sentence)
        return self._attribution.attach(found) if self._attribution else found

    def _device(self, index: int) -> tuple[Gpu, ...]:
        """The row of a GPU and those of its MIG instances; of one that does not answer, the last ones."""
        try:
            handle = self._nvml.handle(index)
            if self._watch is not None:
                self._watch.add(index, handle)
            rows = self._rows(index, handle)
        except DeviceProblem as problem:
            said = f"GPU {index} does not answer: {problem}."
            if index not in self._last:
                missing = dict.fromkeys((*_FIELDS, "uuid", "sm"), "the GPU does not answer")
                return (_row(index, f"GPU {index}", unavailable=missing, problem=said),)
            moment, last = self._last[index]
            said = f"{said} Its values are of {units.clock(moment)}."
            return tuple(msgspec.structs.replace(gpu, problem=said) for gpu in last)
        self._last[index] = (time.time(), rows)
        return rows

    def _rows(self, index: int, handle: Any) -> tuple[Gpu, ...]:
        slots = self._nvml.mig_slots(handle)
        if slots is None:
            return (self._read(index, handle),)
        sm = self._nvml.sm(handle)
        rows = []
        for slot in range(slots):
            child = self._nvml.instance(handle, slot)
            if child is not None:
                rows.append(self._instance(index, slot, child, None if isinstance(sm, Unavailable) else sm))
        return (self._read(index, handle, tuple(rows)), *rows)

    def _read(self, index: int, handle: Any, instances: Sequence[Gpu] | None = None) -> Gpu:
        """One whole GPU; `instances` are its MIG rows, None when it is not in MIG mode."""
        nvml, missing = self._nvml, dict[str, str]()
        memory = _value(missing, "memory", nvml.memory(handle))
        shared = None
        if missing.get("memory") == FIELD[NOT_SUPPORTED]:
            shared = system_memory()
            missing["memory"] = "this GPU has no memory of its own: it shares the system's RAM" + (
                f", {units.memory(shared.free)} of {units.memory(shared.total)} available" if shared else ""
            )
        processes = self._processes_of(handle, memory or shared, missing, instances or ())
        unattributed = _value(missing, "unattributed", _other(memory, processes, instances or ()))
        utilization = nvml.utilization(handle)
        if instances is not None and isinstance(utilization, Unavailable):
            utilization = Unavailable("the driver does not report it in MIG mode")
        pcie = nvml.pcie(handle) if self._measure else Unavailable(NOT_SHOWN)
        return _row(
            index,
            _value(missing, "name", nvml.name(handle)) or f"GPU {index}",
            uuid=_value(missing, "uuid", nvml.uuid(handle)),
            sm=_value(missing, "sm", nvml.sm(handle)),
            memory=memory,
            utilization=_value(missing, "utilization", utilization),
            temperature=_value(missing, "temperature", nvml.temperature(handle)),
            power=_value(missing, "power", nvml.power(handle)),
            power_limit=_value(missing, "power_limit", nvml.power_limit(handle)),
            throttle=_value(missing, "throttle", nvml.throttle(handle)),
            pcie=_value(missing, "pcie", pcie),
            processes=processes or (),
            unattributed=unattributed,
            shared=shared,
            unavailable=missing,
            instances=None if instances is None else len(instances),
        )

    def _instance(self, index: int, slot: int, handle: Any, sm: str | None) -> Gpu:
        """One MIG instance of the GPU `index`. The driver reports clocks, power and load for the whole GPU alone."""
        nvml = self._nvml
        missing = dict.fromkeys(_OF_THE_WHOLE, f"the driver reports it for the whole GPU {index} only")
        gpu_instance, compute_instance = nvml.instance_ids(handle)
        memory = _value(missing, "memory", nvml.memory(handle))
        processes = self._processes_of(handle, memory, missing)
        mig = Instance(index=slot, gpu_instance=gpu_instance, compute_instance=compute_instance)
        return _row(
            index,
            _value(missing, "name", nvml.name(handle)) or f"GPU {index} MIG {slot}",
            uuid=_value(missing, "uuid", nvml.uuid(handle)),
            sm=sm,
            memory=memory,
            processes=processes or (),
            unattributed=_value(missing, "unattributed", _other(memory, processes)),
            unavailable=missing,
            mig=mig,
        )

    def _processes_of(
        self, handle: Any, ceiling: Memory | None, missing: dict[str, str], instances: Sequence[Gpu] = ()
    ) -> tuple[Process, ...] | None:
        """The processes of a GPU or instance without those that stand on the rows of `instances`; None if unknown."""
        raw = _value(missing, "processes", self._nvml.processes(handle, ceiling.total if ceiling else None))
        if raw is None:
            return None
        # an instance whose own list could not be read shows its processes on the GPU's row instead
        listed = {row.mig.gpu_instance for row in instances if row.mig and "processes" not in row.unavailable}
        return self._describe(one for one in raw if one.instance is None or one.instance[0] not in listed)

    def _describe(self, raw: Iterable[RawProcess]) -> tuple[Process, ...]:
        """One row per pid; the parts of a process in several MIG instances are added up."""
        memory: dict[int, int | None] = {}
        for one in raw:
            before = memory.get(one.pid, 0)
            memory[one.pid] = None if before is None or one.memory is None else before + one.memory
        rows = []
        for pid, held in memory.items():
            who = self._who.get(pid) or self._who.setdefault(pid, self._processes.describe(pid))
            row = Process(
                pid=pid, user=who.user, command=who.command, memory=held, inspectable=who.inspectable, note=who.note,
                started=who.started, ticks=who.ticks, container=who.container, host_pid=who.host_pid,
            )  # fmt: skip
            rows.append(row)
        return tuple(sorted(rows, key=lambda row: (-(row.memory or 0), row.pid)))


def _row(index: int, name: str, **fields: Any) -> Gpu:
    """A row with None for everything that `fields` does not give."""
    unknown: dict[str, Any] = dict.fromkeys(
        ("uuid", "sm", "memory", "utilization", "temperature", "power", "unattributed")
    )
    return Gpu(index=index, name=name, **{**unknown, "processes": (), **fields})


def _value(missing: dict[str, str], name: str, found: T | Unavailable) -> T | None:
    """The value, or None with its reason noted in `missing`."""
    if isinstance(found, Unavailable):
        missing[name] = found.reason
        return None
    return found


def _other(
    memory: Memory | None, processes: tuple[Process, ...] | None, instances: Sequence[Gpu] = ()
) -> int | Unavailable:
    """Used memory that no listed process or instance accounts for, in bytes: other namespaces, the driver itself."""
    if memory is None:
        return Unavailable("the GPU's own memory is unknown")
    if processes is None:
        return Unavailable("the processes on the GPU are unknown")
    silent = sum(process.memory is None for process in processes)
    if silent:
        return Unavailable(f"the driver does not say how much memory {silent} of the processes hold")
    slices = [row.memory.used for row in instances if row.memory]
    if len(slices) < len(instances):
        return Unavailable("the memory of a MIG instance is unknown")
    rest = memory.used - sum(process.memory or 0 for process in processes) - sum(slices)
    return rest if rest >= 0 else Unavailable("the processes add up to more than is in use: they share memory")
