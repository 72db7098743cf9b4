"""What a killed process left behind: found at the next start, finished or taken back, and said.

An item counts as deleted when all its names are in the trash; one of which only some are is moved back, so that no
cache is left with half of something. Then the trash is emptied as it would have been.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cachetop.prune import emptier, journal, trash
from cachetop.prune.undo import restore
from cachetop.prune.unlink import Gone

_SETTLED = ("blob", "payload", "manifest")


def recover(state: Path, now: float | None = None) -> list[str]:
    """Bring every plan that was cut short to an end; returns a sentence for each. Never raises OSError.

    A plan that another process works on is left to it. Journals whose trash is gone go after thirty days.
    """
    moment = time.time() if now is None else now
    said = []
    for story in journal.stories(state):
        with suppress(OSError):
            said += _one(story, moment)
    return said


def _one(story: journal.Story, now: float) -> list[str]:
    if not story.finished:
        return _finish(story, now)
    holding = any(holds(story, root) for root in story.trashes)
    if not holding:
        if now - story.created > journal.KEPT:
            os.unlink(story.path)
        with suppress(FileNotFoundError):
            os.unlink(journal.stop_file(story.path))
        return []
    if journal.stop_file(story.path).exists():
        return []  # somebody wants to keep it
    if story.until is None or now >= story.until:
        emptier.start(story.path, now)  # its process was killed, or the machine was off at the deadline
        return [f"The trash of plan {story.id} was left over and is being emptied now."]
    return []


def _finish(story: journal.Story, now: float) -> list[str]:
    with journal.reopened(story.path) as record:
        if record is None:
            return []  # it is being executed
        story = journal.read(story.path)
        if story.finished:
            return []
        there: set[int] = set()
        for root, inode in story.trashes.items():
            with trash.opened(root, story.id, inode) as found:
                if found is not None:
                    there |= {int(name) for name in os.listdir(found[1]) if name.isdigit()}
        needed: dict[int, list[bool]] = {}
        for one in story.moves:
            if one.role not in _SETTLED:
                needed.setdefault(one.item, []).append(one.number in there)
        half = {item for item, moved in needed.items() if any(moved) and not all(moved)}
        whole = sum(all(moved) for moved in needed.values())
        restore(story, half)
        record.write("finished", until=now, recovered=True)
    emptied = "" if not there else " The rest of its trash is being emptied."
    if there:
        emptier.start(story.path, now + 15 * 60)
        emptied = " They can be brought back for 15 minutes: cachetop undo."
    return [
        f"Plan {story.id} was cut short: {whole} of {len(story.items)} items had gone, "
        f"{len(half)} half-moved ones were put back.{emptied}"
    ]


def holds(story: journal.Story, root: str) -> bool:
    """Whether anything of a plan is in the trash below one cache root."""
    with suppress(OSError):
        for name in os.listdir(root):
            if name.startswith(trash.name_of(story.id)):
                return True
    return False


def empty_all(state: Path, roots: Sequence[str], progress: trash.Progress | None = None) -> tuple[Gone, int]:
    """Empty every trash now, known to a journal or not; returns what went and how many plans had something."""
    total = Gone()
    waiting = holding(state, roots)
    for root, plan, path in waiting:
        gone = Gone()
        try:
            if path is not None:
                with suppress(FileNotFoundError):
                    os.unlink(journal.stop_file(path))
                gone = trash.finish(path, progress)
            else:
                trash.empty_root(root, plan, None, gone, progress)
        except OSError as error:
            gone.errors.append((plan, error))
        total.add(gone)
    return total, len(waiting)


def holding(state: Path, roots: Sequence[str]) -> list[tuple[str, str, Path | None]]:
    """(cache root, plan, journal) of everything that lies in a trash; for one without a journal the last is None."""
    found: list[tuple[str, str, Path | None]] = []
    known = journal.stories(state)
    for story in known:
        root = next((root for root in story.trashes if holds(story, root)), None)
        if root is not None:
            found.append((root, story.id, story.path))
    paths = {story.id: story.path for story in known}
    told = {(os.path.realpath(root), story.id) for story in known for root in story.trashes}
    for root, plan in trash.leftovers(list(roots)):
        if (os.path.realpath(root), plan) not in told and not is_at_work(paths.get(plan)):
            found.append((root, plan, None))
    return found


def is_at_work(path: Path | None) -> bool:
    """Whether a process works on the plan with this journal now. Looking takes the lock for a moment."""
    if path is None:
        return False
    try:
        with journal.reopened(path) as record:
            return record is None
    except OSError:
        return False
