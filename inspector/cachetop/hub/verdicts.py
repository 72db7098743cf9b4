"""What checksums said of contents, kept in the state folder until a content changes.

Two files: `verified.json` has what was sound, which spares a later check the reading; `damaged.json` what was not, or
what the disk no longer gave, which every look at the cache takes up. Both name a content by (device, inode, mtime,
size), so that what is said of it ends with it: a file that was replaced or deleted is another one. Several processes
may check at the same time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from cachetop import locations
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.hub.contents import Blob

_SOUND, _DAMAGED, _LOCK = "verified.json", "damaged.json", "verified.lock"
_KEPT = 200_000
_LIMIT = 64 << 20
_PART = 2000
"""Contents on a line of the files, which are read and written a line at a time: other threads get their turn."""
_BETWEEN = b",\n"

Identity = str
"""`device:inode:mtime:size` of a content."""


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with one content: its `algorithm` gives `digest`, not `expected`, or it could not be read."""

    algorithm: str
    digest: str
    expected: str
    error: str = ""
    """Why reading failed, where it did: there is no `digest` then."""


def identity(blob: Blob) -> Identity:
    """What names a content for as long as it does not change."""
    return f"{blob.device}:{blob.inode}:{blob.modified!r}:{blob.size}"


class Verdicts:
    """Looks up and notes what is known of contents. Safe to use from several threads; never raises for its files."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = Lock()
        self._sound: dict[Identity, str] = _load(self._path(_SOUND), dict[str, str])
        self._fresh: dict[Identity, str | Damage] = {}
        """What was found since the last time it was saved."""
        self.unkept: str | None = None
        """Why the last time it could not be saved."""

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name

    def is_sound(self, blob: Blob, expected: str) -> bool:
        """Whether an earlier check found that it has the hash `expected`."""
        return self._sound.get(identity(blob)) == expected

    def note(self, blob: Blob, found: str | Damage) -> None:
        """Remember the hash of a sound content, or what is wrong with it."""
        with self._lock:
            self._fresh[identity(blob)] = found
            if isinstance(found, str):
                self._sound[identity(blob)] = found
            else:
                self._sound.pop(identity(blob), None)

    def save(self) -> None:
        """Write what was found since the last time, beside what others wrote meanwhile."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        if self._folder is None or not fresh:
            return
        sound = {key: found for key, found in fresh.items() if isinstance(found, str)}
        damaged = {key: found for key, found in fresh.items() if not isinstance(found, str)}
        try:
            with _alone(self._folder):
                _change(self._folder / _DAMAGED, dict[str, Damage], damaged, sound)
                _change(self._folder / _SOUND, dict[str, str], sound, damaged)
            self.unkept = None
        except OSError as error:
            with self._lock:
                self._fresh = fresh | self._fresh  # for the next time
            self.unkept = f"What was found could not be kept in {clean(self._folder)}: {why(error)}."


class Damages:
    """The contents that a check found damaged, as its file says now: read again when that changed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or locations.state_dir()) / _DAMAGED
        self._mark: tuple[int, int, int] | None = None
        self._known: dict[Identity, Damage] = {}
        self._inodes: frozenset[int] = frozenset()

    @property
    def any(self) -> bool:
        """Whether anything is damaged."""
        return bool(self._known)

    def refresh(self) -> bool:
        """Take up what the file says now; returns whether that is something new."""
        try:
            status = os.stat(self._path)
            mark = status.st_ino, status.st_mtime_ns, status.st_size
        except OSError:
            mark = None
        if mark == self._mark:
            return False
        self._mark = mark
        self._known = _load(self._path, dict[str, Damage])
        self._inodes = frozenset(int(key.split(":")[1]) for key in self._known)
        return True

    def of(self, blob: Blob) -> Damage | None:
        """What is wrong with a content; None where nothing is known to be."""
        return self._known.get(identity(blob)) if blob.inode in self._inodes else None


def _load(path: Path | None, kind: Any) -> Any:
    if path is None:
        return {}
    try:
        with open(path, "rb") as file:
            found = _decoded(file.read(_LIMIT), kind)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if key.count(":") == 3 and key.split(":")[1].isdecimal()}


def _decoded(raw: bytes, kind: Any) -> Any:
    """The JSON object `raw`. Raises msgspec.MsgspecError."""
    decoder = msgspec.json.Decoder(kind)
    found: dict[Identity, Any] = {}
    if not (raw.startswith(b"{") and raw.endswith(b"}")):
        return decoder.decode(raw)
    try:
        for line in raw[1:-1].split(_BETWEEN):
            found |= decoder.decode(b"{%b}" % line)
    except msgspec.MsgspecError:  # laid out otherwise
        return decoder.decode(raw)
    return found


def _encoded(found: Mapping[Identity, Any]) -> Iterator[bytes]:
    """A JSON object, `_PART` members to a line."""
    left = iter(found.items())
    yield b"{"
    between = b""
    while part := dict(islice(left, _PART)):
        yield between + msgspec.json.encode(part)[1:-1]
        between = _BETWEEN
    yield b"}"


def _change(path: Path, kind: Any, more: Mapping[Identity, Any], gone: Mapping[Identity, Any]) -> None:
    """Add to a file and take out of it. Raises OSError."""
    kept = _load(path, kind)
    before = dict(kept)
    for key in (*more, *gone):  # what comes last is kept longest
        kept.pop(key, None)
    kept |= more
    if kept == before:
        return
    fresh = path.with_name(f"{path.name}.new")  # nobody else writes meanwhile
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.writelines(_encoded(dict(islice(kept.items(), max(0, len(kept) - _KEPT), None))))
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of those who write. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / _LOCK, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
