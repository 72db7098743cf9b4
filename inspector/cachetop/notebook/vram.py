"""GPU memory before, at most and after a block: sampled by one daemon thread that all blocks share."""

from __future__ import annotations

import os
import sys
import threading
import time

from cachetop.gpu.records import Gpu, Gpus
from cachetop.gpu.sampler import Sampler
from cachetop.gpu.source import NvmlSource
from cachetop.notebook.records import AllocatorPeak, VramUse

INTERVAL = 0.1
"""Seconds between two samples: a shorter peak is missed, and `evidence` says so."""
PATIENCE = 0.5
"""Seconds to wait for the sample before and the one after; a driver that hangs holds a block no longer than that."""
_sampler: Sampler | None = None
_users = 0
_lock = threading.Lock()


def _shared() -> Sampler:
    global _sampler
    if _sampler is None:
        _sampler = Sampler(NvmlSource(), INTERVAL, retry=3600)
    return _sampler


class Vram:
    """Watches the memory of all GPUs from `__init__` to `finish`. Without a driver it costs a failed lookup."""

    def __init__(self) -> None:
        global _users
        self._fresh = threading.Event()
        self._peaks: dict[int, int] = {}
        with _lock:
            self._sampler = _shared()
            _users += 1
        self._unsubscribe = self._sampler.subscribe(self._take)
        self._before = self._now()
        self._allocator = _allocator()

    def finish(self) -> tuple[tuple[VramUse, ...], str | None, tuple[AllocatorPeak, ...]]:
        """Stop watching. The GPUs, why there is none, and torch's allocator where it is in use."""
        global _users
        after = self._now() if self._before.available else self._before
        self._unsubscribe()
        with _lock:
            _users -= 1
            if _users == 0:
                self._sampler.stop()
        allocator = tuple(self._allocators())
        if not self._before.available:
            return (), self._before.reason, allocator
        if after.waiting is not None or not after.available:
            return tuple(self._rows(None)), after.reason, allocator
        return tuple(self._rows(after)), None, allocator

    def _take(self, gpus: Gpus) -> None:
        for gpu in gpus.gpus:
            if gpu.memory and gpu.problem is None and gpu.mig is None:
                self._peaks[gpu.index] = max(self._peaks.get(gpu.index, 0), gpu.memory.used)
        self._fresh.set()

    def _now(self) -> Gpus:
        """A sample taken after this call began, or the last one when the driver does not answer in time."""
        deadline = time.monotonic() + PATIENCE
        asked = time.time()
        while True:
            self._fresh.clear()
            self._sampler.start()
            answered = self._fresh.wait(max(0.0, deadline - time.monotonic()))
            latest = self._sampler.latest()
            if latest.time >= asked:
                return latest
            if not answered or time.monotonic() >= deadline:
                sentence = f"The NVIDIA driver did not answer within {PATIENCE:g} s."
                return Gpus(available=False, reason=sentence, time=time.time())

    def _rows(self, after: Gpus | None) -> list[VramUse]:
        later = {gpu.index: gpu for gpu in after.gpus if gpu.mig is None} if after else {}
        rows = []
        for gpu in self._before.gpus:
            if gpu.mig is not None:  # its memory is its GPU's
                continue
            now = later.get(gpu.index)
            rows.append(
                VramUse(
                    gpu=gpu.index,
                    before=gpu.memory.used if gpu.memory else None,
                    peak=self._peaks.get(gpu.index),
                    after=now.memory.used if now and now.memory else None,
                    own_before=_own(gpu),
                    own_after=_own(now) if now else None,
                )
            )
        return rows

    def _allocators(self) -> list[AllocatorPeak]:
        found = []
        for gpu, now in _allocator().items():
            was = self._allocator.get(gpu, {})

            def peak(kind: str, now: dict[str, int] = now, was: dict[str, int] = was) -> int | None:
                highest = now.get(f"{kind}_bytes.all.peak", 0)
                return highest if highest > was.get(f"{kind}_bytes.all.peak", 0) else None

            found.append(
                AllocatorPeak(
                    gpu=gpu,
                    allocated=now.get("allocated_bytes.all.current", 0),
                    reserved=now.get("reserved_bytes.all.current", 0),
                    allocated_peak=peak("allocated"),
                    reserved_peak=peak("reserved"),
                )
            )
        return found


def _own(gpu: Gpu) -> int | None:
    """Bytes this process holds there; None where the driver does not say."""
    if "processes" in gpu.unavailable:
        return None
    mine = [process for process in gpu.processes if process.pid == os.getpid() and not process.host_pid]
    if not mine:
        return None if any(process.host_pid for process in gpu.processes) else 0
    return mine[0].memory


def _allocator() -> dict[int, dict[str, int]]:
    """torch's allocator statistics by device, if this process has torch and uses CUDA already."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return {}
        return {n: dict(torch.cuda.memory_stats(n)) for n in range(torch.cuda.device_count())}
    except Exception:  # a torch that is half imported, or a device that was lost
        return {}
