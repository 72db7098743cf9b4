"""Unlinking what lies in a trash folder: counted as it goes, by several hands.

On a disk unlinking waits for the file system's journal more than it computes, and different folders do not wait for
each other: four hands finish in half the time of one. In memory (tmpfs) nobody waits, and one hand is the fastest.
A folder that was found is taken up by whichever hand is free, the deepest first; the hand that ends the last of its
children removes the folder itself.
Standard library only: the process that empties the trash later loads little else.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetop.base.mounts import IN_MEMORY, filesystem
from cachetop.prune.calls import open_folder

HANDS = 4
"""As many threads unlink at once on a disk."""
_TICK = 0.05


class Stopped(Exception):
    """Unlinking was asked to stop."""


@dataclass(slots=True)
class Gone:
    """What unlinking did: bytes of inodes whose last name went, files and folders unlinked, what resisted."""

    freed: int = 0
    files: int = 0
    errors: list[tuple[str, OSError]] = field(default_factory=list)

    def add(self, other: Gone) -> None:
        """Count in what another part of the same work did."""
        self.freed += other.freed
        self.files += other.files
        self.errors += other.errors


@dataclass(slots=True)
class _Folder:
    """A folder on its way out."""

    name: str
    outer: _Folder | None
    """The folder it lies in; None for the topmost."""
    here: int = -1
    """Its descriptor, once it is open."""
    left: int = 1
    """Folders in it that are still there, and one until it was listed."""
    whole: bool = True


def remove(
    name: str, at: int, gone: Gone, tick: Callable[[int, int], None] | None = None, found: os.stat_result | None = None
) -> bool:
    """Unlink what lies at `name` in the open folder `at`, measured into `gone`; returns whether all of it went.

    Nothing is followed, no mount is entered, and a folder that takes its place meanwhile is left alone. `tick` is told
    (bytes freed, names unlinked) now and then, and may raise `Stopped`, which ends it. `found`: what lstat has just
    said of it.
    """
    try:
        found = os.lstat(name, dir_fd=at) if found is None else found
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=at)
            gone.files += 1
            gone.freed += _given_back(found)
            return True
    except FileNotFoundError:
        return True
    except OSError as error:
        gone.errors.append((name, error))
        return False
    return _Tree(name, at, (found.st_dev, found.st_ino)).remove(gone, tick, _hands(at))


def _given_back(found: os.stat_result) -> int:
    """Bytes that come back when one name of what was found goes."""
    return found.st_blocks * 512 if found.st_nlink == 1 and stat.S_ISREG(found.st_mode) else 0


def _hands(at: int) -> int:
    """How many hands are worth it where an open folder lies; /proc says where that is."""
    return 1 if filesystem(f"/proc/self/fd/{at}") in IN_MEMORY else HANDS


class _Tree:
    """One tree on its way out, and the hands that take it apart."""

    def __init__(self, name: str, at: int, inode: tuple[int, int]) -> None:
        self._at = at
        self._inode = inode
        self._top = _Folder(name, None)
        self._waiting = [self._top]
        self._changed = threading.Condition()
        self._linked = threading.Lock()
        self._over = False
        self._open: set[int] = set()

    def remove(self, gone: Gone, tick: Callable[[int, int], None] | None, hands: int) -> bool:
        """Unlink, while this thread only waits and tells."""
        counts = [Gone() for _ in range(hands)]
        threads = [threading.Thread(target=self._hand, args=(mine,), daemon=True) for mine in counts]
        try:
            with self._changed:
                for thread in threads:
                    thread.start()
                while not self._changed.wait_for(lambda: self._over, _TICK):
                    if tick is not None:
                        tick(sum(one.freed for one in (gone, *counts)), sum(one.files for one in (gone, *counts)))
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            for descriptor in self._open:
                os.close(descriptor)
            for mine in counts:
                gone.add(mine)
        return self._top.whole

    def _hand(self, mine: Gone) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                folder = self._waiting.pop()
            found: list[_Folder] = []
            try:
                self._files(folder, found, mine)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    folder.whole = False
                    mine.errors.append((folder.name, error))
            with self._changed:
                folder.left += len(found)
                self._waiting += found
                self._changed.notify(len(found))
            self._end(folder, mine)

    def _files(self, folder: _Folder, found: list[_Folder], mine: Gone) -> None:
        """Unlink the files of a folder; the folders in it are left in `found`."""
        inner = folder.here = open_folder(folder.name, self._at if folder.outer is None else folder.outer.here)
        self._open.add(inner)
        if folder.outer is None:
            opened = os.fstat(inner)
            if (opened.st_dev, opened.st_ino) != self._inode:
                raise OSError(errno.ESTALE, "something else has taken its place", folder.name)
        lstat, unlink = os.lstat, os.unlink
        for name in os.listdir(inner):
            if self._over:
                return
            try:
                mode, _, _, links, *_ = status = lstat(name, dir_fd=inner)
                if mode & 0o170000 == stat.S_IFDIR:
                    found.append(_Folder(name, folder))
                    continue
                if links != 1:
                    self._one_of_several(name, inner, mine)
                    continue
                unlink(name, dir_fd=inner)
                mine.files += 1
                if mode & 0o170000 == stat.S_IFREG:
                    mine.freed += status.st_blocks * 512
            except FileNotFoundError:
                continue
            except OSError as error:
                mine.errors.append((name, error))
                folder.whole = False

    def _one_of_several(self, name: str, inner: int, mine: Gone) -> None:
        """Unlink one name of an inode with several, one at a time: whoever takes the last one counts its bytes."""
        with self._linked:
            found = os.lstat(name, dir_fd=inner)
            os.unlink(name, dir_fd=inner)
        mine.files += 1
        mine.freed += _given_back(found)

    def _end(self, folder: _Folder | None, mine: Gone) -> None:
        """One thing less is left in a folder: with the last one it goes itself, and so on outwards."""
        while folder is not None:
            with self._changed:
                folder.left -= 1
                if folder.left or self._over:
                    return
            if folder.here >= 0:
                self._open.discard(folder.here)
                os.close(folder.here)
            outer = folder.outer
            if folder.whole and folder.here >= 0:
                try:
                    os.rmdir(folder.name, dir_fd=self._at if outer is None else outer.here)
                    mine.files += 1
                except OSError as error:
                    mine.errors.append((folder.name, error))
                    folder.whole = False
            with self._changed:
                if outer is None:
                    self._over = True
                    self._changed.notify_all()
                else:
                    outer.whole &= folder.whole
            folder = outer
