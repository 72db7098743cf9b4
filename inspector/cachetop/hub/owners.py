"""Who names an inode of a hub cache: what a process that has it open or mapped holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from cachetop.base.hostile import clean
from cachetop.hub import layout
from cachetop.hub.contents import Blob

if TYPE_CHECKING:
    from cachetop.hub.known import Known

_NEAR = 16
"""Repos of which every inode is remembered: what processes hold is asked again and again, and in a row."""

Inode = tuple[int, int]
"""st_dev, st_ino."""


class BlobOwner(NamedTuple):
    """Who names an inode. `revision` and `file` are None for a partial download or a blob of no revision."""

    repo: str
    revision: str | None
    file: str | None
    size: int
    path: str
    """The inode's own path, no symlink: what /proc/PID/maps shows for it."""
    type: str = "model"
    """Of the repo: model, dataset, space."""


class Inodes(Mapping[Inode, tuple[BlobOwner, ...]]):
    """The inodes of some repos with their owners, who are worked out when one is asked for.

    Kept is only which repo names which inode number: with everything about every file it would be as large as all
    that a scan keeps. Safe to ask from any thread.
    """

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = tuple(known)
        self._repos: dict[int, Known | tuple[Known, ...]] = {}
        self._near: dict[Known, dict[Inode, tuple[BlobOwner, ...]]] = {}
        for one in self._known:
            for blob in _blobs(one):
                before = self._repos.setdefault(blob.inode, one)
                if before is not one and one not in _each(before):
                    self._repos[blob.inode] = (*_each(before), one)

    def __getitem__(self, inode: Inode) -> tuple[BlobOwner, ...]:
        found = tuple(owner for one in _each(self._repos[inode[1]]) for owner in self._of(one).get(inode, ()))
        if not found:
            raise KeyError(inode)
        return found

    def __iter__(self) -> Iterator[Inode]:
        return iter({(blob.device, blob.inode): None for one in self._known for blob in _blobs(one)})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def owners(self) -> Iterator[BlobOwner]:
        """Every owner, one repo after the other."""
        for one in self._known:
            for _, owner in owners(one):
                yield owner

    def _of(self, known: Known) -> dict[Inode, tuple[BlobOwner, ...]]:
        found = self._near.get(known)
        if found is None:
            found = {}
            for blob, owner in owners(known):
                key = (blob.device, blob.inode)
                found[key] = (*found.get(key, ()), owner)
            if len(self._near) >= _NEAR:
                self._near.clear()
            self._near[known] = found
        return found


def _each(repos: Known | tuple[Known, ...]) -> tuple[Known, ...]:
    return repos if isinstance(repos, tuple) else (repos,)


def _blobs(known: Known) -> Iterator[Blob]:
    contents = known.contents
    yield from contents.blobs.values()
    for snapshot in contents.snapshots:
        yield from snapshot.kept.values()
    yield from list(contents.partials.values())


def owners(known: Known) -> Iterator[tuple[Blob, BlobOwner]]:
    """Every inode of one repo with everyone who names it: files of revisions, blobs of none, partial downloads."""
    contents, repo, kind = known.contents, known.repo.id, known.repo.type
    top = os.path.join(known.root, known.folder)
    left = set(contents.blobs)
    paths = {
        name: os.path.join(known.root, layout.STORE, blob.stored) if blob.stored else f"{top}/blobs/{name}"
        for name, blob in contents.blobs.items()
    }
    for snapshot in contents.snapshots:
        commit = clean(snapshot.commit)
        for file in snapshot.files:
            if file.blob is None:
                path = f"{top}/snapshots/{snapshot.commit}/{contents.names.get(file.name, file.name)}"
                yield snapshot.kept[file.name], BlobOwner(repo, commit, file.name, file.size, path, kind)
            else:
                key = contents.keys.get(file.blob, file.blob)
                left.discard(key)
                yield contents.blobs[key], BlobOwner(repo, commit, file.name, file.size, paths[key], kind)
    for key in left:
        yield contents.blobs[key], BlobOwner(repo, None, None, contents.blobs[key].size, paths[key], kind)
    for key, blob in contents.partials.items():
        yield blob, BlobOwner(repo, None, None, blob.size, f"{top}/blobs/{key}", kind)
