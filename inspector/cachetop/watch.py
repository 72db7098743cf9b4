"""Say at once that something changed below a cache root, and say honestly when that cannot be done.

One inotify watch (through watchdog) on each root, not recursive, for names that come, move and go: kernel
entries are immutable once complete, so their insides need no watch. Only the Inductor tree is watched
recursively, up to `MOST_FOLDERS` folders. Opens and reads are filtered out: with them in the mask, watchdog
7.1 floods its own queue on large trees. Where inotify sees nothing (network file systems) or has no room
(exhausted watches), the root is left to polling by the caller and `mode` says so.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachetop.base import mounts
from cachetop.base.hostile import clean
from cachetop.base.record import why

if TYPE_CHECKING:
    from watchdog.observers.api import ObservedWatch

MOST_FOLDERS = 4000


@dataclass(frozen=True, slots=True)
class Target:
    """A folder to watch: `id` is given back with every change below it."""

    id: str
    path: str
    recursive: bool = False
    files: bool = True
    """Whether files matter too, or only folders (a Triton root holds one folder per entry)."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How changes are noticed now: `inotify`, `polling`, or `mixed`, and why it is not inotify alone."""

    name: str
    reason: str | None = None


class Watcher:
    """Watches targets; calls `changed(target_id)` from a thread of its own after something moved there.

    `changed(None)` means that events were lost and everything must be looked at again. With `named`, an event with
    a path below its target calls `named(target_id, path)` instead, so that only what is there need be looked at.
    """

    def __init__(self, changed: Callable[[str | None], None], named: Callable[[str, str], None] | None = None) -> None:
        self._changed = changed
        self._named = named
        self._observer: Any = None
        self._watches: dict[str, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._refused: dict[str, str] = {}
        self._gone: set[str] = set()
        self._lock = threading.Lock()
        self._overflow = _Overflow(lambda: changed(None))

    def start(self) -> None:
        """Start the observer thread. Nothing is watched before `watch`."""
        from watchdog.observers import Observer

        # 7.1 warns about quick nested folders with a text that holds every watch: it would wreck a screen.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")
        observer = Observer()
        observer.daemon = True
        logging.getLogger("watchdog.observers").addHandler(self._overflow)
        try:
            observer.start()
        except OSError as error:
            self._refused["*"] = f"inotify is not available ({why(error)})"
            return
        self._observer = observer

    def stop(self) -> None:
        """Stop watching; returns without waiting for the observer's thread."""
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()

    def watch(self, targets: Iterable[Target]) -> frozenset[str]:
        """Make the watches match `targets`; returns the ids that inotify covers now.

        Cheap to call each second: a folder that appeared is added, one that went or was replaced is dropped.
        """
        wanted = {target.id: target for target in targets}
        with self._lock:
            for name in [name for name in self._watches if name not in wanted]:
                self._drop(name)
            self._refused = {k: v for k, v in self._refused.items() if k in wanted or k == "*"}
            for target in wanted.values():
                self._ensure(target)
            return frozenset(self._watches)

    @property
    def mode(self) -> Mode:
        """How changes are noticed now."""
        with self._lock:
            reason = next(iter(self._refused.values()), None)
            if reason is None:
                return Mode("inotify")
            return Mode("mixed" if self._watches else "polling", reason)

    def _ensure(self, target: Target) -> None:
        path = os.path.realpath(target.path)
        try:
            status = os.stat(path)
        except OSError:
            self._drop(target.id)
            self._refused.pop(target.id, None)
            return
        identity = (status.st_dev, status.st_ino)
        if target.id in self._watches:
            if self._watches[target.id][1] == identity and target.id not in self._gone:
                return
            self._drop(target.id)
        if self._observer is None or target.id in self._refused:
            return
        kind = mounts.filesystem(path)
        if kind and mounts.changed_elsewhere(kind):
            self._refused[target.id] = f"{clean(target.path)} is on {kind}: changes made elsewhere are not announced"
            return
        before = _registered() if target.recursive else None
        if target.recursive and _folders(path, MOST_FOLDERS) > MOST_FOLDERS:
            self._refused[target.id] = f"{clean(target.path)} has more than {MOST_FOLDERS} folders"
            return
        try:
            watch = self._observer.schedule(
                _handler(self._on_event, target.id, path),
                path,
                recursive=target.recursive,
                event_filter=_events(target),
            )
        except OSError as error:
            self._refused[target.id] = f"{clean(target.path)} cannot be watched ({why(error)})"
            return
        self._watches[target.id] = (watch, identity)
        if before is not None and (got := _registered() - before) < (wanted := _folders(path, MOST_FOLDERS) + 1):
            self._drop(target.id)  # watchdog says nothing when the watches run out below the root
            self._refused[target.id] = (
                f"{clean(target.path)} has {wanted} folders and only {got} could be watched: "
                "raise fs.inotify.max_user_watches"
            )
            return
        self._changed(target.id)  # whatever came between the last look and the watch

    def _on_event(self, name: str, paths: tuple[str, ...], root_went: bool) -> None:
        if root_went:  # its inode number may be reused at once, so the identity alone would not tell
            self._gone.add(name)
        if self._named is None or root_went:
            self._changed(name)
            return
        for path in paths:
            self._named(name, path)

    def _drop(self, name: str) -> None:
        held = self._watches.pop(name, None)
        self._gone.discard(name)
        if held and self._observer is not None:
            try:
                self._observer.unschedule(held[0])
            except (KeyError, OSError):
                pass  # its folder is gone and watchdog dropped it first


class _Overflow(logging.Handler):
    """watchdog tells of lost events only in its log."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._lost()


def _handler(report: Callable[[str, tuple[str, ...], bool], None], name: str, root: str) -> Any:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            paths = tuple(os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)
            went = event.event_type in ("deleted", "moved") and paths[:1] == (root,)
            report(name, tuple(path for path in paths if path.startswith(f"{root}/")), went)

    return Handler()


def _events(target: Target) -> list[Any]:
    from watchdog import events as e

    folders: list[Any] = [e.DirCreatedEvent, e.DirMovedEvent, e.DirDeletedEvent]
    files: list[Any] = [e.FileCreatedEvent, e.FileMovedEvent, e.FileDeletedEvent, e.FileClosedEvent]
    return folders + files if target.files else folders


def _registered() -> int:
    """How many inotify watches this process holds, as the kernel counts them."""
    count = 0
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            with open(f"/proc/self/fdinfo/{name}", "rb") as about:
                count += about.read().count(b"inotify wd:")
        except OSError:
            continue
    return count


def _folders(path: str, most: int) -> int:
    """How many folders lie below `path`, counted up to just over `most`."""
    count, stack = 0, [path]
    while stack and count <= most:
        try:
            with os.scandir(stack.pop()) as entries:
                below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        count += len(below)
        stack += below
    return count
