"""Goes through one repo folder: from an open folder to a plain name in it, never through a symlink."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from cachetop.base.record import why
from cachetop.hub.contents import Contents, open_folder
from cachetop.hub.problems import unreadable

DEPTH = 32
"""Folders in each other beyond which it goes no deeper."""


class Walk:
    """Opens folders of the repo folder `name`; their marks, and what is wrong with them, go into `contents`."""

    __slots__ = ("absent", "complain", "contents", "name", "vanished")

    def __init__(self, name: str, contents: Contents) -> None:
        self.name = name
        self.contents = contents
        self.complain = contents.complaints.add
        self.absent: tuple[str, ...] = ()
        """The folders that are not there."""
        self.vanished = False
        """Something that had been listed, or belongs here, was gone when it was looked at."""

    def open(self, path: str, name: str, at: int) -> int | None:
        """Open and mark the folder `path` of the repo, which is `name` in the open folder `at`.

        None, and a complaint unless it is absent, where that fails.
        """
        try:
            descriptor = open_folder(name, at)
        except FileNotFoundError:
            self.contents.marks.append((f"{self.name}/{path}", 0, 0.0))
            self.absent += (path,)
            self.vanished = True
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                self.complain("foreign-link", path)
            else:
                self.unreadable(path, error)
            return None
        status = os.fstat(descriptor)
        self.contents.marks.append((f"{self.name}/{path}", status.st_ctime_ns, status.st_mtime))
        return descriptor

    def section(self, path: str, name: str, at: int, reader: Callable[..., None], *more: Any) -> None:
        """Open and mark a folder as `open` does, and hand `reader` its path and descriptor, with `more`."""
        descriptor = self.open(path, name, at)
        if descriptor is None:
            return
        try:
            reader(path, descriptor, *more)
        except OSError as error:
            self.unreadable(path, error)
        finally:
            os.close(descriptor)

    def unreadable(self, path: str, error: OSError) -> None:
        """Complain about what could not be read."""
        self.complain(unreadable(error), f"{path} ({why(error)})")
