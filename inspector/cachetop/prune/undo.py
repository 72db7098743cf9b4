"""Bringing back what a plan moved, as far as its trash still holds it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.prune import journal, trash
from cachetop.prune.calls import rename
from cachetop.prune.records import Failed, Skipped, Undone
from cachetop.prune.tree import lstat, opened, plain
from cachetop.prune.words import words


class NothingToUndo(Exception):
    """There is no such plan, or its trash is empty; the message says which."""


def undo(state: Path, plan: str | None = None) -> Undone:
    """Bring back the newest executed plan that still has something in the trash, or `plan`.

    What exists again is left alone and stays in the trash. Raises NothingToUndo with a sentence, and OSError.
    """
    told = [story for story in journal.stories(state) if plan is None or story.id == plan]
    if not told:
        raise NothingToUndo(f"There is no plan {clean(plan)} here." if plan else "No plan was executed here yet.")
    story = next((one for one in told if not one.emptied and _holds(one)), None)
    if story is None:
        which = f"plan {told[0].id}" if plan else "every executed plan"
        raise NothingToUndo(f"The trash of {which} is empty: its bytes were freed or it was taken back.")
    with journal.reopened(story.path) as record:
        if record is None:
            raise NothingToUndo(f"Plan {story.id} is being worked on by another process right now.")
        story = journal.read(story.path)
        done = restore(story, range(len(story.items)))
        record.write("undone", items=len(done.restored), whole=not _holds(story))
    return done


def _holds(story: journal.Story) -> bool:
    """Whether any of a plan's trash folders still has something in it."""
    for root, inode in story.trashes.items():
        with trash.opened(root, story.id, inode) as found:
            if found is not None and os.listdir(found[1]):
                return True
    return False


def restore(story: journal.Story, items: range | set[int]) -> Undone:
    """Move the items with these numbers back to where they were; nothing else of the trash is touched."""
    back: dict[int, bool] = {}
    failed: list[Failed] = []
    skipped: list[Skipped] = []
    for root, inode in story.trashes.items():
        with trash.opened(root, story.id, inode) as found:
            if found is None:
                continue
            at, inner = found
            there = set(os.listdir(inner))
            for one in in_turns(reversed(story.moves), 4):
                if one.root != root or one.item not in items or str(one.number) not in there:
                    continue
                try:
                    _back(one, at, inner)
                    back.setdefault(one.item, True)
                except FileExistsError:
                    skipped.append(Skipped(path=clean(one.path), reason="it exists again, so it was left alone"))
                    back[one.item] = False
                except OSError as error:
                    failed.append(Failed(path=clean(one.path), error=words(error)))
                    back[one.item] = False
            _tidy(story, root, at, inner)
    paths = [str(story.items[item]["path"]) for item, whole in sorted(back.items()) if whole]
    return Undone(id=story.id, restored=tuple(paths), failed=tuple(failed), skipped=tuple(skipped))


def _back(one: journal.Moved, at: int, inner: int) -> None:
    number = str(one.number)
    found = lstat(number, inner)
    if (found.st_dev, found.st_ino) != one.inode:
        raise OSError(0, "it is not what was moved there")
    _make_parents(one.parents, at)
    with opened(one.parents, at) as folder:
        if one.role == "group":
            os.rename(number, plain(one.name), src_dir_fd=inner, dst_dir_fd=folder)
        else:
            rename(number, inner, plain(one.name), folder)


def _make_parents(parents: tuple[str, ...], at: int) -> None:
    for depth in range(len(parents)):
        with opened(parents[:depth], at) as folder:
            try:
                os.mkdir(plain(parents[depth]), dir_fd=folder)
            except FileExistsError:
                continue


def _tidy(story: journal.Story, root: str, at: int, inner: int) -> None:
    """Remove the trash folder when it is empty, new group files that were never put in place included."""
    with suppress(OSError):  # what is left is emptied at the deadline
        for name in os.listdir(inner):
            if name.endswith(".new"):
                os.unlink(name, dir_fd=inner)
        if not os.listdir(inner):
            os.rmdir(trash.name_of(story.id), dir_fd=at)
