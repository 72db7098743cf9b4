"""One worker a GPU: a job takes the first GPU that is free, in the order the launcher gave, or waits for one.

A GPU's lock is a file beside the sockets, held (flock) by the worker that uses the GPU for as long as it lives,
idle or not; the kernel lets go of it for a worker that dies. The worker sees no other GPU than its own.
"""

import fcntl
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from .control import Control
from .record import Recorder

_EVERY = 0.2
_LOOKED_AT = 0.1
"""Seconds for which a lock may be held by somebody who only looks whether it is."""
_SAY = 5.0
"""Seconds between two words about waiting."""


@dataclass(frozen=True)
class Card:
    """A GPU as the launcher described it: NVML's index, UUID and free bytes (None unknown), and its lock's path."""

    index: int
    uuid: str
    name: str
    free: int | None
    lock: str


def cards(told: Any) -> tuple[Card, ...]:
    """The GPUs of a job, best first. Raises ValueError, KeyError, TypeError."""
    return tuple(
        Card(
            int(one["index"]), str(one["uuid"]), str(one["name"]),
            None if one.get("free") is None else int(one["free"]), str(one["lock"]),
        )
        for one in told or ()
    )  # fmt: skip


class Turn:
    """The GPU this worker has; kept until it ends, or until it turns out that no GPU is used."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lock = -1
        self.card: Card | None = None

    def take(self, choices: tuple[Card, ...], need: int | None, control: Control, job_lock: int) -> None:
        """Take a GPU, waiting for one if all are taken; the job counts as queued meanwhile.

        `need` is the bytes that must be free there, None unknown. Raises Cancelled.
        """
        roomy = [card for card in choices if card.free is None or need is None or card.free >= need]
        fitting = tuple(roomy) or choices[:1]  # where none has room, the device checks say so
        if not fitting or self.card is not None or "torch" in sys.modules:
            return
        began, said = time.monotonic(), None
        while not any(self._try(card) for card in fitting):
            now = time.monotonic()
            if now - began < _LOOKED_AT:
                time.sleep(_LOOKED_AT / 5)
                continue
            if said is None or now - said >= _SAY:
                said = now
                _mark(job_lock, "queued")
                self._recorder.emit(
                    "waiting", file=None, stage="gpu", pages=[], seconds=round(now - began, 3),
                    message="; ".join(f"GPU {card.index} is taken by {_holder(card)}" for card in fitting),
                )  # fmt: skip
            control.check()
            time.sleep(_EVERY)
        assert self.card is not None
        _mark(job_lock, "")
        os.environ["CUDA_VISIBLE_DEVICES"] = self.card.uuid
        self._recorder.emit(
            "gpu", index=self.card.index, uuid=self.card.uuid, name=self.card.name,
            waited=0.0 if said is None else round(time.monotonic() - began, 3),
            message=_why(self.card, fitting, choices),
        )  # fmt: skip

    def _try(self, card: Card) -> bool:
        try:
            lock = os.open(card.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            self.card = card  # without a place for locks nobody can wait for another
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        _mark(lock, self._recorder.job or "")
        self._lock, self.card = lock, card
        return True

    def leave(self) -> None:
        """The models run elsewhere: let others have the GPU."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self.card = -1, None


def _mark(lock: int, word: str) -> None:
    """Write into a lock who holds it and what for."""
    if lock >= 0:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {word}".rstrip().encode() + b"\n", 0)


def _holder(card: Card) -> str:
    try:
        with open(card.lock, encoding="ascii", errors="replace") as file:
            words = file.read(128).split()
    except OSError:
        return "another worker"
    if len(words) > 1:
        return f"the worker of job {words[1]}"
    return f"process {words[0]}" if words else "another worker"


def _why(card: Card, fitting: tuple[Card, ...], choices: tuple[Card, ...]) -> str:
    free = "" if card.free is None else f", {card.free >> 20} MiB free"
    said = f"GPU {card.index} ({card.name}{free})"
    if len(choices) == 1:
        return f"{said} is the only one to choose from."
    passed = fitting[: fitting.index(card)]
    if passed:
        return f"{said}; {', '.join(f'GPU {one.index} is taken by {_holder(one)}' for one in passed)}."
    if card != choices[0]:
        return f"{said} has room for the models; {', '.join(f'GPU {one.index}' for one in choices[:1])} has not."
    return f"{said} is the best of {len(choices)}: not taken, and the most memory free."
