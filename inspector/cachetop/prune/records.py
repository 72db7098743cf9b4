"""What pruning says, as frozen records: `cachetop.plan/1`, `cachetop.result/1`, `cachetop.undo/1`.

Bytes are allocated ones (st_blocks x 512) of regular files, each inode once and only where its last name goes.
Times are epoch seconds. Paths are cleaned to be safe to show.
"""

from __future__ import annotations

from cachetop.base.record import Record


class Rebuild(Record, frozen=True):
    """What it costs to have an item again. Unknown is None, never 0."""

    milliseconds: float | None = None
    """Compile time, as the entry's own files tell it."""
    download: int | None = None
    """Bytes to download again."""
    note: str | None = None


class Item(Record, frozen=True):
    """One thing that goes. `kind` is the cache's format, or `repo`, `revision`, `partial` for models."""

    kind: str
    key: str
    path: str
    size_on_disk: int
    reasons: tuple[str, ...]
    rebuild: Rebuild | None
    name: str | None = None
    frees: int = 0
    """What this item alone gives back; the plan's `frees` also counts inodes that several of its items name."""
    sm: tuple[str, ...] = ()


class Blocked(Record, frozen=True):
    """One thing that was asked for and stays. `lifted_by_force`: only a use keeps it."""

    path: str
    reason: str
    pids: tuple[int, ...] = ()
    key: str = ""
    size_on_disk: int = 0
    lifted_by_force: bool = False


class Keeping(Record, frozen=True):
    """One thing that a glob of the keep list protects."""

    path: str
    key: str
    pattern: str
    size_on_disk: int = 0


class Cost(Record, frozen=True):
    """What the whole plan costs to have again, and in words."""

    milliseconds: float | None
    download: int | None
    sentence: str


class Plan(Record, frozen=True):
    """What would happen. Nothing is deleted by making one."""

    schema: str = "cachetop.plan/1"
    id: str = ""
    items: tuple[Item, ...] = ()
    frees: int = 0
    blocked: tuple[Blocked, ...] = ()
    kept: tuple[Keeping, ...] = ()
    uninspectable: int = 0
    """Processes whose files could not be looked at: `not in use` says nothing of them."""
    cost: Cost | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Names that were asked for and are not in the cache."""
    unreadable: tuple[str, ...] = ()
    """A sentence for each cache folder that could not be looked at: what lies there is not in the plan."""
    created: float = 0.0


class Failed(Record, frozen=True):
    """One item that should have gone and did not, with the system's words."""

    path: str
    error: str


class Skipped(Record, frozen=True):
    """One item that was left alone, and why."""

    path: str
    reason: str


class Result(Record, frozen=True):
    """What happened. `freed` is measured while unlinking, `held` lies in the trash until `undo_until`."""

    schema: str = "cachetop.result/1"
    id: str = ""
    deleted: tuple[str, ...] = ()
    failed: tuple[Failed, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    freed: int = 0
    held: int = 0
    undo_until: float | None = None
    notes: tuple[str, ...] = ()


class Undone(Record, frozen=True):
    """What came back."""

    schema: str = "cachetop.undo/1"
    id: str = ""
    restored: tuple[str, ...] = ()
    failed: tuple[Failed, ...] = ()
    skipped: tuple[Skipped, ...] = ()
