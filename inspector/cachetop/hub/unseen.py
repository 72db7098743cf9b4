"""Why a hub cache cannot be seen: no rights, a sick disk, or a file system that is not mounted any more."""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.hub.mending import typeable


class Unseen(NamedTuple):
    """A sentence, and the command that mends it or looks closer."""

    problem: str
    fix: str | None


def refused(path: str, error: OSError) -> Unseen | None:
    """Why the cache folder at `path` cannot be read; None when it is simply not there."""
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            leads = clean(os.readlink(path))
            return Unseen(f"The cache folder {clean(path)} is a symlink to {leads}, which is not there.", _find(path))
        return None
    if isinstance(error, NotADirectoryError):
        said = f"The cache folder {clean(path)} is not a folder. Set HF_HUB_CACHE to one, or move it away."
        return Unseen(said, _command("mv -i", path, " ~/"))
    said = f"The cache folder {clean(path)} could not be read: {why(error)}."
    return Unseen(said, _command("ls -ld", path) if isinstance(error, PermissionError) else _find(path))


def unmounted(path: str, device: int, repos: int) -> Unseen | None:
    """What to say where no repo is left of those that lay on `device` (st_dev); None where that is still there."""
    if _device(path) in (device, None):
        return None
    there = "1 repo was" if repos == 1 else f"{repos:,} repos were"
    said = (
        f"The file system that held the cache folder {clean(path)} is not mounted there any more: {there} on it. "
        "Mount it again, and what it holds comes back."
    )
    return Unseen(said, _find(path))


def _device(path: str) -> int | None:
    """st_dev of a folder, or of the nearest one above it that is there; None where even that cannot be asked."""
    while True:
        try:
            return os.stat(path).st_dev
        except FileNotFoundError:
            above = os.path.dirname(path)
            if above == path:
                return None
            path = above
        except OSError:
            return None


def _find(path: str) -> str | None:
    return _command("findmnt -T", path)


def _command(words: str, path: str, more: str = "") -> str | None:
    return f"{words} {shlex.quote(path)}{more}" if typeable(path) else None
