"""Offline checksums: does a blob's content still have the hash that is its name?

A name of 64 hex digits is the sha256 of an LFS file; one of 40 is git's sha1 of a blob (`blob <size>\\0` and the
content), for small files. A file kept without a blob is checked where the revision's stored file list names its
hash. A payload of the shared store is named by its xet hash, which cannot be computed here, but the link to it is
named by its sha256. Everything else cannot be checked offline, and is said to be so.

Results are kept by (device, inode, mtime, size): content that was sound stays so while these hold.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from threading import Lock

import msgspec

from cachetop.base.hostile import clean
from cachetop.base.record import Record, why
from cachetop.hub.contents import Blob
from cachetop.hub.records import Repo
from cachetop.hub.scan import Known, Scanner
from cachetop.hub.warm import opened

SCHEMA = "cachetop.verify/1"
_CHUNK = 1 << 20
_HEX = re.compile(r"[0-9a-f]+")
_KEPT = 200_000
_THREADS = 2
_AHEAD = 16
"""Contents handed to the threads ahead of time."""
_SAVE_EVERY = 30.0


class Checked(Record, frozen=True):
    """One content. `state`: sound, damaged, unchecked (nothing to check it by) or unreadable."""

    repo: str
    type: str
    file: str | None
    blob: str | None
    size: int
    state: str
    algorithm: str | None = None
    remembered: bool = False
    """Sound according to an earlier check of the same inode, time and size."""
    message: str | None = None


class Verification(Record, frozen=True):
    """What a run found (`cachetop.verify/1`). `complete`: it was not cancelled."""

    schema: str = SCHEMA
    complete: bool = True
    sound: int = 0
    damaged: int = 0
    unchecked: int = 0
    unreadable: int = 0
    bytes: int = 0
    """Bytes read by this run."""
    seconds: float = 0.0
    files: tuple[Checked, ...] = ()


class Progress(Record, frozen=True):
    """How far a run is: bytes and files of those that have to be read."""

    done: int
    total: int
    files: int
    of: int


class _Task(msgspec.Struct):
    repo: Repo
    known: Known
    file: str | None
    key: str | None
    """The blob's name on disk; None for a real file, which lies in the folder of `commit`."""
    commit: str | None
    blob: Blob
    algorithm: str | None
    expected: str


class Verifier:
    """Checks repos of one scanner, on both cores. `store` is where results are kept; None keeps nothing."""

    def __init__(self, scanner: Scanner, store: Path | None) -> None:
        self._scanner = scanner
        self._store = store
        self._known = _load(store)
        self._stop = False
        self._bytes = 0
        self._counting = Lock()

    def cancel(self) -> None:
        """Stop soon; what was checked so far is reported and kept."""
        self._stop = True

    def run(
        self, repos: Sequence[Repo], progress: Callable[[Progress], None] | None = None, afresh: bool = False
    ) -> Verification:
        """Check every content of `repos`, each once. `afresh` reads again what was sound before."""
        began = saved = time.perf_counter()
        found: list[Checked] = []
        waiting: list[_Task] = []
        for task in (task for repo in repos for task in self._tasks(repo)):
            if task.algorithm is None:
                found.append(_checked(task, "unchecked", message=_UNCHECKED))
            elif not afresh and self._known.get(_identity(task.blob)) == task.expected:
                found.append(_checked(task, "sound", remembered=True))
            else:
                waiting.append(task)
        total, done = sum(task.blob.size for task in waiting), 0
        queue = iter(waiting)
        with ThreadPoolExecutor(_THREADS, "cachetop-verify") as pool:
            pending = {pool.submit(self._check, task) for task in islice(queue, _AHEAD)}
            try:
                while pending:
                    finished, pending = wait(pending, 0.2, FIRST_COMPLETED)
                    pending |= {pool.submit(self._check, task) for task in islice(queue, len(finished))}
                    results = [result for future in finished if (result := future.result())]
                    found += results
                    done += len(results)
                    if progress and (finished or self._bytes):
                        progress(Progress(done=self._bytes, total=total, files=done, of=len(waiting)))
                    if time.perf_counter() - saved > _SAVE_EVERY:
                        self._save()
                        saved = time.perf_counter()
            except BaseException:
                self._stop = True  # the threads end at their next chunk
                raise
            finally:
                self._save()
        states = Counter(one.state for one in found)
        return Verification(
            complete=not self._stop,
            sound=states["sound"],
            damaged=states["damaged"],
            unchecked=states["unchecked"],
            unreadable=states["unreadable"],
            bytes=self._bytes,
            seconds=time.perf_counter() - began,
            files=tuple(found),
        )

    def _tasks(self, repo: Repo) -> list[_Task]:
        """Each content of a repo once, the large ones first."""
        known = self._scanner.find(repo)
        if known is None:
            return []
        contents = known.contents
        files = {
            file.blob: file.name for snapshot in contents.snapshots for file in reversed(snapshot.files) if file.blob
        }
        tasks = [
            _Task(repo, known, files.get(clean(key)), key, None, blob, _algorithm(key), key)
            for key, blob in contents.blobs.items()
        ]
        if any(snapshot.kept for snapshot in contents.snapshots):
            with opened(known) as hold:
                for snapshot in contents.snapshots:
                    tree = self._scanner.trees.get(hold.top, snapshot.commit, etags=True) if hold else None
                    hashes = {name: etag for etag, (name, _) in tree.etags.items()} if tree else {}
                    for name, blob in snapshot.kept.items():
                        etag = hashes.get(contents.names.get(name, name), "")
                        tasks.append(_Task(repo, known, name, None, snapshot.commit, blob, _algorithm(etag), etag))
        return sorted(tasks, key=lambda task: -task.blob.size)

    def _check(self, task: _Task) -> Checked | None:
        """The result for one content; None when cancelled."""
        with opened(task.known) as hold:
            if self._stop:
                return None
            descriptor = None
            if hold is not None and task.key is not None:
                descriptor = hold.open_blob(task.key)
            elif hold is not None and task.commit is not None and task.file is not None:
                descriptor = hold.open_kept(task.commit, task.file, task.blob)
        if descriptor is None:
            return _checked(task, "unreadable", message="It changed since the scan, or may not be read.")
        try:
            digest = self._digest(task, descriptor)
        except OSError as error:
            return _checked(task, "unreadable", message=f"Reading failed: {why(error)}.")
        finally:
            os.close(descriptor)
        if digest is None:
            return None
        if digest != task.expected:
            self._known.pop(_identity(task.blob), None)
            return _checked(
                task,
                "damaged",
                message=f"Its {task.algorithm} is {digest[:12]}…, not {task.expected[:12]}…: download the repo again.",
            )
        self._known[_identity(task.blob)] = task.expected
        return _checked(task, "sound")

    def _digest(self, task: _Task, descriptor: int) -> str | None:
        if task.algorithm == "sha256":
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % task.blob.size, usedforsecurity=False)
        at = 0
        while chunk := os.pread(descriptor, _CHUNK, at):
            digest.update(chunk)
            at += len(chunk)
            with self._counting:
                self._bytes += len(chunk)
            if self._stop:
                return None
        return digest.hexdigest()

    def _save(self) -> None:
        if self._store is None:
            return
        kept = dict(list(self._known.copy().items())[-_KEPT:])
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._store.with_name(f"{self._store.name}.{os.getpid()}")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as stream:
                stream.write(msgspec.json.encode(kept))
            fresh.replace(self._store)
        except OSError:
            pass  # a result that cannot be kept costs a second reading, no more


_UNCHECKED = "Its name is no hash of its content, so nothing here tells what it should be."


def _checked(task: _Task, state: str, remembered: bool = False, message: str | None = None) -> Checked:
    return Checked(
        repo=task.repo.id,
        type=task.repo.type,
        file=task.file,
        blob=clean(task.key) if task.key else None,
        size=task.blob.size,
        state=state,
        algorithm=task.algorithm,
        remembered=remembered,
        message=message,
    )


def _identity(blob: Blob) -> str:
    return f"{blob.device}:{blob.inode}:{blob.modified!r}:{blob.size}"


def _load(store: Path | None) -> dict[str, str]:
    if store is None:
        return {}
    try:
        return msgspec.json.decode(store.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}


def _algorithm(name: str) -> str | None:
    if not _HEX.fullmatch(name):
        return None
    return {64: "sha256", 40: "git-sha1"}.get(len(name))
