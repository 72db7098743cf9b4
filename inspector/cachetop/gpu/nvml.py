"""A thin typed layer over pynvml (nvidia-ml-py): every value, or the reason why there is none.

Functions that NVIDIA versioned are tried newest first, and the one that this driver has is kept. An error that
takes a whole device away raises DeviceProblem; one that takes the driver away raises NoDriver; any other
costs only its own value. `nvmlShutdown` crashes a process with a call in flight, so it is not called at the end
(the kernel cleans up) but only by `close`, in the thread that makes all the calls.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

from cachetop.base.hostile import clean
from cachetop.gpu import reasons, structs, throttle
from cachetop.gpu.reasons import DeviceProblem, NoDriver, Unavailable
from cachetop.gpu.records import Memory, Pcie

T = TypeVar("T")
Rung = Callable[[], T]
_GONE = (reasons.UNINITIALIZED, reasons.DRIVER_NOT_LOADED, reasons.VERSION_MISMATCH)
_TOO_OLD = (reasons.FUNCTION_NOT_FOUND, reasons.ARGUMENT_VERSION_MISMATCH)
_KINDS = ("Compute", "Graphics", "MPSCompute")
_STRIDES = {"_v3": (24, 32, 16), "_v2": (24,), "": (16,)}
_MOST_PROCESSES = 65_536
_MOST_INSTANCES = 64


class Nvml:
    """The driver's library, for use by one thread. Raises nothing until `open`."""

    def __init__(self) -> None:
        self._p: Any = None
        self._rungs: dict[str, int] = {}

    def open(self) -> None:
        """Load the library and initialize it. Raises NoDriver with a sentence that says what to do."""
        try:
            import pynvml
        except ImportError:
            raise NoDriver("The package nvidia-ml-py is not installed: run `pip install nvidia-ml-py`.") from None
        self._p = pynvml
        self._rungs = {}
        try:
            pynvml.nvmlInitWithFlags(pynvml.NVML_INIT_FLAG_NO_GPUS)
        except pynvml.NVMLError as error:
            raise reasons.no_driver(error.value) from None

    def close(self) -> None:
        """Let go of the driver, so that the GPUs may sleep. Only with no call in flight; `open` comes back."""
        try:
            self._p.nvmlShutdown()
        except self._p.NVMLError:
            pass  # it went away by itself

    def driver_version(self) -> str | Unavailable:
        """The driver's version, such as 580.95.05."""
        found = self._value(self._p.nvmlSystemGetDriverVersion)
        return clean(found) if isinstance(found, str) else found

    def count(self) -> int:
        """How many GPUs there are. Raises NoDriver."""
        try:
            return int(self._p.nvmlDeviceGetCount())
        except self._p.NVMLError as error:
            raise reasons.no_driver(error.value) from None

    def handle(self, index: int) -> Any:
        """The device at `index`, in PCI order. Raises DeviceProblem: a handle that failed must not be used."""
        found = self._value(lambda: self._p.nvmlDeviceGetHandleByIndex(index))
        if isinstance(found, Unavailable):
            raise DeviceProblem(found.reason)
        return found

    def name(self, handle: Any) -> str | Unavailable:
        """The product name."""
        found = self._value(lambda: self._p.nvmlDeviceGetName(handle))
        return clean(found) if isinstance(found, str) else found

    def uuid(self, handle: Any) -> str | Unavailable:
        """The UUID, which stays when the order of devices changes."""
        found = self._value(lambda: self._p.nvmlDeviceGetUUID(handle))
        return clean(found) if isinstance(found, str) else found

    def sm(self, handle: Any) -> str | Unavailable:
        """The architecture as compilers write it: compute capability 9.0 is sm_90."""
        found = self._value(lambda: self._p.nvmlDeviceGetCudaComputeCapability(handle))
        return found if isinstance(found, Unavailable) else f"sm_{found[0]}{found[1]}"

    def memory(self, handle: Any) -> Memory | Unavailable:
        """Device memory in bytes. An old driver counts reserved memory as used and gives `reserved` None."""
        p = self._p

        def new() -> Memory:
            raw = p.nvmlDeviceGetMemoryInfo(handle, version=p.nvmlMemory_v2)
            return Memory(total=int(raw.total), used=int(raw.used), free=int(raw.free), reserved=int(raw.reserved))

        def old() -> Memory:
            raw = p.nvmlDeviceGetMemoryInfo(handle)
            return Memory(total=int(raw.total), used=int(raw.used), free=int(raw.free), reserved=None)

        found = self._ladder("memory", (new, old))
        if isinstance(found, Memory) and found.total == 0:
            return Unavailable(reasons.FIELD[reasons.NOT_SUPPORTED])
        return found

    def utilization(self, handle: Any) -> int | Unavailable:
        """Percent of the last period in which any kernel ran."""
        return self._value(lambda: int(self._p.nvmlDeviceGetUtilizationRates(handle).gpu))

    def temperature(self, handle: Any) -> int | Unavailable:
        """Core temperature in C."""
        p = self._p
        sensor = p.NVML_TEMPERATURE_GPU
        old: Rung[int] = lambda: int(p.nvmlDeviceGetTemperature(handle, sensor))  # noqa: E731
        if not hasattr(p, "nvmlDeviceGetTemperatureV"):
            return self._value(old)
        return self._ladder("temperature", (lambda: int(p.nvmlDeviceGetTemperatureV(handle, sensor)), old))

    def power(self, handle: Any) -> float | Unavailable:
        """Power draw in W."""
        return self._value(lambda: self._p.nvmlDeviceGetPowerUsage(handle) / 1000)

    def power_limit(self, handle: Any) -> float | Unavailable:
        """The power limit in force, in W."""
        return self._value(lambda: self._p.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)

    def throttle(self, handle: Any) -> tuple[str, ...] | Unavailable:
        """Why the clocks are held down; empty when they are not."""
        p = self._p
        rungs: tuple[Rung[int], ...] = (
            lambda: int(p.nvmlDeviceGetCurrentClocksEventReasons(handle)),
            lambda: int(p.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
        )
        found = self._ladder("throttle", rungs)
        return found if isinstance(found, Unavailable) else throttle.words(found)

    def pcie(self, handle: Any) -> Pcie | Unavailable:
        """Throughput of the bus in bytes/s; the driver's KB are taken as 1024 bytes, as other monitors do.

        Sleeps 40 ms in the driver: each direction is measured for 20 ms.
        """
        p = self._p

        def throughput() -> Pcie:
            received = p.nvmlDeviceGetPcieThroughput(handle, p.NVML_PCIE_UTIL_RX_BYTES)
            sent = p.nvmlDeviceGetPcieThroughput(handle, p.NVML_PCIE_UTIL_TX_BYTES)
            return Pcie(rx=int(received) * 1024, tx=int(sent) * 1024)

        return self._value(throughput)

    def event_set(self) -> Any | Unavailable:
        """A new set of events, empty."""
        return self._value(self._p.nvmlEventSetCreate)

    def register(self, events: Any, handle: Any) -> None:
        """Let the Xid errors of a device come into a set, where the device reports them. Raises DeviceProblem."""
        self._value(lambda: self._p.nvmlDeviceRegisterEvents(handle, self._p.nvmlEventTypeXidCriticalError, events))

    def next_event(self, events: Any) -> tuple[int, int, int | None] | None:
        """(address of the device, Xid, GPU instance) of the oldest event in a set; None when there is none yet.

        Does not wait. Raises DeviceProblem.
        """
        found = self._value(lambda: self._p.nvmlEventSetWait_v2(events, 0))
        if isinstance(found, Unavailable):
            return None
        instance = None if found.gpuInstanceId == structs.NONE32 else int(found.gpuInstanceId)
        return address(found.device), int(found.eventData), instance

    def mig_slots(self, handle: Any) -> int | None:
        """How many MIG instances a GPU may have; None when it is not in MIG mode."""
        mode = self._value(lambda: int(self._p.nvmlDeviceGetMigMode(handle)[0]))
        if mode != self._p.NVML_DEVICE_MIG_ENABLE:
            return None
        slots = self._value(lambda: int(self._p.nvmlDeviceGetMaxMigDeviceCount(handle)))
        return 0 if isinstance(slots, Unavailable) else min(slots, _MOST_INSTANCES)

    def instance(self, handle: Any, slot: int) -> Any | None:
        """The MIG instance in a slot of a GPU, None when that one is empty or not ours to see."""
        found = self._value(lambda: self._p.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot))
        return None if isinstance(found, Unavailable) else found

    def instance_ids(self, handle: Any) -> tuple[int | None, int | None]:
        """The GPU instance and the compute instance of a MIG instance, which process lists name."""
        gpu = self._value(lambda: int(self._p.nvmlDeviceGetGpuInstanceId(handle)))
        compute = self._value(lambda: int(self._p.nvmlDeviceGetComputeInstanceId(handle)))
        return (
            None if isinstance(gpu, Unavailable) else gpu,
            None if isinstance(compute, Unavailable) else compute,
        )

    def processes(self, handle: Any, total: int | None) -> list[structs.RawProcess] | Unavailable:
        """Processes with a context on the device, each (pid, MIG instance) once; `total` is its memory in bytes."""
        merged: dict[tuple[int, tuple[int, int] | None], structs.RawProcess] = {}
        missing: Unavailable | None = None
        for kind in _KINDS:
            rungs = tuple(self._list(handle, f"nvmlDeviceGet{kind}RunningProcesses", v, total) for v in _STRIDES)
            found = self._ladder(kind, rungs)
            if isinstance(found, Unavailable):
                # MPS and graphics lists are missing on many devices; without the compute list nothing is known
                missing = found if kind == "Compute" else missing
                continue
            if found is None:
                return Unavailable("the driver's process list has a layout that is not known, so it was left out")
            for one in found:
                before = merged.get((one.pid, one.instance))
                if before is None or (one.memory or 0) > (before.memory or 0):
                    merged[one.pid, one.instance] = one
        return missing or list(merged.values())

    def _list(
        self, handle: Any, base: str, suffix: str, total: int | None
    ) -> Callable[[], list[structs.RawProcess] | None]:
        """One call of a process list into a buffer wide enough for every layout."""

        def call() -> list[structs.RawProcess] | None:
            function = self._p._nvmlGetFunctionPointer(base + suffix)
            count = ctypes.c_uint(0)
            code = function(handle, ctypes.byref(count), None)
            for _ in range(4):  # the list may grow between the two calls
                if code != reasons.INSUFFICIENT_SIZE or count.value > _MOST_PROCESSES:
                    break
                room = count.value + 8
                count.value = room
                buffer = ctypes.create_string_buffer(room * structs.WIDEST)
                code = function(handle, ctypes.byref(count), buffer)
                if code == 0:
                    return structs.parse(buffer.raw, min(count.value, room), total, _STRIDES[suffix])
            if code:
                raise self._p.NVMLError(code)
            return []

        return call

    def _ladder(self, name: str, rungs: tuple[Rung[T], ...]) -> T | Unavailable:
        """The first rung this driver has, remembered for the next time."""
        for step in range(self._rungs.get(name, 0), len(rungs)):
            self._rungs[name] = step
            try:
                return self._call(rungs[step])
            except _Code as code:
                if code.value not in _TOO_OLD:
                    return reasons.field(code.value)
        return reasons.field(reasons.FUNCTION_NOT_FOUND)

    def _value(self, call: Rung[T]) -> T | Unavailable:
        try:
            return self._call(call)
        except _Code as code:
            return reasons.field(code.value)

    def _call(self, call: Rung[T]) -> T:
        """One call; raises _Code, or what takes more than this value away."""
        try:
            return call()
        except self._p.NVMLError as error:
            code = int(error.value)
        except self._p.NVMLLibraryMismatchError:  # what the bindings raise for a missing unversioned function
            code = reasons.FUNCTION_NOT_FOUND
        except UnicodeDecodeError:  # some R510 drivers return garbage instead of text
            code = reasons.UNKNOWN
        if code in _GONE:
            raise reasons.no_driver(code)
        if code in reasons.DEVICE:
            raise DeviceProblem(reasons.DEVICE[code])
        raise _Code(code)


def address(handle: Any) -> int:
    """What tells a device's handle from that of another one."""
    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)


class _Code(Exception):
    """An NVML error that costs one value. (NVMLError itself is unhashable and may break tracebacks.)"""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value
