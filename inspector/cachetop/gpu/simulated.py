"""GPUs that do not exist, for the demo. Every name they show says so."""

from __future__ import annotations

import os
import threading
import time

from cachetop.gpu.records import Gpu, Gpus, HeldModel, Memory, Process

TOTAL = 24 * 2**30
RESERVED = 400 * 2**20
_IDLE = 12 * 2**20
_CONTEXT = 450 * 2**20


class SimulatedSource:
    """A `cachetop.gpu.sampler.Source` whose memory follows what it is told. Safe to use from several threads.

    `idle` GPUs more have nothing on them.
    """

    def __init__(self, sm: str = "sm_89", idle: int = 0) -> None:
        self._sm = sm
        self._idle = idle
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def hold(self, label: str, count: int) -> None:
        """Let the model `label` hold `count` bytes. Raises ValueError when they are negative or do not fit."""
        with self._lock:
            others = sum(held for name, held in self._held.items() if name != label)
            if count < 0 or others + count + _CONTEXT + _IDLE + RESERVED > TOTAL:
                raise ValueError(f"The simulated GPU cannot hold {count} more bytes for {label!r}.")
            self._held[label] = count

    def drop(self, label: str) -> None:
        """Let it go again; a label that is not held is no error."""
        with self._lock:
            self._held.pop(label, None)

    def open(self) -> None:
        """Nothing to open."""

    def sample(self) -> Gpus:
        """The simulated GPU with one simulated process while anything is held, and the idle ones."""
        with self._lock:
            held = dict(self._held)
        now = time.time()
        gpus = tuple(self._gpu(index, {} if index else held, now) for index in range(1 + self._idle))
        return Gpus(available=True, driver="simulated", gpus=gpus, time=now)

    def _gpu(self, index: int, held: dict[str, int], now: float) -> Gpu:
        process = sum(held.values()) + _CONTEXT if held else 0
        used = process + _IDLE
        models = tuple(
            HeldModel(
                repo=label if "simulated" in label else f"{label} (simulated)",
                revision=None, bytes=count, evidence="reported", seen=now,
            )
            for label, count in held.items()
        )  # fmt: skip
        processes = (
            Process(
                pid=os.getpid(), user=None, command=f"simulated process: {', '.join(held)}", memory=process,
                note="simulated", models=models,
            ),
        ) if held else ()  # fmt: skip
        return Gpu(
            index=index, uuid=f"GPU-simulated-{index}", name="simulated GPU 24 GB", sm=self._sm,
            memory=Memory(total=TOTAL, used=used, free=TOTAL - used - RESERVED, reserved=RESERVED),
            utilization=min(97, 20 * len(held)), temperature=36 + 6 * min(5, len(held)),
            power=22.0 + 60.0 * min(5, len(held)), power_limit=450.0, processes=processes, unattributed=_IDLE,
            simulated=True,
        )  # fmt: skip
