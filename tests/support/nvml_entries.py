"""The entry points of the driver that is not there: each writes its answer as raw bytes of the documented C layout.

See `fake_nvml` for what a scenario says. An entry point raises `Fault` where it answers with an error.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.fake_nvml import FakeNvml

CODES = {
    "UNINITIALIZED": 1, "INVALID_ARGUMENT": 2, "NOT_SUPPORTED": 3, "NO_PERMISSION": 4, "NOT_FOUND": 6,
    "INSUFFICIENT_SIZE": 7, "INSUFFICIENT_POWER": 8, "DRIVER_NOT_LOADED": 9, "TIMEOUT": 10, "IRQ_ISSUE": 11,
    "LIBRARY_NOT_FOUND": 12, "FUNCTION_NOT_FOUND": 13, "GPU_IS_LOST": 15, "RESET_REQUIRED": 16,
    "OPERATING_SYSTEM": 17, "LIB_RM_VERSION_MISMATCH": 18, "ARGUMENT_VERSION_MISMATCH": 25, "UNKNOWN": 999,
}  # fmt: skip
NONE64, NONE32 = 2**64 - 1, 2**32 - 1
_INT, _UINT, _PTR = ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
FIRST_HANDLE = 0x1000
FIRST_INSTANCE = 0x100000
MOST_INSTANCES = 64
_XID = 8

Entry = Callable[..., None]
ENTRIES: dict[str, tuple[Entry, tuple[Any, ...]]] = {}


class Fault(Exception):
    """The entry point answers with this NVML error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.code = CODES[name]


def _entry(*types: Any, names: tuple[str, ...]) -> Callable[[Entry], Entry]:
    def register(function: Entry) -> Entry:
        for name in names:
            ENTRIES[name] = (function, types)
        return function

    return register


def _put(address: int, layout: str, *values: Any) -> None:
    raw = struct.pack("<" + layout, *values)
    ctypes.memmove(address, raw, len(raw))


def _text(value: str | None, address: int, room: int) -> None:
    raw = _given(value).encode() + b"\0"
    if len(raw) > room:
        raise Fault("INSUFFICIENT_SIZE")
    ctypes.memmove(address, raw, len(raw))


def _given(value: Any) -> Any:
    if value is None:
        raise Fault("NOT_SUPPORTED")
    return value


@dataclass
class EventSet:
    """What a client of the driver waits for, and how far in the scenario's list of events it is."""

    types: dict[int, int] = field(default_factory=dict)
    next: int = 0


@_entry(_UINT, names=("nvmlInitWithFlags",))
def _init_with_flags(fake: FakeNvml, name: str, flags: int) -> None:
    fake.initialize()


@_entry(names=("nvmlInit_v2", "nvmlInit"))
def _init(fake: FakeNvml, name: str) -> None:
    fake.initialize()


@_entry(names=("nvmlShutdown",))
def _shutdown(fake: FakeNvml, name: str) -> None:
    fake.shut_down()


@_entry(_PTR, _UINT, names=("nvmlSystemGetDriverVersion",))
def _driver_version(fake: FakeNvml, name: str, out: int, room: int) -> None:
    _text(fake.state().get("driver_version"), out, room)


@_entry(_PTR, names=("nvmlDeviceGetCount_v2",))
def _count(fake: FakeNvml, name: str, out: int) -> None:
    fault = fake.state().get("count_error")
    if fault:
        raise Fault(fault)
    _put(out, "I", len(fake.state()["devices"]))


@_entry(ctypes.c_char_p, _PTR, names=("nvmlDeviceGetHandleByUUID",))
def _handle_by_uuid(fake: FakeNvml, name: str, uuid: bytes, out: int) -> None:
    known = [device.get("uuid") for device in fake.state()["devices"]]
    if uuid.decode() not in known:
        raise Fault("NOT_FOUND")
    _put(out, "Q", FIRST_HANDLE + known.index(uuid.decode()))


@_entry(_UINT, _PTR, names=("nvmlDeviceGetHandleByIndex_v2",))
def _handle(fake: FakeNvml, name: str, index: int, out: int) -> None:
    devices = fake.state()["devices"]
    if index >= len(devices):
        raise Fault("INVALID_ARGUMENT")
    fault = devices[index].get("errors", {}).get("nvmlDeviceGetHandleByIndex")
    if fault:
        raise Fault(fault)
    _put(out, "Q", FIRST_HANDLE + index)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetIndex",))
def _index(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    fake.device(handle, name)
    _put(out, "I", (handle - FIRST_INSTANCE) % MOST_INSTANCES if handle >= FIRST_INSTANCE else handle - FIRST_HANDLE)


@_entry(_PTR, _PTR, _UINT, names=("nvmlDeviceGetName",))
def _name(fake: FakeNvml, name: str, handle: int, out: int, room: int) -> None:
    _text(fake.device(handle, name).get("name"), out, room)


@_entry(_PTR, _PTR, _UINT, names=("nvmlDeviceGetUUID",))
def _uuid(fake: FakeNvml, name: str, handle: int, out: int, room: int) -> None:
    _text(fake.device(handle, name).get("uuid"), out, room)


@_entry(_PTR, _PTR, _PTR, names=("nvmlDeviceGetCudaComputeCapability",))
def _capability(fake: FakeNvml, name: str, handle: int, major: int, minor: int) -> None:
    one, two = _given(fake.device(handle, name).get("cc"))
    _put(major, "i", one)
    _put(minor, "i", two)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetMemoryInfo",))
def _memory(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    memory = _given(fake.device(handle, name).get("memory"))
    used = memory["used"] + memory.get("reserved", 0)  # the old call counts reserved memory as used
    _put(out, "QQQ", memory["total"], memory["total"] - used, used)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetMemoryInfo_v2",))
def _memory_2(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    if ctypes.c_uint.from_address(out).value != 40 | 2 << 24:
        raise Fault("ARGUMENT_VERSION_MISMATCH")
    memory = _given(fake.device(handle, name).get("memory"))
    total, used, reserved = memory["total"], memory["used"], memory.get("reserved", 0)
    _put(out + 8, "QQQQ", total, reserved, total - used - reserved, used)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetUtilizationRates",))
def _utilization(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    rates = _given(fake.device(handle, name).get("util"))
    _put(out, "II", rates["gpu"], rates["memory"])


@_entry(_PTR, _UINT, _PTR, names=("nvmlDeviceGetTemperature",))
def _temperature(fake: FakeNvml, name: str, handle: int, sensor: int, out: int) -> None:
    _put(out, "I", _given(fake.device(handle, name).get("temperature")))


@_entry(_PTR, _PTR, names=("nvmlDeviceGetTemperatureV",))
def _temperature_v(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    if ctypes.c_uint.from_address(out).value != 12 | 1 << 24:
        raise Fault("ARGUMENT_VERSION_MISMATCH")
    _put(out + 8, "i", _given(fake.device(handle, name).get("temperature")))


@_entry(_PTR, _PTR, names=("nvmlDeviceGetPowerUsage",))
def _power(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "I", _given(fake.device(handle, name).get("power")))


@_entry(_PTR, _PTR, names=("nvmlDeviceGetEnforcedPowerLimit",))
def _power_limit(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "I", _given(fake.device(handle, name).get("power_limit")))


@_entry(_PTR, _UINT, _PTR, names=("nvmlDeviceGetPcieThroughput",))
def _pcie(fake: FakeNvml, name: str, handle: int, counter: int, out: int) -> None:
    fake.pause(0.02)  # as the real one, which measures for so long
    _put(out, "I", _given(fake.device(handle, name).get("pcie"))["rx" if counter else "tx"])


@_entry(_PTR, names=("nvmlEventSetCreate",))
def _event_set(fake: FakeNvml, name: str, out: int) -> None:
    fake.sets.append(EventSet())
    _put(out, "Q", len(fake.sets))


@_entry(_PTR, names=("nvmlEventSetFree",))
def _free_event_set(fake: FakeNvml, name: str, which: int) -> None:
    fake.sets[which - 1] = EventSet()


@_entry(_PTR, ctypes.c_ulonglong, _PTR, names=("nvmlDeviceRegisterEvents",))
def _register(fake: FakeNvml, name: str, handle: int, types: int, which: int) -> None:
    fake.device(handle, name)
    fake.sets[which - 1].types[handle] = types


@_entry(_PTR, _PTR, _UINT, names=("nvmlEventSetWait_v2",))
def _event(fake: FakeNvml, name: str, which: int, out: int, milliseconds: int) -> None:
    """Waits for nothing: what is due comes at once, and where nothing is that is a timeout."""
    events, events_set = fake.scenario.get("events", []), fake.sets[which - 1]
    while events_set.next < len(events) and events[events_set.next].get("t", 0) <= fake.elapsed:
        event = events[events_set.next]
        events_set.next += 1
        handle = FIRST_HANDLE + event.get("device", 0)
        if events_set.types.get(handle, 0) & event.get("type", _XID):
            _put(out, "QQQII", handle, event.get("type", _XID), event.get("data", 0), event.get("gi", NONE32), NONE32)
            return
    raise Fault("TIMEOUT")


def _throttle(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "Q", _given(fake.device(handle, name).get("throttle")))


_entry(_PTR, _PTR, names=("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"))(
    _throttle
)


@_entry(_PTR, _PTR, _PTR, names=("nvmlDeviceGetMigMode",))
def _mig_mode(fake: FakeNvml, name: str, handle: int, current: int, pending: int) -> None:
    mode = _given(fake.device(handle, name).get("mig"))["mode"]
    _put(current, "I", mode)
    _put(pending, "I", mode)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetMaxMigDeviceCount",))
def _mig_count(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "I", (fake.device(handle, name).get("mig") or {}).get("max", 0))


@_entry(_PTR, _UINT, _PTR, names=("nvmlDeviceGetMigDeviceHandleByIndex",))
def _mig_handle(fake: FakeNvml, name: str, handle: int, index: int, out: int) -> None:
    mig = _given(fake.device(handle, name).get("mig"))
    if index >= mig["max"]:
        raise Fault("INVALID_ARGUMENT")
    if not mig["mode"] or index not in [one["index"] for one in mig["instances"]]:
        raise Fault("NOT_FOUND")
    _put(out, "Q", FIRST_INSTANCE + (handle - FIRST_HANDLE) * MOST_INSTANCES + index)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetGpuInstanceId",))
def _gpu_instance(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "I", _given(fake.device(handle, name).get("gi")))


@_entry(_PTR, _PTR, names=("nvmlDeviceGetComputeInstanceId",))
def _compute_instance(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    _put(out, "I", _given(fake.device(handle, name).get("ci")))


def _listed(device: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The processes of a device or instance; those of its instances are listed without their memory."""
    own = [
        {"gi": device.get("gi", NONE32), "ci": device.get("ci", NONE32), **process}
        for process in device.get("processes", [])
    ]
    mig = device.get("mig") or {}
    for instance in mig.get("instances", []) if mig.get("mode") else []:
        own += [{**process, "used": None} for process in _listed(instance)]
    return own


def _lists(kind: str, version: int) -> Entry:
    def answer(fake: FakeNvml, name: str, handle: int, count: int, out: int | None) -> None:
        processes = [p for p in _listed(fake.device(handle, name)) if p.get("kind", "C") == kind]
        room = ctypes.c_uint.from_address(count)
        have, room.value = room.value, len(processes)
        if not processes:
            return
        if have < len(processes) or not out:
            raise Fault("INSUFFICIENT_SIZE")
        stride = 16 if version == 1 else fake.scenario.get("process_struct", 24) if version == 3 else 24
        for position, process in enumerate(processes):
            pid = {"$self": os.getpid(), "$parent": os.getppid()}.get(process["pid"], process["pid"])
            used = NONE64 if process.get("used") is None else process["used"]
            fields: tuple[Any, ...] = (pid, used, process["gi"], process["ci"], 0)
            layout = {16: "I4xQ", 24: "I4xQII", 32: "I4xQIIQ"}[stride]
            _put(out + stride * position, layout, *fields[: {16: 2, 24: 4, 32: 5}[stride]])

    return answer


for _base, _kind in (("Compute", "C"), ("Graphics", "G"), ("MPSCompute", "M")):
    for _version, _suffix in ((1, ""), (2, "_v2"), (3, "_v3")):
        _entry(_PTR, _PTR, _PTR, names=(f"nvmlDeviceGet{_base}RunningProcesses{_suffix}",))(_lists(_kind, _version))
