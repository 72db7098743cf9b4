"""A driver that is not there: NVML's C interface in Python, under the real `pynvml`.

Each entry point is a ctypes callback put where the bindings keep the loaded library, so their marshalling,
version words and error mapping all run. Structures are written as raw bytes from the documented C layout
(nvml.h), never through the bindings' own classes. `install(scenario)` in a test, or, for another process,
`environment(path)`: PYTHONPATH with `nvml_inject` in it and FAKE_NVML naming a scenario file.

A scenario is a dict (or JSON file):

    driver_version   text
    init             error name that initialization answers with, e.g. "LIBRARY_NOT_FOUND"
    missing_symbols  functions this driver does not have
    process_struct   bytes per process of the _v3 lists: 24 (default), 32 or 16
    delay            function or "*" -> seconds it takes, -1 for ever
    devices          [{name, uuid, cc, memory: {total, reserved, used}, util: {gpu, memory}, temperature,
                       power, power_limit (mW), processes: [{pid, kind: C|G|M, used, gi, ci}],
                       throttle (bits of nvmlClocksEventReason*),
                       mig: {mode: 0|1, max, instances: [{index, gi, ci, ...the keys of a device}]},
                       errors: function or "*" -> error name}]; a missing key answers NOT_SUPPORTED;
                       a pid may be "$self" or "$parent". A parent in MIG mode lists its instances' processes
                       with their gi and ci and no memory
    timeline         [{t: seconds, set: {"devices.0.memory.used": 1}}]
"""

from __future__ import annotations

import copy
import ctypes
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"

CODES = {
    "UNINITIALIZED": 1, "INVALID_ARGUMENT": 2, "NOT_SUPPORTED": 3, "NO_PERMISSION": 4, "NOT_FOUND": 6,
    "INSUFFICIENT_SIZE": 7, "INSUFFICIENT_POWER": 8, "DRIVER_NOT_LOADED": 9, "TIMEOUT": 10, "IRQ_ISSUE": 11,
    "LIBRARY_NOT_FOUND": 12, "FUNCTION_NOT_FOUND": 13, "GPU_IS_LOST": 15, "RESET_REQUIRED": 16,
    "OPERATING_SYSTEM": 17, "LIB_RM_VERSION_MISMATCH": 18, "ARGUMENT_VERSION_MISMATCH": 25, "UNKNOWN": 999,
}  # fmt: skip
NONE64, NONE32 = 2**64 - 1, 2**32 - 1
_INT, _UINT, _PTR = ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
_FIRST_HANDLE = 0x1000
_FIRST_INSTANCE = 0x100000
_MOST_INSTANCES = 64

Entry = Callable[..., None]
_ENTRIES: dict[str, tuple[Entry, tuple[Any, ...]]] = {}


class Fault(Exception):
    """The entry point answers with this NVML error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.code = CODES[name]


def _entry(*types: Any, names: tuple[str, ...]) -> Callable[[Entry], Entry]:
    def register(function: Entry) -> Entry:
        for name in names:
            _ENTRIES[name] = (function, types)
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


class FakeNvml:
    """Looks like a `ctypes.CDLL`: an attribute is a C function, or AttributeError when the driver lacks it."""

    def __init__(self, scenario: Mapping[str, Any] | str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.scenario: dict[str, Any] = load(scenario)
        self.clock = clock
        self.calls: dict[str, int] = {}
        self.threads: set[int] = set()
        """Identities of the threads that called."""
        self._began = clock()
        self._references = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._functions: dict[str, Any] = {}

    def release(self) -> None:
        """Let every call that hangs return."""
        self._released.set()

    def state(self) -> dict[str, Any]:
        """The scenario as its timeline has it at this moment."""
        return state_at(self.scenario, self.elapsed)

    @property
    def elapsed(self) -> float:
        """Seconds since it was installed, by its clock."""
        return self.clock() - self._began

    def device(self, handle: int | None, function: str) -> dict[str, Any]:
        """The device behind a handle, unless it answers this function with an error."""
        found = self._behind(handle or 0)
        errors = found.get("errors", {})
        fault = errors.get(function, errors.get("*"))
        if fault:
            raise Fault(fault)
        return found

    def _behind(self, handle: int) -> dict[str, Any]:
        """The device or MIG instance of a handle."""
        devices = self.state()["devices"]
        if handle >= _FIRST_INSTANCE:
            parent, index = divmod(handle - _FIRST_INSTANCE, _MOST_INSTANCES)
            instances = devices[parent]["mig"]["instances"] if parent < len(devices) else []
            found = next((one for one in instances if one["index"] == index), None)
        else:
            index = handle - _FIRST_HANDLE
            found = devices[index] if 0 <= index < len(devices) else None
        if found is None:
            raise Fault("INVALID_ARGUMENT")
        return dict(found)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in _ENTRIES or name in self.scenario.get("missing_symbols", ()):
            raise AttributeError(name)
        if name not in self._functions:
            function, types = _ENTRIES[name]
            self._functions[name] = ctypes.CFUNCTYPE(_INT, *types)(self._answer(name, function))
        return self._functions[name]

    def _answer(self, name: str, function: Entry) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            delays = self.state().get("delay", {})
            delay = delays.get(name, delays.get("*"))
            with self._lock:
                self.calls[name] = self.calls.get(name, 0) + 1
                self.threads.add(threading.get_ident())
            if delay:
                self._released.wait(None if delay < 0 else delay)
            with self._lock:
                try:
                    if not self._references and not name.startswith("nvmlInit"):
                        raise Fault("UNINITIALIZED")
                    function(self, name, *arguments)
                except Fault as fault:
                    return fault.code
                return 0

        return call

    def initialize(self) -> None:
        """nvmlInit: counts references, or answers with the scenario's error."""
        fault = self.state().get("init")
        if fault:
            raise Fault(fault)
        self._references += 1

    def shut_down(self) -> None:
        """nvmlShutdown."""
        self._references -= 1


def state_at(scenario: Mapping[str, Any], elapsed: float) -> dict[str, Any]:
    """A scenario as its timeline has it after so many seconds."""
    due = [step for step in scenario.get("timeline", []) if step["t"] <= elapsed]
    if not due:
        return dict(scenario)
    now = copy.deepcopy(dict(scenario))
    for step in due:
        for path, value in step["set"].items():
            *head, last = path.split(".")
            place: Any = now
            for key in head:
                place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
            place[int(last) if isinstance(place, list) else last] = value
    return now


def load(scenario: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """A scenario from a dict (copied), a path, or the name of one in `scenarios`."""
    if isinstance(scenario, Mapping):
        return copy.deepcopy(dict(scenario))
    path = Path(scenario)
    if not path.suffix:
        path = SCENARIOS / f"{scenario}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


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
    _put(out, "Q", _FIRST_HANDLE + known.index(uuid.decode()))


@_entry(_UINT, _PTR, names=("nvmlDeviceGetHandleByIndex_v2",))
def _handle(fake: FakeNvml, name: str, index: int, out: int) -> None:
    devices = fake.state()["devices"]
    if index >= len(devices):
        raise Fault("INVALID_ARGUMENT")
    fault = devices[index].get("errors", {}).get("nvmlDeviceGetHandleByIndex")
    if fault:
        raise Fault(fault)
    _put(out, "Q", _FIRST_HANDLE + index)


@_entry(_PTR, _PTR, names=("nvmlDeviceGetIndex",))
def _index(fake: FakeNvml, name: str, handle: int, out: int) -> None:
    fake.device(handle, name)
    _put(
        out, "I", (handle - _FIRST_INSTANCE) % _MOST_INSTANCES if handle >= _FIRST_INSTANCE else handle - _FIRST_HANDLE
    )


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
    _put(out, "I", 0)


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
    _put(out, "Q", _FIRST_INSTANCE + (handle - _FIRST_HANDLE) * _MOST_INSTANCES + index)


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


def install(scenario: Mapping[str, Any] | str | Path, clock: Callable[[], float] = time.monotonic) -> FakeNvml:
    """Put the fake under the bindings of this process; returns it. Undo with `uninstall`."""
    import pynvml

    fake = FakeNvml(scenario, clock)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = fake
    return fake


def uninstall() -> None:
    """Take the fake away: the bindings look for the real library again."""
    import pynvml

    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = None


@contextmanager
def driver(scenario: Mapping[str, Any] | str | Path, clock: Callable[[], float] = time.monotonic) -> Iterator[FakeNvml]:
    """`install` for the length of a with block; calls that hang are let go at its end."""
    fake = install(scenario, clock)
    try:
        yield fake
    finally:
        fake.release()
        uninstall()


def environment(scenario: Mapping[str, Any] | str | Path, folder: Path) -> dict[str, str]:
    """os.environ for a subprocess that finds this scenario as its driver; a dict is written into `folder`."""
    path = folder / "scenario.json"
    path.write_text(json.dumps(load(scenario)))
    search = os.pathsep.join(filter(None, (str(HERE / "nvml_inject"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": search, "FAKE_NVML": str(path)}
