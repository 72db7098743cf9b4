"""Carrying a plan out: check each item again, rename it into the trash, write down what happened."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.prune import emptier, inuse, journal, trash
from cachetop.prune.draft import keeps
from cachetop.prune.guards import Guards
from cachetop.prune.moving import Mover, Unmoved
from cachetop.prune.records import Failed, Result, Skipped
from cachetop.prune.tree import Measured, measure, open_root, opened, together
from cachetop.prune.unlink import Gone, Stopped
from cachetop.prune.words import words
from cachetop.prune.work import Draft, Work

UNDO = 15 * 60.0
"""Seconds for which deleted items can be brought back, unless the configuration says otherwise."""
_BATCH = 2000
"""Items for which the journal is written and synced at once."""
_READ_BACK = 1.0
_FRESH = 0.25
"""Seconds for which a look at what is in use counts, from its end on."""
_TELL = 0.1

Progress = Callable[[str, int, int], None]
"""Called with ("moving" | "unlinking", done, in all or 0 when unknown)."""


def execute(
    draft: Draft,
    state: Path,
    *,
    undo: float = UNDO,
    now: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Do what the plan says, as far as it still holds; returns what happened.

    `undo`: seconds for which the items stay in the trash; `now` keeps nothing, and so does a disk of which less than
    a tenth is free. `cancel` stops between two items, or while unlinking. Raises OSError when the journal cannot be
    written for another reason than a full disk: then nothing was touched.
    """
    for number, work in enumerate(draft.work):
        work.number = number  # a plan that was thinned out has gaps
    run = _Run(draft, progress or (lambda *_: None), cancel or threading.Event())
    with ExitStack() as stack:
        try:
            record = stack.enter_context(journal.create(state, draft.plan.id))
            record.begin(
                [{"kind": work.item.kind, "key": work.item.key, "path": work.item.path} for work in draft.work]
            )
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return _in_place(run)  # a full disk: renaming and unlinking still work there, writing does not
        stack.enter_context(run.roots())
        try:
            run.move_all(record)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if not run.done and not full:
                run.mover.take_back_trash(run.open)
                raise
            run.leave_the_rest(f"the journal could not be written any more: {words(error)}")
            now = now or full
        until = None if now or run.is_short() or not run.done else time.time() + undo
        with suppress(OSError):
            record.write("finished", until=until, held=together(run.went))
    path = journal.path(state, draft.plan.id)
    if until is not None:
        try:
            emptier.start(path, until)
        except OSError as error:
            run.note(f"No process could be started to empty the trash ({words(error)}): the next prune does it.")
        return run.result(until)
    return run.emptied(path)


def _in_place(run: _Run) -> Result:
    """Without a journal: the trash folder's name is all there is to find leftovers by, and it is emptied at once."""
    run.note("The disk is full: no journal could be written, nothing is kept for undo.")
    with run.roots():
        run.move_all(None)
    return run.after(run.unjournaled())


class _Run:
    """One execution."""

    def __init__(self, draft: Draft, progress: Progress, cancel: threading.Event) -> None:
        self.draft = draft
        self.progress = progress
        self.cancel = cancel
        self.done: list[Work] = []
        self._failed: list[Failed] = []
        self._skipped = [Skipped(path=one.path, reason=one.reason) for one in draft.plan.blocked]
        self._notes: list[str] = []
        self.open: dict[str, int] = {}
        self.mover = Mover(draft.plan.id)
        self._guards = Guards()
        self._use = inuse.InUse()
        self._looked = -_FRESH
        self._told = 0.0
        self._seen = 0
        """How many items were come to."""
        self._parts: dict[int, Measured] = {}
        """What each move of the item at hand holds."""
        self.went: list[Measured] = []
        """What the moves that were made hold."""
        self._gone = Gone()

    def note(self, text: str) -> None:
        """Add a sentence to the result."""
        self._notes.append(text)

    @contextmanager
    def roots(self) -> Iterator[None]:
        """Every cache root open while it lasts, those that are still what they were when the plan was made."""
        try:
            for root, inode in self.draft.roots.items():
                with suppress(OSError):
                    at = open_root(root)
                    found = os.fstat(at)
                    if (found.st_dev, found.st_ino) == inode:
                        self.open[root] = at
                    else:
                        os.close(at)
            yield
        finally:
            self.mover.close()
            for at in self.open.values():
                os.close(at)
            self.open.clear()

    def is_short(self) -> bool:
        """Whether a disk with trash has less than a tenth free."""
        short = any(trash.is_short(root) for root in self.mover.trashes)
        if short:
            self.note("Less than 10 % of the disk is free, so nothing is kept for undo.")
        return short

    def move_all(self, record: journal.Journal | None) -> None:
        """Move every item, in batches that are written down before and after."""
        works = self.draft.work
        for begin in range(0, len(works), _BATCH):
            batch = works[begin : begin + _BATCH]
            if self.cancel.is_set():
                self.leave_the_rest("cancelled before it was touched")
                break
            _let_settle(batch)
            self.mover.prepare(batch, self.open, record)
            for work in in_turns(batch, 4):
                if self.cancel.is_set():
                    self._skip([work], "cancelled before it was touched")
                else:
                    self._one(work)
                self._seen += 1
                if time.monotonic() - self._told > _TELL:
                    self._told = time.monotonic()
                    self.progress("moving", len(self.done), len(works))
            if record is not None:
                record.later("moved", items=len(batch))
        self.progress("moving", len(self.done), len(works))

    def leave_the_rest(self, reason: str) -> None:
        """Skip whatever was not come to yet."""
        self._skip(self.draft.work[self._seen :], reason)
        self._seen = len(self.draft.work)

    def _skip(self, works: Sequence[Work], reason: str) -> None:
        self._skipped += [Skipped(path=work.item.path, reason=reason) for work in works]

    def _one(self, work: Work) -> None:
        path = work.item.path
        try:
            if work.moves[0].root not in self.open:
                self._skip([work], "its cache folder is gone or was replaced since the plan was made")
                return
            root = self.open[work.moves[0].root]
            with self._guards.held(work, root) as reason:
                if reason is None:
                    reason = self._changed(work, root)
                if reason is not None:
                    self._skip([work], reason)
                    return
                left = self.mover.move(work, self.open, self._guards)
                self._skipped += [
                    Skipped(path=clean(one.path), reason=why) for one, why in left if one.role != "manifest"
                ]
                self._guards.moved(work, root)
                self.done.append(work)
                stayed = {id(one) for one, _ in left}
                self.went += [part for number, part in self._parts.items() if number not in stayed]
                self.mover.remove_aside(work, self.open, self._gone)
        except Unmoved as error:
            self._skip([work], str(error))
        except FileNotFoundError:
            self._skip([work], "it is gone already")
        except OSError as error:
            self._failed.append(Failed(path=path, error=words(error)))

    def _changed(self, work: Work, root: int) -> str | None:
        """Look at everything once more: the same inodes, still unused, still one's own. Measures it anew."""
        self._parts = {}
        if time.monotonic() - self._looked > _FRESH:
            self._use = inuse.look(list(self.draft.roots))
            self._looked = time.monotonic()
        for one in work.moves:
            with opened(one.parents, self.open[one.root]) as at:
                found = os.lstat(one.name, dir_fd=at)
                if not one.is_same(found):
                    return "it changed since the plan was made"
                if one.role != "group":
                    part = self._parts[id(one)] = measure(one.name, at, self._use.users, found=found)
                    part.pids |= self._use.loaded(work.item.kind, work.item.key)
                    kept = keeps(part, {one.device}, self.draft.roots, work, self.draft.force)
                    if kept is not None:
                        return kept[0]
        return None

    def result(self, until: float) -> Result:
        """What is in the trash until then."""
        return self._result(0, together(self.went), until)

    def emptied(self, path: Path) -> Result:
        """Empty the trash in the foreground and say what that gave."""
        gone = Gone()
        try:
            gone = trash.finish(path, self.unlinking)
        except Stopped:
            self.note("Cancelled while unlinking: `cachetop prune trash` does the rest.")
        except OSError:
            gone = self.unjournaled()
        return self.after(gone)

    def unjournaled(self) -> Gone:
        """Empty the trash although nothing can be written down: the disk is full."""
        gone = Gone()
        for root, inode in self.mover.trashes.items():
            with suppress(Stopped):
                trash.empty_root(root, self.draft.plan.id, inode, gone, self.unlinking)
        return gone

    def unlinking(self, freed: int, names: int) -> None:
        """Progress of unlinking; stops it when cancelled."""
        self.progress("unlinking", names, 0)
        if self.cancel.is_set():
            raise Stopped

    def after(self, gone: Gone) -> Result:
        """The result after unlinking: what was freed was measured, what is left is still held."""
        promised = together(self.went)
        resisted = gone.errors + self._gone.errors
        self._failed += [Failed(path=clean(name), error=words(error)) for name, error in resisted[:20]]
        freed = max(0, gone.freed + self._gone.freed - self.mover.written)
        left = promised - freed if resisted or self.cancel.is_set() else 0
        return self._result(freed, max(0, left), None)

    def _result(self, freed: int, held: int, until: float | None) -> Result:
        return Result(
            id=self.draft.plan.id,
            deleted=tuple(work.item.path for work in self.done),
            failed=tuple(self._failed),
            skipped=tuple(self._skipped),
            freed=freed,
            held=held,
            undo_until=until,
            notes=tuple(self._notes),
        )


def _let_settle(batch: Sequence[Work]) -> None:
    """Wait until the youngest kernel of a batch is a second old: its compiler reads back what it has just written."""
    newest = max((one.stamp for work in batch if work.repo is None for one in work.moves), default=0)
    age = time.time() - newest / 1e9
    if 0 <= age < _READ_BACK:
        time.sleep(_READ_BACK - age)
