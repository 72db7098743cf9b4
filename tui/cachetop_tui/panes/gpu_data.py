"""What the GPU pane works out from samples: letters and colours of processes, and the last minute of VRAM."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cachetop.base import units
from cachetop.base.hostile import show
from cachetop.gpu.records import Gpu, Gpus, Process

SECONDS = 60.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OWN = "v.b"
_OTHERS = ("v.a", "v.c")
_MUCH = 100 * 2**20
"""Bytes from which on an amount is said in the unit of the whole: 4 MiB are not 0.00 GiB."""


@dataclass(frozen=True, slots=True)
class Share:
    """One process on one GPU, with its letter and its token on the bar."""

    letter: str
    token: str
    process: Process


def shares(gpu: Gpu, own: Collection[int] = ()) -> list[Share]:
    """The processes of a GPU, the biggest first; those in `own` (cachetop's workers) always in green."""
    ranked = sorted(gpu.processes, key=lambda process: (-(process.memory or 0), process.pid))
    out: list[Share] = []
    others = 0
    for i, process in enumerate(ranked):
        token = _OWN
        if process.pid not in own:
            token = _OTHERS[others % len(_OTHERS)]
            others += 1
        out.append(Share(_LETTERS[i] if i < len(_LETTERS) else "+", token, process))
    return out


def place(gpu: Gpu) -> str:
    """The key of a GPU's rows: `0`, or `0.3` for its MIG instance 3."""
    return f"{gpu.index}.{gpu.mig.index}" if gpu.mig else str(gpu.index)


def slices(gpus: Gpus, gpu: Gpu) -> tuple[Gpu, ...]:
    """The MIG instances of a whole GPU."""
    if not gpu.instances:
        return ()
    return tuple(one for one in gpus.gpus if one.mig is not None and one.index == gpu.index)


def parts(
    gpu: Gpu, listed: list[Share], width: int, instances: Sequence[Gpu] = ()
) -> tuple[tuple[tuple[float, float, str], ...], str]:
    """The parts of a bar `width` cells wide, and the letters that go on them.

    MIG instances are parts of their GPU, with their number; where a GPU has no memory of its own the bar is the RAM.
    """
    whole = gpu.memory or gpu.shared
    if whole is None or whole.total <= 0:
        return (), ""
    out: list[tuple[float, float, str]] = []
    letters = ""
    at = 0.0
    values = [(share.process.memory or 0, share.token, share.letter) for share in listed]
    for i, one in enumerate(instances):
        if one.memory and one.mig:
            values.append((one.memory.used, _OTHERS[i % len(_OTHERS)], str(one.mig.index)[-1]))
    rest = gpu.unattributed or 0
    if gpu.memory is None:
        rest = max(0, whole.used - sum(size for size, _, _ in values))
    for size, token, letter in [*values, (rest, "v.other", "-")]:
        wide = min(width - at, size / whole.total * width)
        if wide > 0:
            out.append((at, at + wide, token))
            letters += letter
            at += wide
    return tuple(out), letters


def called(process: Process) -> str:
    """What to call a process: its command without the folder its program lies in."""
    return _called(process.command) if process.command else "?"


@lru_cache(1024)
def _called(command: str) -> str:
    first, blank, rest = show(command, 400).partition(" ")
    return (first.rstrip("/").rpartition("/")[2] or first) + blank + rest


def where(process: Process) -> str:
    """The container or Slurm job of a process, empty without one."""
    found = show(process.container, 60) if process.container else ""
    return found if not found or found.startswith("slurm ") else f"container {found}"


def short_name(gpu: Gpu) -> str:
    """The name of a GPU without its maker."""
    name = show(gpu.name, 80)
    for maker in ("NVIDIA ", "AMD ", "Intel "):
        name = name.removeprefix(maker)
    return name


def amount(gpu: Gpu) -> str:
    """`66.4 of 79.6 GiB`, in the unit of the whole where that says enough."""
    if gpu.memory is None:
        if gpu.shared is None or gpu.in_use is None:
            return "VRAM ?"
        return f"{units.memory(gpu.in_use)} of {units.memory(gpu.shared.total)} RAM"
    used, total = units.memory(gpu.memory.used), units.memory(gpu.memory.total)
    number, _, unit = used.partition(" ")
    if unit == "MiB" and total.endswith("GiB") and gpu.memory.used >= _MUCH:
        number, unit = f"{gpu.memory.used / 2**30:.2f}", "GiB"
    return f"{number} of {total}" if total.endswith(unit) else f"{used} of {total}"


def problem(gpu: Gpu) -> str:
    """Why the device does not answer, or why its memory cannot be read; empty when all is well."""
    if gpu.problem:
        return show(gpu.problem, 200)
    return show(gpu.unavailable.get("memory", ""), 200) if gpu.memory is None and gpu.shared is None else ""


@dataclass(slots=True)
class History:
    """VRAM in use over the last minute, for each GPU."""

    _samples: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def note(self, gpus: Gpus) -> None:
        """Remember one sample; values are kept only where they change."""
        for gpu in gpus.gpus:
            used = gpu.in_use
            if used is None:
                continue
            samples = self._samples.setdefault(gpu.key, deque())
            if len(samples) > 1 and samples[-1][1] == samples[-2][1] == used:
                samples.pop()
            samples.append((gpus.time, used))
            while len(samples) > 2 and samples[1][0] < gpus.time - SECONDS:
                samples.popleft()

    def levels(self, gpu: Gpu, now: float, count: int) -> tuple[tuple[float, ...], int, int]:
        """`count` levels from 0 to 1 over the last minute, as far back as it is known, and the range: low, high."""
        samples = list(self._samples.get(gpu.key, ()))
        if not samples or count <= 0:
            return (), 0, 0
        times = [moment for moment, _ in samples]
        values: list[int] = []
        for i in range(count):
            moment = now - SECONDS + (i + 1) / count * SECONDS
            at = bisect_right(times, moment) - 1
            if at >= 0:
                values.append(samples[at][1])
        if not values:
            values = [samples[-1][1]]
        low, high = min(values), max(values)
        if low == high:
            return (0.15,) * len(values), low, high
        return tuple((value - low) / (high - low) for value in values), low, high
