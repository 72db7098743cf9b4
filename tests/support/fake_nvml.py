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
                       throttle (bits of nvmlClocksEventReason*), pcie: {rx, tx} (KB/s),
                       mig: {mode: 0|1, max, instances: [{index, gi, ci, ...the keys of a device}]},
                       errors: function or "*" -> error name}]; a missing key answers NOT_SUPPORTED;
                       a pid may be "$self" or "$parent". A parent in MIG mode lists its instances' processes
                       with their gi and ci and no memory
    events           [{t: seconds, device: index, type: 8 (an Xid), data: its number, gi}], each once
    timeline         [{t: seconds, set: {"devices.0.memory.used": 1}}]
"""

from __future__ import annotations

import copy
import ctypes
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.nvml_entries import ENTRIES, FIRST_HANDLE, FIRST_INSTANCE, MOST_INSTANCES, Entry, EventSet, Fault

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"


class FakeNvml:
    """Looks like a `ctypes.CDLL`: an attribute is a C function, or AttributeError when the driver lacks it."""

    def __init__(self, scenario: Mapping[str, Any] | str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.scenario: dict[str, Any] = load(scenario)
        self.clock = clock
        self.calls: dict[str, int] = {}
        self.threads: set[int] = set()
        """Identities of the threads that called."""
        self.sets: list[EventSet] = []
        self._began = clock()
        self._references = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._functions: dict[str, Any] = {}

    def pause(self, seconds: float) -> None:
        """Sleep inside a call."""
        self._released.wait(seconds)

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
        if handle >= FIRST_INSTANCE:
            parent, index = divmod(handle - FIRST_INSTANCE, MOST_INSTANCES)
            instances = devices[parent]["mig"]["instances"] if parent < len(devices) else []
            found = next((one for one in instances if one["index"] == index), None)
        else:
            index = handle - FIRST_HANDLE
            found = devices[index] if 0 <= index < len(devices) else None
        if found is None:
            raise Fault("INVALID_ARGUMENT")
        return dict(found)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in ENTRIES or name in self.scenario.get("missing_symbols", ()):
            raise AttributeError(name)
        if name not in self._functions:
            function, types = ENTRIES[name]
            self._functions[name] = ctypes.CFUNCTYPE(ctypes.c_int, *types)(self._answer(name, function))
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
