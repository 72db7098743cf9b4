"""Renaming items into the trash, each wholly or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from cachetop.prune import journal, trash
from cachetop.prune.calls import rename
from cachetop.prune.tree import lstat, opened
from cachetop.prune.unlink import Gone, remove
from cachetop.prune.words import words
from cachetop.prune.work import Move, Work

if TYPE_CHECKING:
    from cachetop.prune.guards import Guards

_OPTIONAL = ("blob", "payload", "manifest")
"""What may stay behind: an item without it has gone all the same, only fewer bytes have."""


class Unmoved(Exception):
    """An item was left where it is; the message says why."""


class Mover:
    """Moves the items of one plan into its trash folders, one below each cache root."""

    def __init__(self, plan: str) -> None:
        self._plan = plan
        self._numbers: dict[int, int] = {}
        """id of a move -> its number in the trash."""
        self._next = 0
        self._trash: dict[str, int] = {}
        self._broken: dict[str, OSError] = {}
        self.trashes: dict[str, tuple[int, int]] = {}
        self.written = 0
        """Bytes of new group files, which take back some of what is freed."""

    def close(self) -> None:
        """Close the trash folders."""
        for at in self._trash.values():
            os.close(at)
        self._trash.clear()

    def take_back_trash(self, roots: Mapping[str, int]) -> None:
        """Remove the trash folders again, none of which holds anything yet."""
        for root in self._trash:
            with suppress(OSError):
                os.rmdir(trash.name_of(self._plan), dir_fd=roots[root])

    def prepare(self, batch: Sequence[Work], roots: Mapping[str, int], record: journal.Journal | None) -> None:
        """Make the trash folders that a batch needs and write down what is about to move. Raises OSError."""
        for root in dict.fromkeys(one.root for work in batch for one in work.moves):
            if root in roots and root not in self._trash and root not in self._broken:
                try:
                    at = self._trash[root] = trash.make(roots[root], self._plan)
                except OSError as error:
                    self._broken[root] = error
                    continue
                found = os.fstat(at)
                self.trashes[root] = (found.st_dev, found.st_ino)
                if record is not None:
                    record.write("trash", root=root, device=found.st_dev, inode=found.st_ino)
        told = []
        for work in batch:
            for one in work.moves:
                number = self._numbers[id(one)] = self._next
                self._next += 1
                told.append([number, one.root, one.parents, one.name, [one.device, one.inode], work.number, one.role])
        if record is not None:
            record.write("moving", moves=told)

    def move(self, work: Work, roots: Mapping[str, int], guards: Guards) -> list[tuple[Move, str]]:
        """Move all of one item; returns the parts that stayed, and why. Raises Unmoved and OSError, undoing it."""
        left: list[tuple[Move, str]] = []
        done: list[Move] = []
        try:
            for one in work.moves:
                if one.role not in _OPTIONAL:
                    self._move(one, work, roots, guards)
                    done.append(one)
                    continue
                with guards.part(one, work, roots[one.root]) as reason:
                    if reason is None:
                        try:
                            self._move(one, work, roots, guards)
                        except (OSError, Unmoved) as error:
                            reason = words(error) if isinstance(error, OSError) else str(error)
                if reason is not None:
                    left.append((one, reason))
        except (OSError, Unmoved):
            for one in reversed(done):
                self._back(one, work, roots)
            raise
        return left

    def _move(self, one: Move, work: Work, roots: Mapping[str, int], guards: Guards) -> None:
        with opened(one.parents, roots[one.root]) as at:
            to, name = self._place(one, at)
            if one.role == "group":
                self._replace_group(one, work, at, to, name)
                return
            rename(one.name, at, name, to)
            try:
                if not one.is_same(lstat(name, to)):
                    raise Unmoved("it was replaced while it was being moved")
                if reason := guards.undone(one, work, roots[one.root], (to, name)):
                    raise Unmoved(reason)
            except (OSError, Unmoved):
                rename(name, to, one.name, at)
                raise

    def _place(self, one: Move, at: int) -> tuple[int, str]:
        """Where something goes: into the trash; on a full disk, which takes no new folder, aside in its own one."""
        number = self._numbers[id(one)]
        if one.root not in self._broken:
            return self._trash[one.root], str(number)
        if self._broken[one.root].errno not in (errno.ENOSPC, errno.EDQUOT):
            raise self._broken[one.root]
        return at, f"{trash.name_of(self._plan)}{trash.GOING}-{number}"

    def remove_aside(self, work: Work, roots: Mapping[str, int], gone: Gone) -> None:
        """Unlink at once what went aside because no trash folder could be made."""
        for one in work.moves:
            if one.root in self._broken:
                with opened(one.parents, roots[one.root]) as at:
                    remove(self._place(one, at)[1], at, gone)

    def _back(self, one: Move, work: Work, roots: Mapping[str, int]) -> None:
        with opened(one.parents, roots[one.root]) as at:
            to, name = self._place(one, at)
            if one.role == "group":
                os.rename(name, one.name, src_dir_fd=to, dst_dir_fd=at)
            else:
                rename(name, to, one.name, at)

    def _replace_group(self, one: Move, work: Work, at: int, to: int, name: str) -> None:
        """Put the new group file in place of the old one, which the trash keeps; the times stay those of the old."""
        old = lstat(one.name, at)
        fresh = f"{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, old.st_mode & 0o777, dir_fd=to)
        try:
            view = memoryview(work.group or b"")
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
            os.utime(descriptor, ns=(old.st_atime_ns, old.st_mtime_ns))
            self.written += os.fstat(descriptor).st_blocks * 512
        finally:
            os.close(descriptor)
        os.link(one.name, name, src_dir_fd=at, dst_dir_fd=to, follow_symlinks=False)
        os.rename(fresh, one.name, src_dir_fd=to, dst_dir_fd=at)
