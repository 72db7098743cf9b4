"""Which GPU a job may have: those the environment lets it see, the ones without a worker first.

One worker runs on each GPU. Which has one is told by a lock file for each GPU beside the workers' sockets,
which the worker holds while it lives (see `worker/turn.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cachetop.base.files import is_locked
from cachetop.base.hostile import clean
from cachetop.conversion import workers

_NAMED = re.compile(r"cuda:(\d+)\Z")
_BUSY_PERCENT = 50
_UUID = re.compile(r"GPU-[0-9A-Za-z-]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: NVML's index and UUID, free bytes and utilization in % where known, and whether a worker has it."""

    index: int
    uuid: str
    name: str
    free: int | None = None
    utilization: int | None = None
    taken: bool = False

    @property
    def free_to_take(self) -> bool:
        """Whether no worker has it."""
        return not self.taken

    def spec(self) -> dict[str, Any]:
        """Its part of `job.json`."""
        lock = str(_lock(self.uuid))
        return {"index": self.index, "uuid": self.uuid, "name": clean(self.name, 80), "free": self.free, "lock": lock}


def usable(cards: Iterable[Card], device: str, env: Mapping[str, str]) -> list[Card]:
    """The GPUs that `device` (auto, cuda, cuda:N) can mean under CUDA_VISIBLE_DEVICES, in torch's order.

    Empty where torch's numbering cannot be told from here: then the worker leaves the choice to torch. CUDA
    numbers the fastest GPU first unless CUDA_DEVICE_ORDER is PCI_BUS_ID, so numbers count only where that is set or
    all GPUs are of one kind; a UUID may be cut short, as CUDA allows.
    """
    known = sorted((card for card in cards if _UUID.match(card.uuid)), key=lambda card: card.index)
    by_number = env.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len({card.name for card in known}) < 2
    seen = env.get("CUDA_VISIBLE_DEVICES")
    if seen is not None:
        listed: list[Card] = []
        for word in (part.strip() for part in seen.split(",")):
            hits = [card for card in known if word.startswith("GPU-") and card.uuid.startswith(word)]
            if word.isdigit():
                hits = [card for card in known if card.index == int(word)]
                if not by_number:
                    return []
            if len(hits) != 1:
                break  # CUDA sees nothing from the first entry on that makes no sense
            listed += hits
        known, by_number = listed, True
    if found := _NAMED.match(device):
        number = int(found[1])
        return [known[number]] if by_number and number < len(known) else []
    return known


def ordered(cards: Sequence[Card], there: Iterable[workers.Live]) -> list[Card]:
    """The best first: without a worker, then not at work for others, then with most memory free.

    Where every GPU has a worker, the one that has idled longest is ended and its GPU comes first.
    """
    try:
        workers.private_folder()
    except OSError:
        return []  # nowhere to keep the locks; whoever needs the folder for a socket says so
    marked = [replace(card, taken=is_locked(_lock(card.uuid))) for card in cards]
    if all(card.taken for card in marked):
        marked = _make_room(marked, list(there))
    return sorted(
        marked,
        key=lambda card: (card.taken, (card.utilization or 0) >= _BUSY_PERCENT, -(card.free or 0), card.index),
    )


def _make_room(cards: list[Card], there: list[workers.Live]) -> list[Card]:
    idle = [one for one in there if one.answer.get("busy") is False and one.answer.get("gpu")]
    for one in sorted(idle, key=lambda one: -(one.record().idle_seconds or 0.0)):
        for number, card in enumerate(cards):
            if card.uuid == one.answer["gpu"] and workers.end(one):
                # what was free before is no measure any more
                return [*cards[:number], replace(card, taken=False, free=None), *cards[number + 1 :]]
    return cards


def _lock(uuid: str) -> Path:
    return workers.folder() / f"{uuid}.lock"
