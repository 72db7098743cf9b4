"""Reads one repo folder of a hub cache: refs, snapshots, blobs, partial downloads.

Every step goes from an open directory to a plain name in it, without following a symlink. The names of blobs
are listed before the snapshots are read.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing

from cachetop.base import files
from cachetop.base.record import why
from cachetop.hub import layout
from cachetop.hub.contents import (
    Contents,
    Place,
    Snapshot,
    Unwieldy,
    moved,
    nothing,
    only_asked_for,
    open_folder,
    told,
)
from cachetop.hub.pool import Pool
from cachetop.hub.problems import unreadable
from cachetop.hub.revision import Revision
from cachetop.hub.together import Together, wanted
from cachetop.hub.walk import DEPTH, Walk

_TIMES = 3
"""How often a repo is read that does not hold still."""
_REF_BYTES = 256


def read(place: Place, name: str) -> Contents:
    """Read the repo folder `name` in `place`; where things do not fit because they changed meanwhile, again.

    Raises FileNotFoundError when the folder vanished, Unwieldy as `place` has it; whatever else goes wrong becomes
    a complaint.
    """
    for _ in range(_TIMES - 1):
        contents, doubtful = _read_once(place, name)
        if not doubtful or not moved(place.root, contents.marks):
            return contents
    return _read_once(place, name)[0]


def _read_once(place: Place, name: str) -> tuple[Contents, bool]:
    """What lies in a repo folder, and whether that may be half of a change."""
    contents = nothing()
    try:
        descriptor = open_folder(name, place.root)
    except FileNotFoundError:
        raise
    except OSError as error:
        _complain_about_repo(place.root, name, error, contents)
        return contents, False
    try:
        reader = _Reader(place, name, descriptor, contents)
        reader.read()
        if contents.unnamed or not contents.blobs:  # else the files of its revisions tell
            contents.modified = os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
    return contents, reader.vanished or bool(contents.complaints) or not contents.snapshots


def _complain_about_repo(root: int, name: str, error: OSError, contents: Contents) -> None:
    status = os.stat(name, dir_fd=root, follow_symlinks=False)
    contents.modified = status.st_mtime
    # no mark: whatever it is gets looked at again each time, for a change of rights moves no mtime
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=root)
        contents.complaints.add("repo-link", f"it leads to {target}", (target, ""))
    elif not stat.S_ISDIR(status.st_mode):
        contents.complaints.add("not-a-folder", name)
    else:
        contents.complaints.add(unreadable(error), f"{name} ({why(error)})")


class _Reader(Walk):
    __slots__ = ("bare", "place", "top")

    def __init__(self, place: Place, name: str, top: int, contents: Contents) -> None:
        super().__init__(name, contents)
        self.place = place
        self.top = top
        self.bare = False
        """The folder for revisions is empty."""

    def read(self) -> None:
        self.section("refs", "refs", self.top, self.refs)
        descriptor = self.open("blobs", "blobs", self.top)
        try:
            changed = self.contents.marks[-1][1] if descriptor is not None else 0
            pool = Pool(self.place, self, descriptor)
            self.revisions(pool, wanted(pool.list_names()))
            pool.rest(changed)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        bare = self.bare or "snapshots" in self.absent
        if bare and not only_asked_for(self.contents, self.name, self.top):
            known, ref = told(self.contents, self.name, self.top) if "blobs" in self.absent else ("", "")
            self.complain("no-snapshots", known, (ref, ""))
        self.contents.complaints.sort()

    def revisions(self, pool: Pool, helpers: int) -> None:
        if len(pool.listed) > self.place.most:
            raise Unwieldy
        if not helpers:
            self.section("snapshots", "snapshots", self.top, self.snapshots, pool, None)
            return
        with closing(Together(self.place, self.name, self.contents, helpers)) as together:
            self.section("snapshots", "snapshots", self.top, self.snapshots, pool, together)

    # Refs

    def refs(self, path: str, descriptor: int) -> None:
        for name in os.listdir(descriptor):
            if name in layout.IGNORED:
                continue
            below = f"{path}/{name}"
            try:
                self._ref(below, name, descriptor)
            except FileNotFoundError:
                self.vanished = True
            except OSError as error:
                if error.errno == errno.ELOOP:
                    self.complain("foreign-link", below)
                else:
                    self.unreadable(below, error)

    def _ref(self, path: str, name: str, at: int) -> None:
        descriptor = files.open_quietly(name, at)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                if path.count("/") < DEPTH:
                    self.section(path, name, at, self.refs)
                else:
                    self.complain("too-deep", path)
                return
            raw = os.read(descriptor, _REF_BYTES) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
        self.contents.marks.append((f"{self.name}/{path}", status.st_ctime_ns, status.st_mtime))
        ref = path[len("refs/") :]
        commit = raw.decode("utf-8", "surrogateescape")
        word = commit.strip()
        if not word or len(raw) == _REF_BYTES or not word.isascii() or not word.isalnum():
            self.complain("bad-ref", ref, (ref, ""))
            return
        if word != commit:
            said = f"{ref} (white space around the commit stops huggingface_hub)"
            self.complain("bad-ref", said, (ref, ""))
        self.contents.refs[ref] = word

    # Revisions

    def snapshots(self, path: str, descriptor: int, pool: Pool, together: Together | None) -> None:
        self.bare = True
        with os.scandir(descriptor) as entries:
            for entry in entries:
                commit = entry.name
                self.bare &= commit in layout.IGNORED
                if entry.is_dir(follow_symlinks=False):
                    snapshot = Snapshot(commit, [], [], {}, [])
                    self.contents.snapshots.append(snapshot)
                    revision = Revision(self.place, self, pool, snapshot, together)
                    self.section(f"{path}/{commit}", commit, descriptor, revision.read)
                elif entry.is_symlink():
                    self.complain("foreign-link", f"{path}/{commit}")
                elif commit not in layout.IGNORED:
                    self.complain("stray-file", f"{path}/{commit}")
