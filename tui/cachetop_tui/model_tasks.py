"""Long work on repos that goes on in the background: warming, dropping, checksums. One at a time, with a document."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from cachetop import locations
from cachetop.base.hostile import clean
from cachetop.hub import ram
from cachetop.hub.checking import Checked
from cachetop.hub.facts import checked, moved
from cachetop.hub.records import Repo
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Progress, Verification, Verifier

TITLES = {"warm": "Warm Now", "drop": "Drop from RAM", "verify": "Checksums"}
Chosen = tuple[Repo, str | None]
"""A repo, and the commit of one of its revisions or None for all of them."""


@dataclass(frozen=True)
class State:
    """How far a task is. Replaced whole by the task's thread."""

    kind: str
    repos: tuple[str, ...]
    began: float
    now: float
    done: int = 0
    total: int = 0
    """Bytes."""
    going: bool = True
    said: tuple[tuple[str, str], ...] = ()
    """Sentences on what came of it so far, each with its style word."""
    found: Verification | None = None
    unchecked: str | None = None
    """Why some contents could not be checked."""
    wrong: tuple[Checked, ...] = ()
    """The contents so far that are damaged or could not be read."""

    @property
    def rate(self) -> float | None:
        """Bytes a second since it began; None until it can be told."""
        seconds = self.now - self.began
        return self.done / seconds if seconds >= 1 and self.done else None


class Task:
    """One such work. `run` it in a thread; `state` is for everybody, `cancel` for the event loop."""

    def __init__(self, kind: str, chosen: Sequence[Chosen], clock: Callable[[], float] = time.time) -> None:
        self._chosen = tuple(chosen)
        self._clock = clock
        self.cancelled = False
        """It was asked to stop."""
        self._verifier: Verifier | None = None
        began = clock()
        names = tuple(clean(repo.id) + (f"@{commit[:7]}" if commit else "") for repo, commit in self._chosen)
        self.state = State(kind, names, began, began)

    @property
    def key(self) -> str:
        """The key of its document."""
        return f"task\0{self.state.kind}"

    @property
    def said(self) -> str:
        """What came of it, in a few sentences."""
        return " ".join([*(sentence for sentence, _ in self.state.said), *summary(self.state)])

    def cancel(self) -> None:
        """Stop soon; what was done so far stays done, and is said."""
        self.cancelled = True
        if self._verifier is not None:
            self._verifier.cancel()

    def run(self) -> None:
        """Do it. Never raises: what went wrong is said in the state."""
        try:
            self._run()
        except Exception as error:
            self._say(f"It failed: {clean(str(error))}.", "err")
        if self.cancelled:
            self._say("Cancelled.", "warn")
        self._set(going=False)

    def _run(self) -> None:
        scanner = Scanner(roots())  # the last to hold what it found: it gives very much of that up bit by bit
        self._work(scanner)

    def _work(self, scanner: Scanner) -> None:
        here = {(repo.root, repo.type, repo.id): repo for repo in scanner.scan().repos}
        found = []
        for one, commit in self._chosen:
            repo = here.get((one.root, one.type, one.id))
            if repo is None:
                self._say(f"{clean(one.id)} is not in the cache any more.", "warn")
            else:
                found.append((repo, commit))
        if self.state.kind == "verify":
            self._verify([repo for repo, _ in found], scanner)
        else:
            self._move(found, scanner)

    def _move(self, chosen: Sequence[Chosen], scanner: Scanner) -> None:
        """Bring repos into RAM, or let go of them there."""
        before = 0

        def progress(done: int, total: int) -> bool:
            self._set(done=before + done, total=max(self.state.total, before + total))
            return not self.cancelled

        self._set(total=sum(_size(repo, commit) for repo, commit in chosen))
        for repo, commit in chosen:
            if self.cancelled:
                return
            try:
                if self.state.kind == "warm":
                    outcome = ram.warm(repo, scanner, confirmed=True, progress=progress, commit=commit)
                else:
                    outcome = ram.drop(repo, scanner, confirmed=True, progress=progress, commit=commit)
            except ram.Refused as reason:
                self._say(str(reason), "err")
                continue
            before += outcome.size
            self._say(clean(moved(outcome)), "warn" if outcome.skipped else "fg")

    def _verify(self, repos: Sequence[Repo], scanner: Scanner) -> None:
        wrong: list[Checked] = []

        def progress(now: Progress) -> None:
            more = {"wrong": tuple(wrong)} if len(wrong) > len(self.state.wrong) else {}
            self._set(done=now.done, total=now.total, **more)

        self._verifier = Verifier(scanner, locations.state_dir())
        if self.cancelled:  # before there was one to tell
            self._verifier.cancel()
        found = self._verifier.run(repos, progress, tell=wrong.append)
        self._verifier = None
        why = next((one.message for one in found.files if one.state == "unchecked"), None)
        found = msgspec.structs.replace(found, files=())  # of very many files that would be a lot to keep
        self._set(found=found, unchecked=why, done=found.bytes)
        if found.unkept:
            self._say(found.unkept, "warn")

    def _say(self, sentence: str, word: str) -> None:
        self._set(said=(*self.state.said, (sentence, word)))

    def _set(self, **what: object) -> None:
        self.state = replace(self.state, now=self._clock(), **what)  # type: ignore[arg-type]


def _size(repo: Repo, commit: str | None) -> int:
    return repo.size if commit is None else sum(one.size for one in repo.revisions if one.commit == commit)


def summary(state: State) -> Iterator[str]:
    """What came of a check, sums first, then why some could not be checked."""
    found = state.found
    if found is None:
        return
    yield checked(found)
    if state.unchecked:
        yield state.unchecked
