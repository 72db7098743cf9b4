"""Which cached weights a process has mapped or open now, from /proc alone.

Files are matched by (device, inode), not by path: a bind mount shows another path, and a file of the shared
store belongs to several repos. Only weights count; a process that reads a config.json holds no model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, runtime_checkable

from cachetop.gpu import processes

Inode = tuple[int, int]
Index = Mapping[Inode, Sequence[Any]]
"""(st_dev, st_ino) -> objects with `.repo`, `.revision`, `.file`, `.size`, or tuples that begin with these.

`file` None stands for a partial download or a blob of no revision, which is no evidence. Where they have a `.type`,
only those of type model count: a process that reads a data set holds no model."""


@runtime_checkable
class Listed(Protocol):
    """An index that is worked out when it is asked: it lists all its objects cheaper than inode by inode."""

    def owners(self) -> Iterator[Any]:
        """Every object of the index."""


WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".onnx_data", ".ckpt", ".h5", ".npz", ".msgpack")
_MAPPED_FILE = re.compile(rb"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) ([1-9]\d*) +(/.*)$", re.MULTILINE)
_IN_CACHE = re.compile(rb"/(?:blobs|snapshots)/")


@dataclass(frozen=True, slots=True)
class Owner:
    """One name of an inode in the hub cache."""

    repo: str
    revision: str | None
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A model whose weights a process holds. `revision` None: several revisions share the files held."""

    repo: str
    revision: str | None
    inodes: frozenset[Inode]
    bytes: int


class Weights:
    """The weights among the inodes of a hub cache, with what is derived from them once."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def owners(self, inode: Inode) -> tuple[Owner, ...]:
        """The names of an inode, none when it is no weights file of this cache."""
        return tuple(map(_owner, filter(_is_weights, self.index.get(inode, ()))))

    @cached_property
    def repos(self) -> frozenset[str]:
        """Ids of all repos that have weights."""
        every = self.index.owners() if isinstance(self.index, Listed) else chain.from_iterable(self.index.values())
        return frozenset(_owner(one).repo for one in every if _is_weights(one))

    @cached_property
    def by_number(self) -> dict[int, list[Inode]]:
        """Inodes by their number alone."""
        found: dict[int, list[Inode]] = {}
        for inode in self.index:
            found.setdefault(inode[1], []).append(inode)
        return found


def _is_weights(one: Any) -> bool:
    file = one[2] if isinstance(one, tuple) else one.file
    return file is not None and file.lower().endswith(WEIGHTS) and getattr(one, "type", "model") == "model"


def plain(one: Any) -> tuple[str, str | None, str | None, int]:
    """(repo, revision, file, size) of one value of an index."""
    return one[:4] if isinstance(one, tuple) else (one.repo, one.revision, one.file, one.size)


def _owner(one: Any) -> Owner:
    repo, revision, file, size = plain(one)
    return Owner(repo, revision, file or "", size)


def held(pid: int, weights: Weights) -> dict[Inode, tuple[Owner, ...]] | None:
    """The weights that `pid` has mapped or open now; None when it may not be inspected or is gone."""
    maps = processes.read_maps(pid)
    if maps is None:
        return None
    found = {inode: weights.owners(inode) for inode in (*mapped(maps, weights), *opened(pid))}
    return {inode: owners for inode, owners in found.items() if owners}


def models_of(files: Mapping[Inode, Sequence[Owner]]) -> list[Holding]:
    """The models that some weights files stand for.

    A repo that shares some of the files with another one, which explains all of them and more, is left out;
    of the revisions that have all its files the single one is named.
    """
    by_repo: dict[str, dict[Inode, dict[str | None, int]]] = {}
    for inode, owners in files.items():
        for owner in owners:
            by_repo.setdefault(owner.repo, {}).setdefault(inode, {})[owner.revision] = owner.size
    found = []
    for repo, named in by_repo.items():
        if any(named.keys() < other.keys() for other in by_repo.values()):
            continue
        revisions = set.intersection(*(set(sizes) for sizes in named.values()))
        size = sum(max(sizes.values()) for sizes in named.values())
        found.append(Holding(repo, revisions.pop() if len(revisions) == 1 else None, frozenset(named), size))
    return found


def mapped(maps: bytes, weights: Weights) -> Iterator[Inode]:
    """The inodes of the files in a memory map that may be of the hub cache."""
    seen = set()
    for line in _MAPPED_FILE.finditer(maps):
        if line.groups() in seen:
            continue
        seen.add(line.groups())
        inode = (os.makedev(int(line[1], 16), int(line[2], 16)), int(line[3]))
        if inode not in weights.index and _IN_CACHE.search(line[4]):
            yield from _other_device(inode[1], line[4], weights)
        else:
            yield inode


def _other_device(number: int, path: bytes, weights: Weights) -> Iterator[Inode]:
    """btrfs and overlayfs show another device in maps than stat does: there the repo's folder must agree too."""
    for inode in weights.by_number.get(number, ()):
        if any(f"--{owner.repo.replace('/', '--')}/".encode() in path for owner in weights.owners(inode)):
            yield inode


def opened(pid: int) -> Iterator[Inode]:
    """The inodes that a process has open below a hub cache."""
    for descriptor, target in processes.open_files(pid) or ():
        if not _IN_CACHE.search(target):
            continue
        try:
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        yield status.st_dev, status.st_ino
