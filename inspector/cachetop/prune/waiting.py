"""What lies in the trash: until when, how far unlinking it is, and stopping that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cachetop.base import units
from cachetop.base.record import Record
from cachetop.prune import journal
from cachetop.prune.recover import holding, holds, is_at_work

_PATIENCE = 5.0
"""Seconds to wait for a process that unlinks to notice that it is to stop."""


class Waiting(Record, frozen=True):
    """The trash of one plan. Bytes as in `cachetop.result/1`, times since the epoch; unknown is None.

    `state`: `moving` (the plan is being carried out), `held` (undo brings it back), `emptying` (a process unlinks it
    now), `stopped` (somebody stopped that: it stays until it is asked for), `due` (its time is over and no process
    unlinks it).
    """

    id: str
    state: str
    items: int | None = None
    held: int | None = None
    freed: int = 0
    until: float | None = None

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        count = "" if self.items is None else "1 item, " if self.items == 1 else f"{self.items} items, "
        said = f"Plan {self.id}: {count}{units.size(self.held)}"
        freed = f"{units.size(self.freed)} freed so far"
        if self.state == "moving":
            return f"{said}, being moved there now."
        if self.state == "emptying":
            return f"{said}, being unlinked now, {freed}."
        if self.state == "stopped" and not self.freed:
            return f"{said}, kept until you empty the trash."
        if self.state == "stopped":
            return f"{said}, unlinking was stopped with {freed}; the rest is kept until you empty the trash."
        if self.state == "held":
            return f"{said}, can be brought back until {units.clock(self.until or 0)}."
        return f"{said}, left over, {freed}."


def sentences(there: Sequence[Waiting]) -> tuple[str, ...]:
    """How many plans have something in the trash, and one sentence on each."""
    count = "1 plan has" if len(there) == 1 else f"{len(there)} plans have"
    return (f"{count} something in the trash", *(one.sentence for one in there))


def look(state: Path, roots: Sequence[str]) -> list[Waiting]:
    """Every plan with something in the trash, below the state folder and the cache roots."""
    return [_of(plan, path) for _, plan, path in holding(state, roots)]


def look_at(state: Path, plan: str) -> Waiting | None:
    """One plan; None when nothing of it is in the trash any more."""
    path = journal.path(state, plan)
    story = _story(plan, path)
    return _of(plan, path) if any(holds(story, root) for root in story.trashes) else None


def stop(state: Path, roots: Sequence[str], patience: float = _PATIENCE) -> list[Waiting]:
    """Keep what is in the trash from being unlinked, at a deadline or right now; returns what is left there.

    It stays until it is brought back or somebody empties the trash. Half unlinked folders are not brought back. A
    process that unlinks is given `patience` seconds to notice. Raises OSError when the state folder cannot be written.
    """
    paths = [path for _, _, path in holding(state, roots) if path is not None]
    for path in paths:
        journal.stop_file(path).touch(mode=0o600)
    deadline = time.monotonic() + patience
    left = look(state, roots)
    while any(one.state == "emptying" for one in left) and time.monotonic() < deadline:
        time.sleep(0.05)
        left = look(state, roots)
    return left


def _story(plan: str, path: Path) -> journal.Story:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return journal.read(path, moves=False)
    return journal.Story(plan, path)


def _of(plan: str, path: Path | None) -> Waiting:
    if path is None:
        return Waiting(id=plan, state="due")
    story = _story(plan, path)
    # only then: looking takes the lock, and an undo does not wait for it
    if (story.emptying or not story.finished) and is_at_work(path):
        state = "emptying" if story.emptying else "moving"
    elif journal.stop_file(path).exists():
        state = "stopped"
    else:
        state = "held" if story.until is not None and time.time() < story.until else "due"
    return Waiting(id=plan, state=state, items=len(story.items), held=story.held, freed=story.freed, until=story.until)
