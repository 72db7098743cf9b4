"""What stands behind a plan: for each item the names that move, and how to tell that they are still the same."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from cachetop.prune.records import Item, Plan
from cachetop.prune.tree import Measured, lstat

Mark = tuple[tuple[str, ...], int, int]
"""A path below the root, its inode (0: not there) and its modification time (ns)."""


@dataclass(slots=True)
class Move:
    """One name that is renamed into the trash: `name` in the folder at `parents` below `root`.

    `role` says what it is: entry, repo, ref, snapshot, list, blob, payload, manifest, partial.
    """

    root: str
    parents: tuple[str, ...]
    name: str
    device: int
    inode: int
    stamp: int
    role: str = "entry"

    @property
    def path(self) -> str:
        """Its real path."""
        return os.path.join(self.root, *self.parents, self.name)

    def is_same(self, found: os.stat_result) -> bool:
        """Whether what was found there is what was planned."""
        same = (found.st_dev, found.st_ino) == (self.device, self.inode)
        return same and (found.st_mtime_ns == self.stamp or stat.S_ISLNK(found.st_mode))


def move(root: str, parents: tuple[str, ...], name: str, at: int, role: str = "entry") -> Move:
    """The move of a name in the open folder `at`. Raises OSError."""
    found = lstat(name, at)
    return Move(root, parents, name, found.st_dev, found.st_ino, found.st_mtime_ns, role)


@dataclass(slots=True)
class Work:
    """One item of the plan with everything that moves for it, in the order in which it moves."""

    item: Item
    moves: list[Move]
    measured: Measured
    number: int = 0
    """Its place in the plan."""
    repo: str | None = None
    """The repo's folder below the root; None for kernels."""
    marks: tuple[Mark, ...] = ()
    """The folders of the repo as the plan saw them."""
    commit: str | None = None
    referrers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Payload `<2 hex>/<hash>` -> blobs of repos that name it and go with this plan."""
    names: frozenset[str] = frozenset()
    """Every blob that the item names, as `<repo folder>/blobs/<name>`, whether it goes with it or not."""
    group: bytes | None = None
    """For `--ir-only`: what the group file, the first of `moves`, is to say from now on."""
    named: bool = False
    """It was asked for by its own name, so leaving it is a failure to do as told."""


@dataclass(slots=True)
class Draft:
    """A plan and the work behind it. `force` lifts the block on what is only in use."""

    plan: Plan
    work: list[Work]
    roots: dict[str, tuple[int, int]]
    """Cache root -> (device, inode)."""
    force: bool = False
    named_blocked: int = 0
    """How many of the blocked things were asked for by name."""
