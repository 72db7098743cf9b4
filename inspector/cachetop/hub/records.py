"""What the Hugging Face cache holds, as frozen records (`cachetop.models/1`).

`size` is apparent bytes (st_size) and equals huggingface_hub's `size_on_disk`; `size_on_disk` is allocated
bytes (st_blocks x 512). Both count regular files only, each inode once. Times are epoch seconds.

The records hold no cycles, so those of which there are many are kept out of the garbage collector's sight (`gc=False`).
"""

from __future__ import annotations

from collections.abc import Iterable

from cachetop.base.record import Problem, Record

SCHEMA = "cachetop.models/1"
_PART = 2000
"""Files of a revision that are compared in one call of the interpreter: other threads get their turn in between."""


class File(Record, frozen=True, gc=False):
    """One file of a revision. `blob` is the blob's name, None for a real file kept in the snapshot."""

    name: str
    size: int
    size_on_disk: int
    blob: str | None
    resident: int | None = None
    """Bytes of it in the page cache; None where that was not measured or cannot be."""


def in_ram(files: Iterable[File]) -> tuple[int, int] | None:
    """(bytes in RAM, bytes) of files, each blob once; None where one of them was not measured."""
    warm = size = 0
    seen: set[str] = set()
    for file in files:
        if file.blob is not None:
            if file.blob in seen:
                continue
            seen.add(file.blob)
        if file.resident is None:
            return None
        warm += file.resident
        size += file.size
    return warm, size


class Revision(Record, frozen=True, gc=False):
    """One commit of a repo. `detached`: no ref points to it. `complete`: None until the second pass."""

    commit: str
    refs: tuple[str, ...]
    size: int
    size_on_disk: int
    reclaimable: int
    """Allocated bytes of the inodes that only this revision names: what deleting it alone gives back."""
    detached: bool
    complete: bool | None
    files: tuple[File, ...]
    missing: tuple[str, ...] = ()
    """Names in the revision's stored file list that are not there."""
    superseded: bool = False
    """Detached, while a ref points to another revision of the repo: a newer download took its place."""

    def __eq__(self, other: object) -> bool:
        """By value, the files a part at a time: of 100,000 at once no other thread gets its turn for 30 ms."""
        if type(other) is not Revision:
            return NotImplemented
        mine, theirs = self.files, other.files
        return self is other or (
            len(mine) == len(theirs)
            and all(getattr(self, name) == getattr(other, name) for name in _BUT_FILES)
            and all(
                mine[start : start + _PART] == theirs[start : start + _PART] for start in range(0, len(mine), _PART)
            )
        )

    def __hash__(self) -> int:
        """Of what tells revisions apart, without a look at each file."""
        return hash((self.commit, self.size, len(self.refs), len(self.files)))


_BUT_FILES = tuple(name for name in Revision.__struct_fields__ if name != "files")


class Partial(Record, frozen=True, gc=False):
    """A download that is running or was cut off."""

    file: str | None
    blob: str
    bytes: int
    expected: int | None
    pid: int | None
    live: bool | None
    """True: a process holds its lock. False: nobody does. None: could not be told."""


class Repo(Record, frozen=True, gc=False):
    """One repo folder of a hub cache."""

    id: str
    type: str
    root: str
    size: int
    size_on_disk: int
    reclaimable: int
    last_used: float | None
    last_modified: float
    problems: tuple[Problem, ...]
    revisions: tuple[Revision, ...]
    partials: tuple[Partial, ...]
    downloading: bool | None = None
    """A partial of it is live; or files are missing and one came a moment ago, as between two small ones. None until
    the second pass, and where it cannot be told."""
    last_used_reason: str | None = None
    """Why `last_used` is None. Access times are exact to a day on most mounts: see `Root.access_times`."""

    def __hash__(self) -> int:
        """Of what tells repos apart, without a look at each revision: there may be tens of thousands."""
        return hash((self.root, self.type, self.id, self.size, len(self.revisions)))


class Root(Record, frozen=True):
    """A hub cache folder that was scanned, and which variable or default decided on it."""

    path: str
    reason: str
    exists: bool = True
    problem: str | None = None
    fix: str | None = None
    """A command that mends the problem or looks closer."""
    access_times: str | None = None
    """How its mount keeps access times, hence how exact `last_used` is: strictatime, relatime (moved at most once a
    day), noatime or read-only (not at all). None where it is not there."""


class Beside(Record, frozen=True):
    """Another place with models. cachetop only looks at it: `note` says whose it is."""

    kind: str
    path: str
    reason: str
    size: int | None
    size_on_disk: int | None
    files: int | None
    note: str
    problem: str | None = None


class Models(Record, frozen=True):
    """The whole picture: every repo of every root. Sizes count each inode once over all repos."""

    schema: str = SCHEMA
    roots: tuple[Root, ...] = ()
    size: int = 0
    size_on_disk: int = 0
    repos: tuple[Repo, ...] = ()
    problems: tuple[Problem, ...] = ()
    beside: tuple[Beside, ...] = ()
    """Other places with models, where somebody looked (`cachetop.hub.beside`)."""
    size_by_type: dict[str, int] = {}
    """Bytes of the repos of each type, each inode once over all of them."""
    resident: int | None = None
    """Bytes of all repos in RAM, each inode once, of what could be measured; None until all were looked at."""
    scanning: bool = False
    """The first scan is still running: more repos are to come, and sizes grow."""


class Asked(Models, frozen=True):
    """The repos that somebody asked for."""

    total: int = 0
    """How many there are."""
    sort: str | None = None
    """The order that they asked for; None: by name, as a scan finds them."""
