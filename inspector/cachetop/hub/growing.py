"""Partial downloads looked at alone: they grow without moving any folder's time, and where a repo has very many files
they are to be seen long before the rest of it is read again.
"""

from __future__ import annotations

import os
import stat

import msgspec

from cachetop.hub import layout
from cachetop.hub.contents import Blob, Contents, folder, inode
from cachetop.hub.records import Repo
from cachetop.hub.summary import partials


def grown(root: int, name: str, contents: Contents, before: Repo) -> Repo:
    """The repo folder `name` in the open cache root with its partial downloads as they are now, else as `before`.

    They are put into `contents`. One that is gone stays: its folder moved, and whoever sees that reads the repo again.
    """
    found = {}
    for partial, blob in contents.partials.items():
        try:
            found[partial] = inode(os.stat(f"{name}/blobs/{partial}", dir_fd=root, follow_symlinks=False))
        except OSError:
            found[partial] = blob
    return _with(found, contents, before)


def listed(root: int, name: str, contents: Contents, before: Repo) -> Repo:
    """The same, but as the folder of the blobs has them now: what began since is there, what ended is not."""
    found = {}
    try:
        with folder(name, root) as top, folder("blobs", top) as blobs:
            for partial in sorted([one for one in os.listdir(blobs) if one.endswith(layout.PARTIAL)]):
                try:
                    status = os.lstat(partial, dir_fd=blobs)
                except OSError:
                    continue  # it ended this moment
                if stat.S_ISREG(status.st_mode):
                    found[partial] = inode(status)
    except OSError:
        return before  # what is wrong with it says whoever reads the repo again
    return _with(found, contents, before)


def _with(found: dict[str, Blob], contents: Contents, before: Repo) -> Repo:
    more = sum([blob.disk for blob in found.values()]) - sum([blob.disk for blob in contents.partials.values()])
    contents.partials = found
    now = partials(contents)
    if now == before.partials and not more:
        return before
    return msgspec.structs.replace(before, partials=now, reclaimable=before.reclaimable + more)
