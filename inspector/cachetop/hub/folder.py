"""Reads one repo folder of a hub cache: refs, snapshots, blobs, partial downloads.

Every step goes from an open directory to a plain name in it, without following a symlink. The names of blobs
are listed before the snapshots are read, and a blob is looked at when the first link to it was read: a download
finishing meanwhile is never taken for a broken file, nor its blob for one that nobody names.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from cachetop.base import files
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Contents, Snapshot, inode, mark, moved, only_asked_for, open_folder
from cachetop.hub.names import Names, harmless
from cachetop.hub.problems import Complaints, unreadable
from cachetop.hub.records import File

_TIMES = 3
"""How often a repo is read that does not hold still."""
_DEPTH = 32
_REF_BYTES = 256
_KIND = 0o170000
_REGULAR = stat.S_IFREG


class Place(msgspec.Struct, eq=False, gc=False):
    """What the repos of one cache root have in common while they are read."""

    root: int
    """The open cache root."""
    store: Mapping[str, Blob]
    """The shared store's payloads by `<2 hex>/<hash>`."""
    roots: tuple[str, ...]
    """The root's absolute spellings."""
    names: Names
    most: int = sys.maxsize
    """Blobs of a repo beyond which it is not read, but `Unwieldy` raised."""


class Unwieldy(Exception):
    """A repo has more blobs than wanted."""


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
    contents = Contents([], {}, [], {}, {}, [], set(), {}, {}, Complaints())
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


def _clean(name: str, spelled: dict[str, str]) -> str:
    """`name` safe to show; `spelled` learns how it is spelled on disk."""
    shown = clean(name)
    if shown != name:
        spelled[shown] = name
    return shown


class _Reader:
    def __init__(self, place: Place, name: str, top: int, contents: Contents) -> None:
        self.place = place
        self.name = name
        self.top = top
        self.contents = contents
        self.complain = contents.complaints.add
        self.several: dict[tuple[int, int], Blob] = {}
        self.pool: int | None = None
        """The open folder of the blobs."""
        self.pooled = 0
        """When that changed last, by its mark."""
        self.nested = False
        """The revision being read has folders."""
        self.vanished = False
        """Something that had been listed was gone when it was looked at."""
        self.bare = False
        """There is no folder for revisions, or an empty one."""
        self.sized = True
        """The blobs can be read, or there are none: one that is not found is really missing."""

    def read(self) -> None:
        self.section("refs", "refs", self.top, self.refs)
        self.pool = self.open("blobs", "blobs", self.top)
        try:
            self.pooled = 0 if self.pool is None else self.contents.marks[-1][1]
            listed = self._listed()
            if len(listed) > self.place.most:
                raise Unwieldy
            self.section("snapshots", "snapshots", self.top, self.snapshots)
            self._rest(listed)
        finally:
            if self.pool is not None:
                os.close(self.pool)
        if self.bare and not only_asked_for(self.contents, self.name, self.top):
            self.complain("no-snapshots")

    # Folders

    def open(self, path: str, name: str, at: int) -> int | None:
        """Open and mark the folder `name` in the open folder `at`; None, and a complaint, where that fails."""
        try:
            descriptor = open_folder(name, at)
        except FileNotFoundError:
            self.contents.marks.append((f"{self.name}/{path}", 0, 0.0))
            self.bare |= path == "snapshots"
            self.vanished = True
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                self.sized &= path != "blobs"
                self.complain("foreign-link", path)
            else:
                self._unreadable(path, error)
            return None
        status = os.fstat(descriptor)
        self.contents.marks.append((f"{self.name}/{path}", status.st_ctime_ns, status.st_mtime))
        return descriptor

    def section(self, path: str, name: str, at: int, reader: Callable[..., None], *more: Any) -> None:
        """Open and mark `path`, by `name` in the open folder `at`, and hand it to `reader`, with `more`."""
        descriptor = self.open(path, name, at)
        if descriptor is None:
            return
        try:
            reader(path, descriptor, *more)
        except OSError as error:
            self._unreadable(path, error)
        finally:
            os.close(descriptor)

    def _listed(self) -> list[str]:
        try:
            return [] if self.pool is None else os.listdir(self.pool)
        except OSError as error:
            self._unreadable("blobs", error)
            return []

    def _unreadable(self, path: str, error: OSError) -> None:
        if path == "blobs":
            if not self.sized:
                return  # said already
            self.sized = False
        self.complain(unreadable(error), f"{path} ({why(error)})")

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
                    self._unreadable(below, error)

    def _ref(self, path: str, name: str, at: int) -> None:
        descriptor = files.open_quietly(name, at)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                if path.count("/") < _DEPTH:
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

    # Blobs

    def _known(self, keys: list[str]) -> list[Blob] | None:
        """The blobs of these names, looked at now unless they are known; None when one of them is none.

        Most of a scan's time goes into this loop and the one of `_files`: no call in it that can be spared.
        """
        blobs, pool, look, new = self.contents.blobs, self.pool, os.lstat, Blob
        if pool is None:
            return None
        fresh, keep, made = keys, blobs.setdefault, []
        if blobs and keys and (keys[0] in blobs or keys[-1] in blobs):  # a guess: to ask for each costs more
            fresh = [key for key in keys if key not in blobs]
        for key, found in zip(fresh, [look(key, dir_fd=pool) for key in fresh], strict=True):
            if found[3] == 1 and found[0] & _KIND == _REGULAR:  # by number: cheaper than by name
                blob = new(found[2], found[1], found[6], found.st_blocks * 512, 1, found.st_atime, found.st_mtime)
                made.append(keep(key, blob))  # one that is known stays the same object
            elif self._blob(key) is None:
                return None
        return made if len(made) == len(keys) else [blobs[key] for key in keys]

    def _blob(self, key: str) -> Blob | None:
        """The blob called `key`, looked at now unless it is known; None when there is none."""
        blobs, foreign = self.contents.blobs, self.contents.foreign
        if key not in blobs and key not in foreign and (found := self._look(key)) is not None:
            blobs[key] = found
        return blobs.get(key)

    def _look(self, key: str) -> Blob | None:
        """What `key` in the folder of the blobs is now; None when it is no blob."""
        if self.pool is None:
            return None
        try:
            status = os.lstat(key, dir_fd=self.pool)
            if stat.S_ISREG(status.st_mode):
                return self._one(status)
            return self._linked(key, os.readlink(key, dir_fd=self.pool)) if stat.S_ISLNK(status.st_mode) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable("blobs", error)
            return None

    def _linked(self, name: str, target: str) -> Blob | None:
        """A blob that is a symlink: a payload of the shared store, or none of the cache's business."""
        payload = layout.stored_payload(target, self.name, self.place.roots)
        if payload is None:
            self.contents.foreign.add(name)
            self.complain("foreign-link", f"blobs/{name}")
        elif payload in self.place.store and not name.startswith("."):
            self.contents.plain = False
            return self.place.store[payload]
        return None

    def _rest(self, listed: list[str]) -> None:
        """What lies among the blobs and was named by no revision: partial downloads, and what was left behind."""
        contents = self.contents
        if len(listed) == len(contents.blobs) and self.pool is not None and mark("", self.pool)[1] == self.pooled:
            return  # nothing came or went meanwhile, so these are the same
        for name in [name for name in listed if name not in contents.blobs and name not in contents.foreign]:
            blob = self._look(name)
            if blob is None:
                continue
            if name.endswith(layout.PARTIAL) and blob.stored is None:
                contents.partials[name] = blob
            else:
                contents.blobs[name] = blob
                contents.unnamed.append(name)

    def _one(self, status: os.stat_result) -> Blob:
        """The Blob of an inode, the same one for each of its names in this repo."""
        blob = inode(status)
        if blob.links == 1:
            return blob
        self.contents.plain = False
        return self.several.setdefault((blob.device, blob.inode), blob)

    # Revisions

    def snapshots(self, path: str, descriptor: int) -> None:
        self.bare = True
        with os.scandir(descriptor) as entries:
            for entry in entries:
                commit = entry.name
                self.bare &= commit in layout.IGNORED
                if entry.is_dir(follow_symlinks=False):
                    snapshot = Snapshot(commit, [], [], {}, [])
                    self.contents.snapshots.append(snapshot)
                    self.section(f"{path}/{commit}", commit, descriptor, self._files, snapshot, "")
                    if self.nested:  # the files of a folder came after its siblings
                        snapshot.files.sort(key=attrgetter("name"))
                        self.nested = False
                elif entry.is_symlink():
                    self.complain("foreign-link", f"{path}/{commit}")
                elif commit not in layout.IGNORED:
                    self.complain("stray-file", f"{path}/{commit}")

    def _files(self, path: str, descriptor: int, snapshot: Snapshot, prefix: str) -> None:
        """One folder of a revision. Nearly always each name in it is a link to a blob of the repo."""
        readlink, new = os.readlink, File
        names, plain = self.place.names.ordered(os.listdir(descriptor))
        self.vanished |= not names  # a folder that was removed meanwhile is read as an empty one
        keys: list[str] | None = None
        known: list[Blob] | None = None
        try:
            targets = [readlink(name, dir_fd=descriptor) for name in names]
            keys = layout.own_blobs(targets, prefix.count("/"))
            if keys is not None and plain and harmless(prefix):
                known = self._known(keys)
        except OSError:
            pass
        if keys is None or known is None:
            self._mixed(snapshot, path, prefix, names, descriptor)
            return
        if prefix:
            names = [prefix + name for name in names]
        snapshot.blobs += known
        snapshot.files += [
            new(name, blob.size, blob.disk, key) for name, key, blob in zip(names, keys, known, strict=True)
        ]

    def _mixed(self, snapshot: Snapshot, path: str, prefix: str, names: list[str], descriptor: int) -> None:
        """A folder of a revision in which anything may lie, a name at a time."""
        for name in names:
            try:
                target = os.readlink(name, dir_fd=descriptor)
            except OSError:
                self._real(snapshot, path, prefix, name, descriptor)
                continue
            key = layout.own_blob(target, self.name, path, self.place.roots)
            if key is None:
                self.complain("foreign-link", prefix + name)
                continue
            blob = self._blob(key)
            if blob is not None:
                snapshot.blobs.append(blob)
                shown = _clean(prefix + name, self.contents.names)
                snapshot.files.append(File(shown, blob.size, blob.disk, _clean(key, self.contents.keys)))
                continue
            snapshot.lost.append(clean(prefix + name))
            if self.sized and key not in self.contents.foreign:
                said = f"{prefix}{name} of {snapshot.commit[:12]}"
                self.complain("missing-blob", said, (snapshot.commit, prefix + name))

    def _real(self, snapshot: Snapshot, path: str, prefix: str, name: str, at: int) -> None:
        """What is in a revision's folder and is no symlink: a folder, or a file kept without a blob."""
        try:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            self.vanished = True
            return
        except OSError as error:
            self._unreadable(f"{prefix}{name}", error)
            return
        if stat.S_ISDIR(status.st_mode):
            if path.count("/") < _DEPTH:
                self.nested = True
                self.section(f"{path}/{name}", name, at, self._files, snapshot, f"{prefix}{name}/")
            else:
                self.complain("too-deep", f"{prefix}{name}")
        elif stat.S_ISREG(status.st_mode):
            blob, shown = self._one(status), _clean(prefix + name, self.contents.names)
            snapshot.blobs.append(blob)
            snapshot.kept[shown] = blob
            snapshot.files.append(File(shown, blob.size, blob.disk, None))
