"""The blobs of one repo folder, looked at when the first link to one was read.

So a download that finishes meanwhile is never taken for a broken file, nor its blob for one that nobody names.
"""

from __future__ import annotations

import os
import stat

from cachetop.hub import layout
from cachetop.hub.contents import Blob, Place, inode, mark
from cachetop.hub.walk import Walk

_KIND = 0o170000
_REGULAR = stat.S_IFREG


class Pool:
    """The open folder of the blobs, None where there is none; what is found goes into the walk's contents."""

    __slots__ = ("_descriptor", "_several", "contents", "listed", "place", "sized", "walk")

    def __init__(self, place: Place, walk: Walk, descriptor: int | None) -> None:
        self.place = place
        self.walk = walk
        self.contents = walk.contents
        self.sized = descriptor is not None or "blobs" in walk.absent
        """The blobs can be read, or there are none: one that is not found is really missing."""
        self.listed: list[str] = []
        """The names in it before any link was read."""
        self._descriptor = descriptor
        self._several: dict[tuple[int, int], Blob] = {}

    def list_names(self) -> int:
        """List them, and return how many they are. Call it before any link is read."""
        if self._descriptor is not None:
            try:
                self.listed = os.listdir(self._descriptor)
            except OSError as error:
                self._unreadable(error)
        return len(self.listed)

    def known(self, keys: list[str]) -> list[Blob] | None:
        """The blobs of these names, looked at now unless they are known; None when one of them is none."""
        blobs, pool, look, new = self.contents.blobs, self._descriptor, os.lstat, Blob
        if pool is None:
            return None
        fresh, keep, made = keys, blobs.setdefault, []
        if blobs and keys and (keys[0] in blobs or keys[-1] in blobs):  # a guess: to ask for each costs more
            fresh = [key for key in keys if key not in blobs]
        for key, found in zip(fresh, [look(key, dir_fd=pool) for key in fresh], strict=True):
            if found[3] == 1 and found[0] & _KIND == _REGULAR:  # by number: cheaper than by name
                blob = new(found[2], found[1], found[6], found.st_blocks * 512, 1, found.st_atime, found.st_mtime)
                made.append(keep(key, blob))  # one that is known stays the same object
            elif self.blob(key) is None:
                return None
        return made if len(made) == len(keys) else [blobs[key] for key in keys]

    def blob(self, key: str) -> Blob | None:
        """The blob called `key`, looked at now unless it is known; None when there is none."""
        blobs, foreign = self.contents.blobs, self.contents.foreign
        if key not in blobs and key not in foreign and (found := self._look(key)) is not None:
            blobs[key] = found
        return blobs.get(key)

    def rest(self, changed: int) -> None:
        """Take in what lies here and was named by no revision: partial downloads, and what was left behind.

        `changed`: when the folder had changed last, by its mark.
        """
        contents, pool = self.contents, self._descriptor
        if pool is not None and len(self.listed) == len(contents.blobs) and mark("", pool)[1] == changed:
            return  # nothing came or went meanwhile, so these are the same
        for name in [name for name in self.listed if name not in contents.blobs and name not in contents.foreign]:
            blob = self._look(name)
            if blob is None:
                continue
            if name.endswith(layout.PARTIAL) and blob.stored is None:
                contents.partials[name] = blob
            else:
                contents.blobs[name] = blob
                contents.unnamed.append(name)

    def one(self, status: os.stat_result) -> Blob:
        """The Blob of an inode, the same one for each of its names in this repo."""
        blob = inode(status)
        if blob.links == 1:
            return blob
        self.contents.plain = False
        return self._several.setdefault((blob.device, blob.inode), blob)

    def _look(self, key: str) -> Blob | None:
        """What `key` in this folder is now; None when it is no blob."""
        if self._descriptor is None:
            return None
        try:
            status = os.lstat(key, dir_fd=self._descriptor)
            if stat.S_ISREG(status.st_mode):
                return self.one(status)
            if stat.S_ISLNK(status.st_mode):
                return self._linked(key, os.readlink(key, dir_fd=self._descriptor))
            return None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable(error)
            return None

    def _linked(self, name: str, target: str) -> Blob | None:
        """A blob that is a symlink: a payload of the shared store, or none of the cache's business."""
        payload = layout.stored_payload(target, self.walk.name, self.place.roots)
        if payload is None:
            self.contents.foreign.add(name)
            self.walk.complain("foreign-link", f"blobs/{name}")
        elif payload in self.place.store and not name.startswith("."):
            self.contents.plain = False
            return self.place.store[payload]
        return None

    def _unreadable(self, error: OSError) -> None:
        if self.sized:  # else it was said
            self.sized = False
            self.walk.unreadable("blobs", error)
