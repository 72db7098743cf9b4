"""The protocol every cache format implements: shelves of rows.

A *shelf* is one folder whose children are entries (or pieces of them): a Triton root is one shelf, an
Inductor root has hundreds. A *row* is one entry together with what tells, cheaply, whether it changed. A
format lists its shelves and reads rows; `cachetop.kernelcache.shelves` decides what has to be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

import msgspec

from cachetop.kernelcache.records import Entry, Producer

UNKNOWN_PRODUCER = Producer()
_KNOWN_MOST = 10_000
_entry = attrgetter("entry")
_known: dict[Facts, Facts] = {}
Links = tuple[tuple[int, int, int], ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an entry's files say, read once: the ground of its producer, its state and its verdicts."""

    producer: Producer = UNKNOWN_PRODUCER
    toolchain: str | None = None
    """The compiler's own file that the entry names; raw, not cleaned."""
    elsewhere: str | None = None
    """The folder its group file points to when that is not the entry's own."""
    broken: str | None = None
    """Why the entry cannot be loaded: a file that is missing, empty or cut off."""
    code_sm: str | None = None
    """The SM in the header of its machine code, with the variant."""
    build_milliseconds: float | None = None
    source: str | None = None
    """The file the kernel was written in, where entries of one source are compared."""
    winner: str | None = None
    """The key of the entry that autotuning noted as the best; raw, not cleaned."""
    uses: tuple[str, ...] = ()
    """Keys of the Triton entries that a graph uses."""
    python: str | None = None
    """The release of Python (`3.11`) that alone can load it."""
    codes: tuple[str, ...] = ()
    """What it holds to be loaded: `sm_86` for machine code, `compute_86` for PTX."""
    witness: str | None = None
    """The file whose access time tells of a use, below the entry's folder or beside it."""
    within: bool = False
    """Whether the witness is in the entry's own folder; else its path begins beside the entry."""
    read_by_maker: bool = False
    """Whether the program that made the entry reads the witness itself, so that an access proves no later use."""


class Row(msgspec.Struct, gc=False):
    """One entry as the scanner keeps it, `entry` with everything known by now. `stamp` is the mtime (ns) of its folder
    or file.

    A `settled` row stays as it is while its shelf's mtime does. Others are looked at on every scan: `open` ones
    (in flight, or with contents their own mtime says nothing of) are read again, the rest when `stamp` moved.
    `links` are (device, inode, bytes) of files with several names.
    """

    entry: Entry
    stamp: int
    settled: bool
    open: bool
    links: Links = ()
    facts: Facts | None = None
    """What the second pass read about this entry; None until it did."""
    use: tuple[float | None, bool | None] | None = None
    """(last use, whether there was one since it was made), as access times tell; None before the second pass."""
    named: Producer | None = None
    """The producer that the first pass found, once the second has been over the entry; None before."""
    build_milliseconds: float | None = None
    """That of `facts`, where `learn` put it."""

    @property
    def state(self) -> str:
        """The entry's state as the first pass finds it: that it was moved here is found by the second."""
        return "complete" if self.entry.state == "relocated" else self.entry.state

    @property
    def maker(self) -> Producer:
        """Who made the entry as far as the first pass can tell."""
        return self.entry.producer if self.named is None else self.named

    def reads_as(self, entry: Entry) -> bool:
        """Whether the first pass, which gives `entry` now, finds nothing new."""
        if self.named is None:
            return self.entry == entry
        return _as_first_found(self.entry, self.state, self.named) == _as_first_found(
            entry, entry.state, entry.producer
        )

    def learn(self, facts: Facts) -> Facts:
        """Keep what the second pass read and return it: one object for all entries of which the files say the same.

        How long they took to build is each one's own.
        """
        self.build_milliseconds = facts.build_milliseconds
        if facts.build_milliseconds is not None:
            facts = msgspec.structs.replace(facts, build_milliseconds=None)
        if len(_known) >= _KNOWN_MOST:
            _known.clear()
        self.facts = known = _known.setdefault(facts, facts)
        return known


def _as_first_found(entry: Entry, state: str, producer: Producer) -> Entry:
    """`entry` without what the second pass fills in."""
    return msgspec.structs.replace(
        entry,
        state=state,
        producer=producer,
        last_used=None,
        stale=(),
        build_milliseconds=None,
        target=None,
        reused=None,
    )


class Rows(dict[str, Row]):
    """Rows by name that keep their sum, and who is unsettled, in flight, changed or new.

    `changed` and `born` are emptied by whoever has dealt with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_on_disk = 0
        self.linked = 0
        self.unsettled: set[str] = set()
        self.flying: set[str] = set()
        self.changed: set[str] = set()
        self.born: set[str] = set()

    def __setitem__(self, name: str, row: Row) -> None:
        if name in self:
            self._leave(name)
        else:
            self.born.add(name)
        super().__setitem__(name, row)
        self.size_on_disk += row.entry.size_on_disk
        self.linked += bool(row.links)
        self.changed.add(name)
        if not row.settled:
            self.unsettled.add(name)
            if row.entry.state == "compiling":
                self.flying.add(name)

    def __delitem__(self, name: str) -> None:
        self._leave(name)
        self.changed.discard(name)
        self.born.discard(name)
        super().__delitem__(name)

    def entries(self) -> Iterator[Entry]:
        """The entries in the order in which they came, with everything known by now."""
        return map(_entry, self.values())

    def discard(self, name: str) -> bool:
        """Remove a row; returns whether there was one."""
        if name not in self:
            return False
        del self[name]
        return True

    def _leave(self, name: str) -> None:
        old = self[name]
        self.size_on_disk -= old.entry.size_on_disk
        self.linked -= bool(old.links)
        self.unsettled.discard(name)
        self.flying.discard(name)


@dataclass(slots=True)
class Shelf:
    """One folder: its mtime (ns), when it was listed (ns), and its rows by their raw names on disk."""

    stamp: int = -1
    listed: int = 0
    rows: Rows = field(default_factory=Rows)


@dataclass(slots=True)
class Context:
    """What a scan hands to a format: the cache's id and kind, the moment (epoch seconds), what is not its own.

    `elsewhere` holds (device, inode) of the roots of other caches, which a format does not enter. `errors`
    collects a sentence for each folder that could not be read. A `quick` scan takes entries that are complete as
    they were, as long as their folder still lists them.
    """

    cache: str
    kind: str
    now: float
    elsewhere: frozenset[tuple[int, int]] = frozenset()
    errors: list[str] = field(default_factory=list)
    quick: bool = False
    progress: Callable[[], None] | None = None
    """Called now and then while much is read for the first time."""
    prefix: str = ""
    """The path of a cache that lies within another one, with a slash: it begins the paths of its entries."""


class Format(Protocol):
    """One cache format. Shelves are kept by the caller, by their path below the root (`.` is the root).

    A format whose entries may be taken away whole, because the program that made them makes them again and survives
    that they are gone, says so by an attribute `removable = True`; without it nothing of it is ever deleted.
    """

    kind: str

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """Bring `shelves` up to date with the folder open as `root`; returns whether anything changed."""
        ...

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """Bring the entries at `paths` (below the root) up to date; returns whether anything changed."""
        ...

    def owner(self, path: str) -> str | None:
        """The path of the entry a file at `path` (below the root) belongs to; None for none."""
        ...
