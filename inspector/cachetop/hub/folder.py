"""Reads one repo folder of a hub cache: refs, snapshots, blobs, partial downloads.

Every step goes from an open directory to a plain name in it, without following a symlink. Blobs are read
before the snapshots that name them; a link whose blob was not among them is looked at once more, so that a
download finishing meanwhile is never taken for a broken file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter

import msgspec

from cachetop.base import files
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.hub import layout
from cachetop.hub.problems import Complaints
from cachetop.hub.records import File

_DEPTH = 32
_REF_BYTES = 256
_NOATIME_DIRECTORY = files.DIRECTORY | getattr(os, "O_NOATIME", 0)

Mark = tuple[str, int, int]
"""A path below the cache root, its inode (0: not there) and its modification time in nanoseconds."""


class Blob(msgspec.Struct, eq=False, gc=False):
    """One inode: the same object wherever a repo names it, hence compared and hashed by identity.

    `links` is the inode's number of names, `stored` its path in the shared store if it lies there.
    """

    device: int
    inode: int
    size: int
    disk: int
    links: int
    accessed: float
    modified: float
    stored: str | None = None


class Snapshot(msgspec.Struct, eq=False):
    """One folder below `snapshots`, by its name on disk."""

    commit: str
    files: list[File]
    unique: set[Blob]
    """The inodes of `files`."""
    kept: dict[str, Blob]
    """The inodes of real files, those that are no link to a blob, by `File.name`."""
    lost: list[str]
    """Names of links whose blob is not there."""


class Contents(msgspec.Struct, eq=False):
    """What lies in one repo folder."""

    marks: list[Mark]
    refs: dict[str, str]
    snapshots: list[Snapshot]
    blobs: dict[str, Blob]
    """By name on disk."""
    partials: dict[str, Blob]
    foreign: set[str]
    """Names in `blobs` that are symlinks to somewhere else; what lies there is nobody's business here."""
    spelled: dict[str, str]
    """How a name that is not safe to show is spelled on disk."""
    complaints: Complaints
    modified: float = 0.0
    plain: bool = True
    """No inode here can have a name outside this repo."""


def open_folder(name: str, at: int) -> int:
    """Open a folder by its plain name in an open one, never through a symlink, keeping its access time."""
    try:
        return os.open(name, _NOATIME_DIRECTORY, dir_fd=at)
    except PermissionError:
        return os.open(name, files.DIRECTORY, dir_fd=at)


def open_root(path: str) -> int:
    """Open a cache root, which may be a symlink: it is the person's own choice. Raises OSError."""
    try:
        return os.open(path, _NOATIME_DIRECTORY & ~os.O_NOFOLLOW)
    except PermissionError:
        return os.open(path, files.DIRECTORY & ~os.O_NOFOLLOW)


@contextmanager
def folder(name: str, at: int) -> Iterator[int]:
    """`open_folder` as a context that closes it."""
    descriptor = open_folder(name, at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def inode(status: os.stat_result, stored: str | None = None) -> Blob:
    """A Blob out of what stat said."""
    _, number, device, links, _, _, size, _, _, _ = status  # unpacking costs a fraction of reading the attributes
    return Blob(device, number, size, status.st_blocks * 512, links, status.st_atime, status.st_mtime, stored)


def mark(path: str, descriptor: int) -> Mark:
    """The mark of an open folder or file; take it before reading, so that a later change shows."""
    status = os.fstat(descriptor)
    return path, status.st_ino, status.st_mtime_ns


def moved(root: int, marks: list[Mark]) -> bool:
    """Whether anything behind the marks changed since they were taken. `root` is the open cache root."""
    look = os.stat
    for path, number, modified in marks:
        try:
            status = look(path, dir_fd=root, follow_symlinks=False)
        except OSError:
            if number:
                return True
            continue
        if status.st_mtime_ns != modified or status.st_ino != number:
            return True
    return False


def read(root: int, name: str, store: Mapping[str, Blob], roots: tuple[str, ...]) -> Contents:
    """Read the repo folder `name` in the open cache root.

    `store` holds the shared store's payloads by `<2 hex>/<hash>`, `roots` the root's absolute spellings.
    Raises FileNotFoundError when the folder vanished; whatever else goes wrong becomes a complaint.
    """
    contents = Contents([], {}, [], {}, {}, set(), {}, Complaints())
    try:
        descriptor = open_folder(name, root)
    except FileNotFoundError:
        raise
    except OSError as error:
        _complain_about_repo(root, name, error, contents)
        return contents
    try:
        reader = _Reader(name, descriptor, store, roots, contents)
        reader.section("refs", descriptor, reader.refs)
        reader.section("blobs", descriptor, reader.blobs)
        reader.section("snapshots", descriptor, reader.snapshots)
        contents.modified = os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
    return contents


def _complain_about_repo(root: int, name: str, error: OSError, contents: Contents) -> None:
    status = os.stat(name, dir_fd=root, follow_symlinks=False)
    contents.modified = status.st_mtime
    # no mark: whatever it is gets looked at again each time, for a change of rights moves no mtime
    if stat.S_ISLNK(status.st_mode):
        contents.complaints.add("repo-link", f"it leads to {os.readlink(name, dir_fd=root)}")
    elif not stat.S_ISDIR(status.st_mode):
        contents.complaints.add("not-a-folder", name)
    else:
        contents.complaints.add("unreadable", f"{name} ({why(error)})")


class _Reader:
    def __init__(
        self, name: str, top: int, store: Mapping[str, Blob], roots: tuple[str, ...], contents: Contents
    ) -> None:
        self.name = name
        self.top = top
        self.store = store
        self.roots = roots
        self.contents = contents
        self.complain = contents.complaints.add
        self.several: dict[tuple[int, int], Blob] = {}
        self.sized = True
        self.odd: set[str] = set()

    def section(self, path: str, at: int, reader: Callable[[str, int], None]) -> None:
        """Open `path` (its last part in the open folder `at`), mark it and hand it to `reader`."""
        try:
            descriptor = open_folder(path.rpartition("/")[2], at)
        except FileNotFoundError:
            self.contents.marks.append((f"{self.name}/{path}", 0, 0))
            if path == "snapshots":
                self.complain("no-snapshots")
            return
        except OSError as error:
            self.sized &= path != "blobs"
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                self.complain("foreign-link", path)
            else:
                self.complain("unreadable", f"{path} ({why(error)})")
            return
        try:
            self.contents.marks.append(mark(f"{self.name}/{path}", descriptor))
            reader(path, descriptor)
        except OSError as error:
            self.complain("unreadable", f"{path} ({why(error)})")
        finally:
            os.close(descriptor)

    def refs(self, path: str, descriptor: int) -> None:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                below = f"{path}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if below.count("/") < _DEPTH:
                        self.section(below, descriptor, self.refs)
                    else:
                        self.complain("too-deep", below)
                elif entry.name not in layout.IGNORED:
                    try:
                        self._ref(below, entry.name, descriptor)
                    except FileNotFoundError:
                        pass
                    except OSError as error:
                        link = error.errno == errno.ELOOP
                        self.complain("foreign-link" if link else "unreadable", below)

    def _ref(self, path: str, name: str, at: int) -> None:
        descriptor = files.open_quietly(name, at)
        try:
            status = os.fstat(descriptor)
            regular = stat.S_ISREG(status.st_mode)
            raw = os.read(descriptor, _REF_BYTES) if regular else b""
        finally:
            os.close(descriptor)
        self.contents.marks.append((f"{self.name}/{path}", status.st_ino, status.st_mtime_ns))
        ref = path[len("refs/") :]
        commit = raw.decode("utf-8", "surrogateescape")
        word = commit.strip()
        if not word or len(raw) == _REF_BYTES or not word.isascii() or not word.isalnum():
            self.complain("bad-ref", ref)
            return
        if word != commit:
            self.complain("bad-ref", f"{ref} (white space around the commit stops huggingface_hub)")
        self.contents.refs[ref] = word

    def blobs(self, _: str, descriptor: int) -> None:
        blobs, partials, one = self.contents.blobs, self.contents.partials, self._one
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                try:
                    if entry.is_file(follow_symlinks=False):
                        # unpacking costs a fraction of reading the attributes
                        status = entry.stat(follow_symlinks=False)
                        _, inode, device, links, _, _, size, _, _, _ = status
                        if links == 1:
                            blob = Blob(
                                device, inode, size, status.st_blocks * 512, 1, status.st_atime, status.st_mtime, None
                            )
                        else:
                            blob = one(status)
                        if name.endswith(layout.PARTIAL):
                            partials[name] = blob
                        else:
                            blobs[name] = blob
                            if not name.isprintable():
                                self.odd.add(name)
                    elif entry.is_symlink():
                        self._link(name, os.readlink(name, dir_fd=descriptor))
                except FileNotFoundError:
                    continue  # deleted since the folder was listed

    def _link(self, name: str, target: str) -> None:
        """A blob that is a symlink: a payload of the shared store, or none of the cache's business."""
        payload = layout.stored_payload(target, self.name, self.roots)
        if payload is None:
            self.contents.foreign.add(name)
            self.complain("foreign-link", f"blobs/{name}")
        elif payload in self.store and not name.startswith("."):
            self.contents.blobs[name] = self.store[payload]
            self.contents.plain = False
            if not name.isprintable():
                self.odd.add(name)

    def _one(self, status: os.stat_result) -> Blob:
        """The Blob of an inode, the same one for each of its names in this repo."""
        blob = inode(status)
        if blob.links == 1:
            return blob
        self.contents.plain = False
        return self.several.setdefault((blob.device, blob.inode), blob)

    def snapshots(self, path: str, descriptor: int) -> None:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                commit = entry.name
                if entry.is_dir(follow_symlinks=False):
                    snapshot = Snapshot(commit, [], set(), {}, [])
                    self.contents.snapshots.append(snapshot)
                    self._snapshot(snapshot, f"{path}/{commit}", "", descriptor)
                elif entry.is_symlink():
                    self.complain("foreign-link", f"{path}/{commit}")
                elif commit not in layout.IGNORED:
                    self.complain("stray-file", f"{path}/{commit}")

    def _snapshot(self, snapshot: Snapshot, path: str, prefix: str, at: int) -> None:
        self.section(path, at, lambda _, descriptor: self._files(snapshot, path, prefix, descriptor))

    def _files(self, snapshot: Snapshot, path: str, prefix: str, descriptor: int) -> None:
        """One folder of a revision. Nearly everything in it is a link to a blob, so reading it as one comes first."""
        up = "../" * prefix.count("/") + "../../blobs/"
        skip, readlink, find = len(up), os.readlink, self.contents.blobs.get
        add, count, odd = snapshot.files.append, snapshot.unique.add, self.odd
        names = os.listdir(descriptor)
        names.sort()
        for name in names:
            try:
                target = readlink(name, dir_fd=descriptor)
            except OSError:
                self._real(snapshot, path, prefix, name, descriptor)
                continue
            key = target[skip:]
            blob = find(key)
            if blob is None or not target.startswith(up):
                found = self._elsewhere(snapshot, path, prefix + name, target)
                if found is None:
                    continue
                key, blob = found
            if prefix:
                name = prefix + name
            if not name.isprintable() or key in odd:
                name, key = self._clean(name), self._clean(key)
            count(blob)
            add(File(name=name, size=blob.size, size_on_disk=blob.disk, blob=key))

    def _clean(self, name: str) -> str:
        shown = clean(name)
        if shown != name:
            self.contents.spelled[shown] = name
        return shown

    def _elsewhere(self, snapshot: Snapshot, path: str, name: str, target: str) -> tuple[str, Blob] | None:
        """A link that is not the usual one to a known blob: the blob's name and inode if it is one after all."""
        key = layout.own_blob(target, self.name, path, self.roots)
        if key is None:
            self.complain("foreign-link", name)
            return None
        blobs = self.contents.blobs
        if key not in blobs and self.sized and key not in self.contents.foreign:
            try:  # it may have arrived since the blobs were listed
                with folder("blobs", self.top) as descriptor:
                    status = os.stat(key, dir_fd=descriptor, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        blobs[key] = self._one(status)
                    elif stat.S_ISLNK(status.st_mode):
                        self._link(key, os.readlink(key, dir_fd=descriptor))
            except OSError:
                pass
        if key in blobs:
            return key, blobs[key]
        snapshot.lost.append(clean(name))
        if self.sized and key not in self.contents.foreign:
            self.complain("missing-blob", f"{name} of {snapshot.commit[:12]}")
        return None

    def _real(self, snapshot: Snapshot, path: str, prefix: str, name: str, at: int) -> None:
        """What is in a revision's folder and is no symlink: a folder, or a file kept without a blob."""
        try:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            self.complain("unreadable", f"{prefix}{name} ({why(error)})")
            return
        if stat.S_ISDIR(status.st_mode):
            if path.count("/") < _DEPTH:
                self._snapshot(snapshot, f"{path}/{name}", f"{prefix}{name}/", at)
                snapshot.files.sort(key=attrgetter("name"))
            else:
                self.complain("too-deep", f"{prefix}{name}")
        elif stat.S_ISREG(status.st_mode):
            blob, shown = self._one(status), self._clean(prefix + name)
            snapshot.unique.add(blob)
            snapshot.kept[shown] = blob
            snapshot.files.append(File(name=shown, size=blob.size, size_on_disk=blob.disk, blob=None))
