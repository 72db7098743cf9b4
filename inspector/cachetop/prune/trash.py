"""The trash: a folder `.cachetop-trash-<plan>` directly below each cache root, on the same file system by its place.

In it items lie under their numbers. Emptying first renames the folder to `...-going`, so that nothing half unlinked
can ever be brought back. Standard library only: the process that empties later loads little else.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cachetop.prune import journal
from cachetop.prune.calls import open_folder, rename
from cachetop.prune.tree import TRASH, lstat, open_root
from cachetop.prune.unlink import Gone, Stopped, remove

GOING = "-going"
SHORT = 0.10
"""The share of a file system that is to stay free: below it nothing is held for undo."""
_TELL = 0.5
"""Seconds between two words in the journal on how far unlinking is."""
_NAME = re.compile(re.escape(TRASH) + r"([0-9a-f]{12})(-going)?(?:-\d{1,9})?")

Progress = Callable[[int, int], None]
"""Called with (bytes freed, names unlinked) so far; raises `tree.Stopped` to cancel."""


def name_of(plan: str) -> str:
    """The name of a plan's trash folder."""
    return TRASH + plan


def make(root: int, plan: str) -> int:
    """Make the trash folder of a plan in an open cache root and open it. Raises OSError."""
    name = name_of(plan)
    os.mkdir(name, 0o700, dir_fd=root)
    return open_folder(name, root)


@contextmanager
def opened(root: str, plan: str, inode: tuple[int, int]) -> Iterator[tuple[int, int] | None]:
    """(cache root, trash folder), both open; None when the trash is gone or is not the folder that was made."""
    try:
        at = open_root(root)
    except OSError:
        yield None
        return
    try:
        try:
            inner = open_folder(name_of(plan), at)
        except OSError:
            yield None
            return
        try:
            found = os.fstat(inner)
            yield (at, inner) if (found.st_dev, found.st_ino) == inode else None
        finally:
            os.close(inner)
    finally:
        os.close(at)


def is_short(path: str) -> bool:
    """Whether less than a tenth of the file system at `path` is free for this user."""
    try:
        found = os.statvfs(path)
    except OSError:
        return False
    return found.f_blocks > 0 and found.f_bavail / found.f_blocks < SHORT


def empty(story: journal.Story, gone: Gone, progress: Progress | None = None) -> bool:
    """Unlink everything a plan's trash holds; returns whether all of it went. Raises `Stopped` when cancelled."""
    whole = True
    for root, inode in story.trashes.items():
        whole &= empty_root(root, story.id, inode, gone, progress)
    return whole


def empty_root(
    root: str, plan: str, inode: tuple[int, int] | None, gone: Gone, progress: Progress | None = None
) -> bool:
    """Empty the trash of one plan below one cache root. `inode` None: whatever carries its name, if it is one's own."""
    try:
        at = open_root(root)
    except FileNotFoundError:
        return True
    except OSError as error:
        gone.errors.append((root, error))
        return False
    try:
        going = name_of(plan) + GOING
        try:
            found = lstat(name_of(plan), at)
            if _is_ours(found, inode):
                rename(name_of(plan), at, going, at)
        except FileNotFoundError:
            pass
        except OSError as error:
            gone.errors.append((name_of(plan), error))
            return False
        try:
            found = lstat(going, at)
        except FileNotFoundError:
            return True
        if not _is_ours(found, inode):
            return True  # not the folder that was made: nobody's business here
        return remove(going, at, gone, progress, found)
    finally:
        os.close(at)


def _is_ours(found: os.stat_result, inode: tuple[int, int] | None) -> bool:
    if inode is not None:
        return (found.st_dev, found.st_ino) == inode
    return found.st_uid == os.geteuid()


def leftovers(roots: list[str]) -> list[tuple[str, str]]:
    """(cache root, plan) of every trash folder below `roots`, whether a journal knows it or not."""
    found = []
    for root in roots:
        with suppress(OSError):
            for name in os.listdir(root):
                if shape := _NAME.fullmatch(name):
                    found.append((root, shape[1]))
    return list(dict.fromkeys(found))


def finish(path: Path, progress: Progress | None = None, wait: bool = True) -> Gone:
    """Empty the trash of the plan with this journal and write that down; nothing when somebody else works on it."""
    gone = Gone()
    with journal.reopened(path, wait) as record:
        if record is None:
            return gone
        story = journal.read(path, moves=False)
        if story.emptied:
            return gone
        record.write("emptying")
        told = time.monotonic()

        def tell(freed: int, names: int) -> None:
            nonlocal told
            if progress is not None:
                progress(freed, names)
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                with suppress(OSError):
                    record.tell("unlinking", freed=freed, files=names)

        try:
            whole = empty(story, gone, tell)
        except Stopped:
            record.write("stopped", freed=gone.freed)
            raise
        if whole:
            record.write("emptied", freed=gone.freed, files=gone.files)
        else:
            record.write("stuck", freed=gone.freed, errors=[[name, error.errno] for name, error in gone.errors[:20]])
    return gone
