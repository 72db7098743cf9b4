"""One sample of all GPUs out of NVML: each device on its own, so that a lost one does not hide the others."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from cachetop.base import units
from cachetop.base.files import read_bounded
from cachetop.gpu import asleep
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.nvml import Nvml
from cachetop.gpu.processes import Processes
from cachetop.gpu.reasons import FIELD, NOT_SUPPORTED, DeviceProblem, NoDriver, Unavailable
from cachetop.gpu.records import Gpu, Gpus, Memory, Process
from cachetop.gpu.structs import RawProcess

T = TypeVar("T")


class NvmlSource:
    """The real GPUs. Used by one thread at a time; see `cachetop.gpu.sampler.Source`.

    Without an `attribution` the processes carry no models. `pci` is where the devices' sleep states are read.
    """

    def __init__(
        self, attribution: Attribution | None = None, processes: Processes | None = None, pci: str = asleep.PCI
    ) -> None:
        self._attribution = attribution
        self._processes = processes or Processes()
        self._pci = pci
        self._nvml = Nvml()
        self._last: dict[int, tuple[float, Gpu]] = {}

    def open(self) -> None:
        """Initialize the driver, unless that would wake every GPU. Raises NoDriver."""
        if asleep.all_asleep(self._pci):
            raise NoDriver("Every NVIDIA GPU is asleep to save power; it is shown again when a program wakes it.")
        self._nvml.open()

    def sample(self) -> Gpus:
        """All GPUs as they are now. Raises NoDriver when the driver went away; `open` brings it back."""
        version = self._nvml.driver_version()
        gpus = tuple(self._device(index) for index in range(self._nvml.count()))
        now = time.time()
        self._last.update((gpu.index, (now, gpu)) for gpu in gpus if gpu.problem is None)
        found = Gpus(
            available=bool(gpus),
            reason=None if gpus else "The NVIDIA driver is there, but it has no GPU.",
            driver=None if isinstance(version, Unavailable) else version,
            gpus=gpus,
            time=now,
        )
        return self._attribution.attach(found) if self._attribution else found

    def _device(self, index: int) -> Gpu:
        try:
            return self._read(index, self._nvml.handle(index))
        except DeviceProblem as problem:
            said = f"GPU {index} does not answer: {problem}."
            if index in self._last:
                moment, last = self._last[index]
                return msgspec.structs.replace(last, problem=f"{said} Its values are of {units.clock(moment)}.")
            return Gpu(
                index=index, uuid=None, name=f"GPU {index}", sm=None, memory=None, utilization=None, temperature=None,
                power=None, processes=(), unattributed=None, problem=said,
            )  # fmt: skip

    def _read(self, index: int, handle: Any) -> Gpu:
        nvml, missing = self._nvml, {}

        def value(name: str, found: T | Unavailable) -> T | None:
            if isinstance(found, Unavailable):
                missing[name] = found.reason
                return None
            return found

        memory = value("memory", nvml.memory(handle))
        shared = None
        if missing.get("memory") == FIELD[NOT_SUPPORTED]:
            shared = system_memory()
            missing["memory"] = "this GPU has no memory of its own: it shares the system's RAM" + (
                f", {units.memory(shared.free)} of {units.memory(shared.total)} available" if shared else ""
            )
        ceiling = memory or shared
        raw = value("processes", nvml.processes(handle, ceiling.total if ceiling else None))
        processes = self._describe(raw or [])
        unattributed = value("unattributed", _rest(memory, None if raw is None else processes))
        return Gpu(
            index=index,
            uuid=value("uuid", nvml.uuid(handle)),
            name=value("name", nvml.name(handle)) or f"GPU {index}",
            sm=value("sm", nvml.sm(handle)),
            memory=memory,
            utilization=value("utilization", nvml.utilization(handle)),
            temperature=value("temperature", nvml.temperature(handle)),
            power=value("power", nvml.power(handle)),
            power_limit=value("power_limit", nvml.power_limit(handle)),
            processes=processes,
            unattributed=unattributed,
            shared=shared,
            unavailable=missing,
        )

    def _describe(self, raw: Iterable[RawProcess]) -> tuple[Process, ...]:
        """One row per pid; the parts of a process in several MIG instances are added up."""
        memory: dict[int, int | None] = {}
        for one in raw:
            before = memory.get(one.pid, 0)
            memory[one.pid] = None if before is None or one.memory is None else before + one.memory
        rows = []
        for pid, held in memory.items():
            who = self._processes.describe(pid)
            row = Process(
                pid=pid, user=who.user, command=who.command, memory=held, inspectable=who.inspectable, note=who.note,
                started=who.started, ticks=who.ticks, container=who.container, host_pid=who.host_pid,
            )  # fmt: skip
            rows.append(row)
        return tuple(sorted(rows, key=lambda row: (-(row.memory or 0), row.pid)))


def _rest(memory: Memory | None, processes: tuple[Process, ...] | None) -> int | Unavailable:
    """Used memory that no listed process accounts for, in bytes: other namespaces, the driver itself."""
    if memory is None:
        return Unavailable("the GPU's own memory is unknown")
    if processes is None:
        return Unavailable("the processes on the GPU are unknown")
    silent = sum(process.memory is None for process in processes)
    if silent:
        return Unavailable(f"the driver does not say how much memory {silent} of the processes hold")
    rest = memory.used - sum(process.memory or 0 for process in processes)
    return rest if rest >= 0 else Unavailable("the processes add up to more than is in use: they share memory")


def system_memory() -> Memory | None:
    """System RAM in bytes, `free` being what programs can still get; None when it cannot be read."""
    try:
        lines = read_bounded("/proc/meminfo", 8192).split(b"\n")
        found = {line.split(b":")[0]: int(line.split()[1]) * 1024 for line in lines if line[:3] == b"Mem"}
        total, free = found[b"MemTotal"], found[b"MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return Memory(total=total, used=total - free, free=free, reserved=None)
