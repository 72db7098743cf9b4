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
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock

from cachetop.base.record import Problem, Record, why
from cachetop.base.turns import in_turns
from cachetop.hub.checking import BAD, Checked, Task, batches, broken, tasks
from cachetop.hub.contents import inode
from cachetop.hub.problems import BLIND
from cachetop.hub.records import Repo
from cachetop.hub.scan import Scanner
from cachetop.hub.verdicts import Damage, Identity, Verdicts, identity
from cachetop.hub.warm import holds_a_token

SCHEMA = "cachetop.verify/1"
_CHUNK = 1 << 20
_THREADS = 2
_AHEAD = 4
"""Batches handed to the threads ahead of time."""
_SAVE_EVERY = 30.0
_ROUNDS = 3
"""How often what changed under the reader is looked at again."""
_TOKEN = "It holds a login token (HF_TOKEN_PATH), so it is not read."
_UNCHECKED = "Its name is no hash of its content, so nothing here tells what it should be."


class Verification(Record, frozen=True):
    """What a run found (`cachetop.verify/1`). `complete`: it was not cancelled."""

    schema: str = SCHEMA
    complete: bool = True
    sound: int = 0
    damaged: int = 0
    unchecked: int = 0
    unreadable: int = 0
    removed: int = 0
    remembered: int = 0
    """Of the sound ones those that an earlier check found so."""
    bytes: int = 0
    """Bytes read by this run."""
    seconds: float = 0.0
    files: tuple[Checked, ...] = ()
    unkept: str | None = None
    """Why what was found could not be kept, where that is so: nothing else lists it, and it will be read again."""


class Progress(Record, frozen=True):
    """How far a run is: bytes and files of those that have to be read."""

    done: int
    total: int
    files: int
    of: int


class _Cancelled(Exception):
    """In the middle of a content."""


class Verifier:
    """Checks repos of one scanner, on both cores. Results are kept below the folder `state`; None keeps nothing."""

    def __init__(self, scanner: Scanner, state: Path | None) -> None:
        self._scanner = scanner
        self._verdicts = Verdicts(state)
        self._sound: set[tuple[Identity, str]] = set()
        """What this run found sound: repos that share a content have it read once."""
        self._stop = False
        self._bytes = 0
        self._counting = Lock()

    def cancel(self) -> None:
        """Stop soon; what was checked so far is reported and kept."""
        self._stop = True

    def run(
        self,
        repos: Sequence[Repo],
        progress: Callable[[Progress], None] | None = None,
        afresh: bool = False,
        tell: Callable[[Checked], None] | None = None,
    ) -> Verification:
        """Check every content of `repos`, each once. `afresh` reads again what was sound before.

        `tell` is called with each content that is damaged or unreadable, as soon as that is found and kept. What
        changes while it is read is looked at again. Both are called in this thread, which is the scanner's.
        """
        began = time.perf_counter()
        found: list[Checked] = []
        waiting: list[Task] = []
        for task in in_turns((task for repo in repos for task in tasks(repo, self._scanner)), 8):
            if holds_a_token(task.blob):
                found.append(task.result("unchecked", _TOKEN))
            elif task.algorithm is None:
                found.append(task.result("unchecked", _UNCHECKED))
            elif not afresh and self._verdicts.is_sound(task.blob, task.expected):
                found.append(task.result("sound", remembered=True))
            else:
                waiting.append(task)
        of, (waiting, later) = len(waiting), _apart(waiting)
        total = sum(task.blob.size for task in waiting)
        done = 0

        def step(results: Sequence[Checked]) -> None:
            nonlocal done
            found.extend(results)
            done += len(results)
            for one in results:
                if tell and one.state in BAD:
                    tell(one)
            if progress:
                progress(Progress(done=min(self._bytes, total), total=total, files=min(done, of), of=of))

        try:
            for left in reversed(range(_ROUNDS)):
                waiting = self._round(waiting, step, last=not left)
                if self._stop or not (waiting or later):
                    break
                waiting, settled = self._again(waiting) if waiting else ([], [])
                step(settled)
                waiting, later = waiting + later, []
        finally:
            self._verdicts.save()
        states = Counter(one.state for one in found)
        return Verification(
            complete=not self._stop,
            sound=states["sound"],
            damaged=states["damaged"],
            unchecked=states["unchecked"],
            unreadable=states["unreadable"],
            removed=states["removed"],
            remembered=sum(one.remembered for one in found),
            bytes=self._bytes,
            seconds=time.perf_counter() - began,
            files=tuple(found),
            unkept=self._verdicts.unkept,
        )

    def _round(self, waiting: Sequence[Task], step: Callable[[Sequence[Checked]], None], last: bool) -> list[Task]:
        """Check each once; returns those that changed meanwhile, unless it is the last time to look."""
        changed: list[Task] = []
        queue, saved = batches(waiting), time.perf_counter()
        with ThreadPoolExecutor(_THREADS, "cachetop-verify") as pool:
            pending = {pool.submit(self._batch, batch) for _, batch in zip(range(_AHEAD), queue, strict=False)}
            try:
                while pending:
                    finished, pending = wait(pending, 0.2, FIRST_COMPLETED)
                    pending |= {pool.submit(self._batch, batch) for _, batch in zip(finished, queue, strict=False)}
                    results: list[Checked] = []
                    for task, result in (pair for future in finished for pair in future.result()):
                        if result is None and not last:
                            changed.append(task)
                        else:
                            results.append(result or task.unread())
                    bad = any(one.state in BAD for one in results)
                    if bad or time.perf_counter() - saved > _SAVE_EVERY:
                        self._verdicts.save()
                        saved = time.perf_counter()
                    step(results)
            except BaseException:
                self._stop = True  # the threads end at their next chunk
                raise
        return changed

    def _again(self, changed: Sequence[Task]) -> tuple[list[Task], list[Checked]]:
        """Look at the disk again for what changed: what is to be checked now, and what is settled without."""
        models = self._scanner.scan()
        here = {(repo.root, repo.type, repo.id): repo for repo in models.repos}
        roots = {root.path: root.problem for root in models.roots}
        repos = {key: here.get(key) for key in dict.fromkeys(task.name[:3] for task in changed)}
        now = {task.name: task for repo in repos.values() if repo is not None for task in tasks(repo, self._scanner)}
        waiting, settled = [], []
        for task in changed:
            fresh, repo = now.get(task.name), repos[task.name[:3]]
            if fresh is not None:
                waiting.append(fresh)
            elif trouble := roots.get(task.repo.root):
                settled.append(task.result("unreadable", trouble))
            elif blind := _blind(repo):
                settled.append(task.result("unreadable", blind.message, blind.rule))
            elif repo is not None and any(task.file in revision.missing for revision in repo.revisions):
                settled.append(task.result("unreadable", "Its content is gone.", "missing-blob"))
            else:
                settled.append(task.result("removed", "It was removed meanwhile."))
        return waiting, settled

    def _batch(self, batch: Sequence[Task]) -> list[tuple[Task, Checked | None]]:
        """Check contents of one repo, each with None for what changed meanwhile; fewer when cancelled."""
        found: list[tuple[Task, Checked | None]] = []
        for task in batch:
            if self._stop:
                break
            try:
                found.append((task, self._check(task)))
            except _Cancelled:
                break
        return found

    def _check(self, task: Task) -> Checked | None:
        """The result for one content; None where it is not what the scan saw, or changed while it was read."""
        if (identity(task.blob), task.expected) in self._sound:
            return task.result("sound")
        read = task.blob
        try:
            descriptor = task.open()
            if descriptor is None:
                return None
            try:
                before = read = inode(os.fstat(descriptor))
                digest = self._digest(task, descriptor)
                after = inode(os.fstat(descriptor))
            finally:
                os.close(descriptor)
            if (before.modified, before.size) != (after.modified, after.size):
                return None
            if digest == task.expected:
                self._verdicts.note(after, digest)
                self._sound.add((identity(after), digest))
                return task.result("sound")
            descriptor = task.open()
            if descriptor is None:  # replaced meanwhile: it says nothing of what is there now
                return None
            os.close(descriptor)
        except OSError as error:
            if broken(error):
                self._verdicts.note(read, Damage(task.algorithm or "", "", task.expected, why(error)))
            return task.unread(error)
        self._verdicts.note(after, Damage(task.algorithm or "", digest, task.expected))
        message = f"Its {task.algorithm} is {digest[:12]}…, not {task.expected[:12]}…: download the repo again."
        return task.result("damaged", message, "corrupt")

    def _digest(self, task: Task, descriptor: int) -> str:
        if task.algorithm == "sha256":
            digest = hashlib.sha256()
        else:
            size = os.fstat(descriptor).st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        at = 0
        while chunk := os.pread(descriptor, _CHUNK, at):
            digest.update(chunk)
            at += len(chunk)
            with self._counting:
                self._bytes += len(chunk)
            if self._stop:
                raise _Cancelled
        return digest.hexdigest()


def _blind(repo: Repo | None) -> Problem | None:
    """Why part of a repo cannot be seen, where that is so."""
    return next((problem for problem in repo.problems if problem.rule in BLIND), None) if repo is not None else None


def _apart(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """The first task for each content, and those for the same one in other repos, which find it known."""
    firsts: dict[tuple[int, int, str], Task] = {}
    for task in tasks:
        firsts.setdefault((task.blob.device, task.blob.inode, task.expected), task)
    return list(firsts.values()), [
        task for task in tasks if firsts[task.blob.device, task.blob.inode, task.expected] is not task
    ]
