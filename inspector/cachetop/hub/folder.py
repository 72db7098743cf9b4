"""Reads one repo folder of a hub cache: refs, snapshots, blobs, partial downloads.

Every step goes from an open directory to a plain name in it, without following a symlink. Blobs are read
before the snapshots that name them; a link whose blob was not among them is looked at once more, so that a
download finishing meanwhile is never taken for a broken file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import cast

from cachetop.base import files
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Contents, Snapshot, folder, inode, mark, open_folder
from cachetop.hub.problems import Complaints
from cachetop.hub.records import File

_DEPTH = 32
_REF_BYTES = 256
_PRINTABLE = bytes(range(32, 127))
_KIND = 0o170000
_REGULAR = stat.S_IFREG


def read(root: int, name: str, store: Mapping[str, Blob], roots: tuple[str, ...]) -> Contents:
    """Read the repo folder `name` in the open cache root.

    `store` holds the shared store's payloads by `<2 hex>/<hash>`, `roots` the root's absolute spellings.
    Raises FileNotFoundError when the folder vanished; whatever else goes wrong becomes a complaint.
    """
    contents = Contents([], {}, [], {}, {}, set(), {}, {}, Complaints())
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


def _harmless(names: Iterable[str]) -> bool:
    """Whether all of these are printable ASCII, which needs no cleaning; much cheaper than asking one by one."""
    text = "".join(names)
    return text.isascii() and not text.encode().translate(None, _PRINTABLE)


def _clean(name: str, spelled: dict[str, str]) -> str:
    """`name` safe to show; `spelled` learns how it is spelled on disk."""
    shown = clean(name)
    if shown != name:
        spelled[shown] = name
    return shown


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
        self.harmless = True
        """No blob's name needs cleaning."""

    def section(self, path: str, at: int, reader: Callable[[str, int], None]) -> None:
        """Open `path` (its last part in the open folder `at`), mark it and hand it to `reader`."""
        below = f"{self.name}/{path}"
        try:
            descriptor = open_folder(path[path.rfind("/") + 1 :], at)
        except FileNotFoundError:
            self.contents.marks.append((below, 0, 0))
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
            self.contents.marks.append(mark(below, descriptor))
            reader(path, descriptor)
        except OSError as error:
            self.sized &= path != "blobs"
            self.complain("unreadable", f"{path} ({why(error)})")
        finally:
            os.close(descriptor)

    def refs(self, path: str, descriptor: int) -> None:
        for name in os.listdir(descriptor):
            if name in layout.IGNORED:
                continue
            below = f"{path}/{name}"
            try:
                self._ref(below, name, descriptor)
            except FileNotFoundError:
                pass
            except OSError as error:
                self.complain("foreign-link" if error.errno == errno.ELOOP else "unreadable", below)

    def _ref(self, path: str, name: str, at: int) -> None:
        descriptor = files.open_quietly(name, at)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                if path.count("/") < _DEPTH:
                    self.section(path, at, self.refs)
                else:
                    self.complain("too-deep", path)
                return
            raw = os.read(descriptor, _REF_BYTES) if stat.S_ISREG(status.st_mode) else b""
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
        """Most of a scan's time goes into this loop and the one of `_files`: no call in it that can be spared."""
        blobs, partials, look, new = self.contents.blobs, self.contents.partials, os.lstat, Blob
        partial = layout.PARTIAL
        for name in os.listdir(descriptor):
            try:
                status = look(name, dir_fd=descriptor)
            except FileNotFoundError:
                continue  # deleted since the folder was listed
            mode, number, device, links, _uid, _gid, size, _atime, _mtime, _ctime = status
            if mode & _KIND == _REGULAR:
                blob = new(device, number, size, status.st_blocks * 512, links, status.st_atime, status.st_mtime)
                if links != 1:
                    blob = self._same(blob)
                if name.endswith(partial):
                    partials[name] = blob
                else:
                    blobs[name] = blob
            elif stat.S_ISLNK(mode):
                try:
                    self._link(name, os.readlink(name, dir_fd=descriptor))
                except FileNotFoundError:
                    continue
        self.harmless = _harmless(blobs)

    def _link(self, name: str, target: str) -> None:
        """A blob that is a symlink: a payload of the shared store, or none of the cache's business."""
        payload = layout.stored_payload(target, self.name, self.roots)
        if payload is None:
            self.contents.foreign.add(name)
            self.complain("foreign-link", f"blobs/{name}")
        elif payload in self.store and not name.startswith("."):
            self.contents.blobs[name] = self.store[payload]
            self.contents.plain = False

    def _one(self, status: os.stat_result) -> Blob:
        """The Blob of an inode, the same one for each of its names in this repo."""
        blob = inode(status)
        return blob if blob.links == 1 else self._same(blob)

    def _same(self, blob: Blob) -> Blob:
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
        """One folder of a revision. Nearly always each name in it is a link to a blob of the repo."""
        up = "../" * prefix.count("/") + "../../blobs/"
        skip, readlink, find, new = len(up), os.readlink, self.contents.blobs.get, File
        names = os.listdir(descriptor)
        names.sort()
        harmless = self.harmless and prefix.isprintable() and _harmless(names)
        try:
            targets = [readlink(name, dir_fd=descriptor) for name in names]
        except OSError:
            self._mixed(snapshot, path, prefix, up, names, descriptor)
            return
        keys = [target[skip:] for target in targets]
        inodes = [find(key) for key in keys]
        if not harmless or None in inodes or not all([target.startswith(up) for target in targets]):  # noqa: C419
            self._mixed(snapshot, path, prefix, up, names, descriptor)
            return
        if prefix:
            names = [prefix + name for name in names]
        known = cast("list[Blob]", inodes)
        snapshot.unique.update(known)
        snapshot.files += [
            new(name, blob.size, blob.disk, key) for name, key, blob in zip(names, keys, known, strict=True)
        ]

    def _mixed(self, snapshot: Snapshot, path: str, prefix: str, up: str, names: list[str], descriptor: int) -> None:
        """A folder of a revision in which anything may lie, a name at a time."""
        for name in names:
            try:
                target = os.readlink(name, dir_fd=descriptor)
            except OSError:
                self._real(snapshot, path, prefix, name, descriptor)
                continue
            found: tuple[str, Blob] | None = None
            if target.startswith(up) and (usual := self.contents.blobs.get(target[len(up) :])):
                found = target[len(up) :], usual
            else:
                found = self._elsewhere(snapshot, path, prefix + name, target)
            if found is not None:
                key, blob = found
                snapshot.unique.add(blob)
                shown = _clean(prefix + name, self.contents.names)
                snapshot.files.append(File(shown, blob.size, blob.disk, _clean(key, self.contents.keys)))

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
                    self.harmless &= key.isprintable()
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
            blob, shown = self._one(status), _clean(prefix + name, self.contents.names)
            snapshot.unique.add(blob)
            snapshot.kept[shown] = blob
            snapshot.files.append(File(shown, blob.size, blob.disk, None))
