"""The journal: what a plan is about to do and has done, one JSON object a line, on disk before anything moves.

A file `<state>/prune/<plan>.jsonl` per executed plan. Whoever works on a plan (execute, undo, emptying) holds an flock
on it. Where an item lies is never taken from the journal alone: a move is done exactly when its number is in the trash.
A torn last line is ignored. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ID = re.compile(r"[0-9a-f]{12}")
_LONGEST = 512 << 20
_MOVING = b'{"event": "moving",'
_ON_A_LINE = 500
"""Items of a plan that are written and read in one go: other threads get their turn in between."""
KEPT = 30 * 86400.0
"""Seconds for which the journal of a plan whose trash is empty is kept."""


def folder(state: Path) -> Path:
    """Where the journals lie below the state folder; made, for its owner alone. Raises OSError."""
    path = state / "prune"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def path(state: Path, plan: str) -> Path:
    """Where the journal of a plan is, or would be."""
    return state / "prune" / f"{plan}.jsonl"


def stop_file(path: Path) -> Path:
    """The file beside a journal that says: unlink nothing of its trash by yourself, a person wants to keep it."""
    return path.with_suffix(".stop")


def is_id(text: str) -> bool:
    """Whether this is how plans are named."""
    return _ID.fullmatch(text) is not None


@dataclass(slots=True)
class Moved:
    """One name that was to go: number in the trash, cache root, folders below it, name, inode, item, role."""

    number: int
    root: str
    parents: tuple[str, ...]
    name: str
    inode: tuple[int, int]
    item: int
    role: str

    @property
    def path(self) -> str:
        """Where it was."""
        return os.path.join(self.root, *self.parents, self.name)


@dataclass(slots=True)
class Story:
    """What a journal tells."""

    id: str
    path: Path
    created: float = 0.0
    items: list[dict[str, Any]] = field(default_factory=list)
    trashes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Cache root -> (device, inode) of the plan's trash folder below it."""
    moves: list[Moved] = field(default_factory=list)
    finished: bool = False
    until: float | None = None
    emptied: bool = False
    undone: bool = False
    held: int | None = None
    """Bytes that the trash was to hold when the plan had been executed; None where nobody wrote it down."""
    freed: int = 0
    """Bytes that unlinking has given back so far."""
    emptying: bool = False
    """Whether unlinking has begun and nothing was written of its end."""
    _before: int = 0
    """What earlier attempts at it gave."""


class Journal:
    """A journal being written. Each `write` is on disk when it returns."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = b""

    def begin(self, items: Sequence[Mapping[str, object]]) -> None:
        """Write down what the plan is about, some hundred items to a line. Raises OSError."""
        self._append(_line("plan", {"items": items[:_ON_A_LINE]}))
        for start in range(_ON_A_LINE, len(items), _ON_A_LINE):
            self._append(_line("items", {"items": items[start : start + _ON_A_LINE]}))
        os.fsync(self._descriptor)

    def later(self, event: str, **more: object) -> None:
        """Append one line with the next `write`: for what has happened, which the trash itself tells as well."""
        self._waiting += _line(event, more)

    def tell(self, event: str, **more: object) -> None:
        """Append one line without waiting for the disk: of interest only while this process lives. Raises OSError."""
        self._append(self._waiting + _line(event, more))

    def write(self, event: str, **more: object) -> None:
        """Append one line and wait until the disk has it. Raises OSError."""
        self._append(self._waiting + _line(event, more))
        os.fsync(self._descriptor)

    def _append(self, lines: bytes) -> None:
        self._waiting = b"\n"  # ends what a full disk tears, so that the next line is one of its own
        view = memoryview(lines)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._waiting = b""


def _line(event: str, more: dict[str, object]) -> bytes:
    return json.dumps({"event": event, "time": time.time(), **more}).encode() + b"\n"


@contextmanager
def create(state: Path, plan: str) -> Iterator[Journal]:
    """Begin the journal of a plan, locked until it is left. Raises OSError, also for a plan that was executed."""
    place = folder(state)
    descriptor = os.open(path(state, plan), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sync_folder(place)
        yield Journal(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reopened(path: Path, wait: bool = False) -> Iterator[Journal | None]:
    """An existing journal, locked, to be continued; None when somebody else works on it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
            return
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")  # end the line that a killed process tore
        yield Journal(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stories(state: Path) -> list[Story]:
    """Every plan that was executed, the newest first, without what was to move. What cannot be read is left out."""
    found = []
    try:
        names = os.listdir(state / "prune")
    except OSError:
        return []
    for name in names:
        plan, _, ending = name.partition(".")
        if ending == "jsonl" and is_id(plan):
            try:
                found.append(read(state / "prune" / name, moves=False))
            except (OSError, ValueError, KeyError, TypeError, IndexError):
                continue
    return sorted(found, key=lambda story: story.created, reverse=True)


def read(path: Path, moves: bool = True) -> Story:
    """One journal. Raises OSError, and ValueError and its like for what is none.

    Without `moves` what was to go is left out, which is most of it.
    """
    story = Story(path.name.partition(".")[0], path)
    with open(path, "rb") as file:
        raw = file.read(_LONGEST)
    for line in raw.split(b"\n"):
        if not line or (not moves and line.startswith(_MOVING)):
            continue
        try:
            told = json.loads(line)
        except ValueError:
            continue  # a torn line
        if isinstance(told, dict):
            _take(story, told)
    return story


def _take(story: Story, told: dict[str, Any]) -> None:
    event = told.get("event")
    if event == "plan":
        story.created, story.items = float(told["time"]), list(told["items"])
    elif event == "items":
        story.items += told["items"]
    elif event == "trash":
        story.trashes[str(told["root"])] = (int(told["device"]), int(told["inode"]))
    elif event == "moving":
        for number, root, parents, name, inode, item, role in told["moves"]:
            story.moves.append(
                Moved(
                    int(number),
                    str(root),
                    tuple(parents),
                    str(name),
                    (int(inode[0]), int(inode[1])),
                    int(item),
                    str(role),
                )
            )
    elif event == "finished":
        story.finished, story.until = True, told.get("until")
        story.held = int(told["held"]) if isinstance(told.get("held"), int) else None
    elif event == "emptying":
        story._before, story.emptying = story.freed, True
    elif event in ("unlinking", "stopped", "stuck", "emptied"):
        story.freed = story._before + int(told.get("freed", 0))
        story.emptied |= event == "emptied"
        story.emptying = event == "unlinking"
    elif event == "undone":
        story.undone = True
