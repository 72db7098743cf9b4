"""What keeps a repo from being touched while somebody downloads into it: huggingface_hub's own locks.

A downloader holds an flock on `.locks/<repo folder>/<etag>.lock` while it writes a blob, and one on
`blobs/<2 hex>/<hash>.lock` while it works on a payload of the shared store. Both are taken here without waiting; a busy
one means hands off. Before it takes a lock a downloader makes folders, which moves their times: a repo that changed
within the last two seconds is given that long to show what is going on.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cachetop.hub import layout
from cachetop.prune import references
from cachetop.prune.tree import opened
from cachetop.prune.words import words
from cachetop.prune.work import Mark, Move, Work

_QUIET = 2.0
_BUSY = "downloading: somebody holds its lock"


class Guards:
    """The locks and re-checks of one execution. `held` for an item, `part` for a blob or payload of it."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[Mark, ...]] = {}
        """By repo folder, as this execution left it."""
        self._naming = references.Naming()

    @contextmanager
    def held(self, work: Work, root: int) -> Iterator[str | None]:
        """Hold what an item needs; yields why it must be left alone, None when nothing speaks against it."""
        if work.repo is None:
            yield None
            return
        with ExitStack() as stack:
            yield self._enter(work, work.repo, root, stack)

    def _enter(self, work: Work, repo: str, root: int, stack: ExitStack) -> str | None:
        role = work.moves[0].role
        if role == "partial":
            return self._take(root, repo, [f"{layout.etag(work.moves[0].name)}.lock"], stack)
        names = _lock_names(root, repo)
        wanted = self._marks.get(repo, work.marks)
        age = time.time() - max([stamp for _, _, stamp in wanted], default=0) / 1e9
        if repo not in self._marks and 0 <= age < _QUIET:
            time.sleep(_QUIET - age)
        if reason := self._take(root, repo, names, stack):
            return reason
        if references.marks(root, repo) != wanted or _lock_names(root, repo) != names:
            return "it changed since the plan was made: a download may have begun"
        return None

    def _take(self, root: int, repo: str, names: Sequence[str], stack: ExitStack) -> str | None:
        for name in names:
            try:
                with opened((".locks", repo), root) as at:
                    held = stack.enter_context(_flock(name, at))
            except FileNotFoundError:
                continue
            except OSError as error:
                return f"its lock {name} could not be tried: {words(error)}"
            if not held:
                return _BUSY
        return None

    def moved(self, work: Work, root: int) -> None:
        """Remember how a repo looks after an item of it went: that is not somebody else's change."""
        if work.repo is not None:
            self._marks[work.repo] = references.marks(root, work.repo)

    @contextmanager
    def part(self, one: Move, work: Work, root: int) -> Iterator[str | None]:
        """Hold what a blob or payload needs, and look once more whether nothing names it."""
        with ExitStack() as stack:
            try:
                yield self._blob(one, work, root) if one.role == "blob" else self._payload(one, work, root, stack)
            except OSError as error:
                yield words(error)

    def _blob(self, one: Move, work: Work, root: int) -> str | None:
        assert work.repo is not None
        with opened((work.repo,), root) as repo:
            commit = self._naming.by(repo, work.repo, references.spellings(one.root)).get(one.name)
        return None if commit is None else f"another revision names it now ({commit[:12]})"

    def undone(self, one: Move, work: Work, root: int, place: tuple[int, str]) -> str | None:
        """Why what has just moved has to go back: a download came between the last look and the move. Raises OSError.

        `place`: where it lies now. A downloader that finds a blob links to it without a lock.
        """
        if one.role == "blob":
            return self._blob(one, work, root)
        if one.role == "repo" and work.repo is not None:
            before = self._marks.get(work.repo, work.marks)
            now = references.marks(*place)
            if [mark[1:] for mark in now] != [mark[1:] for mark in before]:
                return "a download into it began while it was being moved"
        return None

    def _payload(self, one: Move, work: Work, root: int, stack: ExitStack) -> str | None:
        name = one.name.removesuffix(".refs")
        payload = f"{one.parents[-1]}/{name}"
        with opened(one.parents, root) as at:
            try:
                if not stack.enter_context(_flock(f"{name}.lock", at)):
                    return "its lock in the shared store is held"
            except FileNotFoundError:
                pass
            if one.role == "manifest" and _exists(name, at):
                return "its payload stays"
        user = references.still_used(payload, root, references.spellings(one.root), work.referrers.get(payload, ()))
        return f"still used by {user}" if user else None


def _lock_names(root: int, repo: str) -> list[str]:
    try:
        with opened((".locks", repo), root) as at:
            return sorted(name for name in os.listdir(at) if name.endswith(".lock"))
    except OSError:
        return []


@contextmanager
def _flock(name: str, at: int) -> Iterator[bool]:
    """An exclusive flock on a lock file that exists; yields whether it was to be had. Raises OSError."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=at)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _exists(name: str, at: int) -> bool:
    try:
        os.lstat(name, dir_fd=at)
    except OSError:
        return False
    return True
