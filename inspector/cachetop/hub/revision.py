"""Reads one revision of a repo: what lies in a folder below `snapshots`.

Nearly always that is a link to a blob of the repo for each file, and such a folder is read with the fewest calls there
are. Anything else is looked at a name at a time.
"""

from __future__ import annotations

import os
import stat
from operator import attrgetter

from cachetop.base.hostile import clean
from cachetop.hub import layout
from cachetop.hub.contents import Place, Snapshot, Unwieldy
from cachetop.hub.names import harmless
from cachetop.hub.pool import Pool
from cachetop.hub.records import File
from cachetop.hub.together import Together
from cachetop.hub.walk import DEPTH, Walk


def _clean(name: str, spelled: dict[str, str]) -> str:
    """`name` safe to show; `spelled` learns how it is spelled on disk."""
    shown = clean(name)
    if shown != name:
        spelled[shown] = name
    return shown


class Revision:
    """Reads the files of `snapshot`; very many `together` with other processes."""

    __slots__ = ("_ordered", "contents", "place", "pool", "snapshot", "together", "walk")

    def __init__(self, place: Place, walk: Walk, pool: Pool, snapshot: Snapshot, together: Together | None) -> None:
        self.place = place
        self.walk = walk
        self.pool = pool
        self.snapshot = snapshot
        self.together = together
        self.contents = walk.contents
        self._ordered = True
        """Files were read in the order of their names."""

    def read(self, path: str, descriptor: int) -> None:
        """All of it. `path` is that of its open folder, below the repo's."""
        self.folder(path, descriptor, "")
        self.sort()

    def sort(self) -> None:
        """Put the files in the order of their names, which is to be done when all are read."""
        if not self._ordered:
            self.snapshot.files.sort(key=attrgetter("name"))

    def folder(self, path: str, descriptor: int, prefix: str) -> None:
        """What lies in one open folder; `prefix` is its path in the revision, empty or with a slash at its end."""
        names, plain = self.place.names.ordered(os.listdir(descriptor))
        self.walk.vanished |= not names  # a folder that was removed meanwhile is read as an empty one
        if max(len(names), len(self.contents.blobs)) > self.place.most:
            raise Unwieldy
        self._ordered &= plain  # else that of the names as they are shown may be another one
        if self.together is not None and self.together.has_many(names):
            self._ordered = False
            self.together.files(path, names, lambda some: self.files(path, prefix, some, descriptor), self.snapshot)
        elif not (plain and harmless(prefix) and self._links(prefix, names, descriptor)):
            self._mixed(path, prefix, names, descriptor)

    def files(self, path: str, prefix: str, names: list[str], descriptor: int) -> None:
        """Some of the names in a folder."""
        if not (harmless("\0".join((prefix, *names))) and self._links(prefix, names, descriptor)):
            self._mixed(path, prefix, names, descriptor)

    def _links(self, prefix: str, names: list[str], descriptor: int) -> bool:
        """Files, if each is a link to a blob as huggingface_hub makes them.

        Most of a scan's time goes into this and `Pool.known`: no call here that can be spared.
        """
        readlink, new = os.readlink, File
        try:
            keys = layout.own_blobs([readlink(name, dir_fd=descriptor) for name in names], prefix.count("/"))
            known = self.pool.known(keys) if keys is not None else None
        except OSError:
            return False
        if keys is None or known is None:
            return False
        if prefix:
            names = [prefix + name for name in names]
        self.snapshot.blobs += known
        self.snapshot.files += [
            new(name, blob.size, blob.disk, key) for name, key, blob in zip(names, keys, known, strict=True)
        ]
        return True

    def _mixed(self, path: str, prefix: str, names: list[str], descriptor: int) -> None:
        """Anything that may lie in a folder, a name at a time."""
        contents, snapshot, folders = self.contents, self.snapshot, list[str]()
        for name in names:
            try:
                target = os.readlink(name, dir_fd=descriptor)
            except OSError:
                if self._real(prefix, name, descriptor):
                    folders.append(name)
                continue
            key = layout.own_blob(target, self.walk.name, path, self.place.roots)
            if key is None:
                self.walk.complain("foreign-link", prefix + name)
                continue
            blob = self.pool.blob(key)
            if blob is not None:
                snapshot.blobs.append(blob)
                shown = _clean(prefix + name, contents.names)
                snapshot.files.append(File(shown, blob.size, blob.disk, _clean(key, contents.keys)))
                continue
            snapshot.lost.append(clean(prefix + name))
            if self.pool.sized and key not in contents.foreign:
                said = f"{prefix}{name} of {snapshot.commit[:12]}"
                self.walk.complain("missing-blob", said, (snapshot.commit, prefix + name))
        if folders:
            self._ordered = False
            self._folders(path, prefix, folders, descriptor)

    def _real(self, prefix: str, name: str, at: int) -> bool:
        """What is no symlink: a file kept without a blob, or a folder (then it returns True)."""
        try:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            self.walk.vanished = True
            return False
        except OSError as error:
            self.walk.unreadable(f"{prefix}{name}", error)
            return False
        if stat.S_ISREG(status.st_mode):
            blob, shown = self.pool.one(status), _clean(prefix + name, self.contents.names)
            self.snapshot.blobs.append(blob)
            self.snapshot.kept[shown] = blob
            self.snapshot.files.append(File(shown, blob.size, blob.disk, None))
        return stat.S_ISDIR(status.st_mode)

    def _folders(self, path: str, prefix: str, names: list[str], at: int) -> None:
        """The folders in a folder."""
        if path.count("/") >= DEPTH:
            for name in names:
                self.walk.complain("too-deep", f"{prefix}{name}")
            return

        def here(name: str) -> None:
            self.walk.section(f"{path}/{name}", name, at, self.folder, f"{prefix}{name}/")

        if self.together is not None:
            self.together.folders(path, names, here, self.snapshot)
        else:
            for name in names:
                here(name)
