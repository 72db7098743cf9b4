"""Which model files a block of code read or fetched, by what was opened, mapped, and came into the hub cache."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator

from cachetop.base.residency import resident
from cachetop.gpu import holdings
from cachetop.gpu.holdings import Inode
from cachetop.hub import layout
from cachetop.hub.owners import BlobOwner
from cachetop.hub.records import Models
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner
from cachetop.hub.warm import opened
from cachetop.locations import Location
from cachetop.notebook.opens import Opens
from cachetop.notebook.records import FILE_EVIDENCE, Downloaded, ModelRead

MOST_ASKED = 500
"""Files whose residency is asked before a block, at most; in a larger cache only those of `WORTH_ASKING`."""
WORTH_ASKING = 16 << 20
"""Bytes."""
_HOW = {
    "fanotify": "every file of the cache that this process opened, by fanotify",
    "inotify": "every file of the cache that any process opened, by inotify; whether this process did is known only "
    "of files it has mapped",
    None: "only files that this process had mapped when it was looked at",
}
_MAPPED_FILE = re.compile(rb"^\S+ \S+ \S+ \S+ ([1-9]\d*) +/.*/(?:blobs|snapshots)/(?:.*/)?([^/\n]+)$", re.MULTILINE)
Index = dict[Inode, tuple[BlobOwner, ...]]
_scanners: dict[tuple[Location, ...], Scanner] = {}
_active: list[Reads] = []
_lock = threading.RLock()


class Reads:
    """Watches the hub caches from `__init__` to `finish`; `tick` is called in between, from one thread.

    The scanner is kept from one block to the next, so that a block costs what changed.
    """

    def __init__(self) -> None:
        self._roots = tuple(roots())
        self._seen: dict[str, bool | None] = {}
        self._mapped_seen: set[Inode] = set()
        with _lock:
            self._scanner = _scanners.setdefault(self._roots, Scanner(self._roots))
            models = self._scanner.scan()
            self._before = dict(self._scanner.inodes())
            # to ask for residency is to open the files, which another block that is watched would take for a read
            self._resident = {} if _active else dict(self._residency(models))
            self._opens = Opens()
            self._opens.watch({os.path.dirname(owner.path) for owners in self._before.values() for owner in owners})
            _active.append(self)
        self._mapped_before = self._mapped(self._before)
        self._stamp = self._moved()

    @property
    def evidence(self) -> str:
        """How reads are seen, in a sentence."""
        said = _HOW[self._opens.how]
        return f"{said} ({self._opens.reason})" if self._opens.reason else said

    @property
    def lost(self) -> bool:
        """Whether the system dropped events: reads may be missing."""
        return self._opens.lost

    def wait(self, seconds: float, *also: int) -> None:
        """Wait for something to be opened; see `Opens.wait`."""
        self._opens.wait(seconds, *also)

    def tick(self) -> None:
        """Take in what was opened, and watch repos that appeared."""
        fresh = False
        for path, here in self._opens.read():
            was = self._seen.get(path)
            self._seen[path] = here if was is None else (was or bool(here))
            fresh = True
        if self._opens.how != "fanotify" and (fresh or self._opens.how is None):
            self._mapped_seen |= self._mapped(self._before)
        stamp = self._moved()
        if stamp != self._stamp:
            self._stamp = stamp
            self._opens.watch(self._new_folders())

    def finish(self) -> tuple[tuple[ModelRead, ...], tuple[Downloaded, ...]]:
        """Stop watching; what was read and what appeared, the largest first."""
        self.tick()
        with _lock:
            _active.remove(self)
            self._opens.close()
            self._scanner.scan()
            after = dict(self._scanner.inodes())
            return self._reads({**self._before, **after}), tuple(self._downloads(after))

    def _reads(self, index: Index) -> tuple[ModelRead, ...]:
        by_path = {owner.path: inode for inode, owners in index.items() for owner in owners}
        found: dict[Inode, str] = {}
        for path, here in self._seen.items():
            inode = by_path.get(path)
            if inode is not None:
                found[inode] = {True: "opened", False: "opened-elsewhere", None: "opened-by-someone"}[here]
        mapped = self._mapped(index)
        for inode in (mapped | self._mapped_seen) - self._mapped_before:
            found[inode] = "mapped"
        for inode in mapped & self._mapped_before & found.keys():
            if found[inode] != "opened-elsewhere":
                found[inode] = "mapped"
        named = {inode: tuple(owner for owner in index[inode] if owner.file is not None) for inode in found}
        return tuple(sorted(self._rows(found, named), key=lambda row: (FILE_EVIDENCE.index(row.evidence), -row.bytes)))

    def _rows(self, found: dict[Inode, str], named: Index) -> Iterator[ModelRead]:
        for elsewhere in (False, True):
            chosen = {
                inode: named[inode]
                for inode, evidence in found.items()
                if named[inode] and (evidence == "opened-elsewhere") is elsewhere
            }
            for model in holdings.models_of(chosen):  # type: ignore[arg-type]
                mine = {inode: next(o for o in named[inode] if o.repo == model.repo) for inode in model.inodes}
                before = [self._resident.get(inode, 0 if inode not in self._before else None) for inode in mine]
                after = [None if _active else resident(owner.path) for owner in mine.values()]
                yield ModelRead(
                    repo=model.repo,
                    revision=model.revision,
                    files=len(mine),
                    bytes=model.bytes,
                    resident_before=_sum(before),
                    evidence=min((found[inode] for inode in mine), key=FILE_EVIDENCE.index),
                    names=tuple(sorted(_names(named[inode], model) for inode in mine)),
                    resident_after=_sum(after),
                )

    def _downloads(self, after: Index) -> Iterator[Downloaded]:
        for inode, owners in sorted(after.items(), key=lambda item: -item[1][0].size):
            known = self._before.get(inode)
            partial = owners[0].file is None
            grown = known is not None and partial and owners[0].size != known[0].size
            finished = known is not None and known[0].file is None and not partial
            if known is not None and not grown and not finished:
                continue  # it was there, whole or as far as it is now
            owner = owners[0]
            complete = not owner.path.endswith(".incomplete")
            yield Downloaded(
                repo=owner.repo, revision=owner.revision, file=owner.file, bytes=owner.size, complete=complete
            )

    def _residency(self, models: Models) -> Iterator[tuple[Inode, int | None]]:
        """Bytes in RAM of the files, all of them in a small cache, the large ones in a big one."""
        least = 0 if len(self._scanner.inodes()) <= MOST_ASKED else WORTH_ASKING
        for repo in models.repos:
            known = self._scanner.find(repo)
            if known is None:
                continue
            blobs = [(key, blob) for key, blob in known.contents.blobs.items() if blob.size >= least]
            kept = [
                (snapshot.commit, name, blob)
                for snapshot in known.contents.snapshots
                for name, blob in snapshot.kept.items()
                if blob.size >= least
            ]
            if not blobs and not kept:
                continue  # opening the folder is what costs
            with opened(known) as hold:
                if hold is None:
                    continue
                for key, blob in blobs:
                    yield (blob.device, blob.inode), hold.blob(key)
                for commit, name, blob in kept:
                    yield (blob.device, blob.inode), hold.kept(commit, name, blob)

    def _mapped(self, index: Index) -> set[Inode]:
        """The files of the cache that this process has mapped or open now, by number and name.

        By device they cannot be told: btrfs and overlayfs show another one in maps than stat does.
        """
        by_number: dict[int, list[tuple[Inode, str]]] = {}
        for inode, owners in index.items():
            by_number.setdefault(inode[1], []).append((inode, os.path.basename(owners[0].path)))
        held = set(_MAPPED_FILE.findall(_maps())) | set(_open_files()) if index else set()
        return {
            inode
            for number, name in held
            for inode, known in by_number.get(int(number), ())
            if known == os.fsdecode(name)
        }

    def _moved(self) -> tuple[int, ...]:
        return tuple(_changed(root.path) for root in self._roots)

    def _new_folders(self) -> Iterator[str]:
        """The blob folders of repos that appeared; the stamp is taken back while one has none yet."""
        for root in self._roots:
            try:
                names = os.listdir(root.path)
            except OSError:
                continue
            for name in names:
                if layout.identity(name):
                    folder = os.path.join(root.path, name, "blobs")
                    if os.path.isdir(folder):
                        yield folder
                    elif not os.path.exists(os.path.join(root.path, name, "snapshots")):
                        self._stamp = ()


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _names(owners: tuple[BlobOwner, ...], model: holdings.Holding) -> str:
    """The name of a file; where one blob has several names in a revision, nobody can tell which was meant."""
    found = {
        owner.file
        for owner in owners
        if owner.file and owner.repo == model.repo and model.revision in (None, owner.revision)
    }
    return " or ".join(sorted(found))


def warm() -> None:
    """Read the cache now, so that the first block does not have to."""
    here = tuple(roots())
    with _lock:
        _scanners.setdefault(here, Scanner(here)).scan()


def _maps() -> bytes:
    try:
        with open("/proc/self/maps", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _open_files() -> Iterator[tuple[bytes, bytes]]:
    """Inode number and name of the files this process has open in a hub cache."""
    try:
        numbers = os.listdir(b"/proc/self/fd")
    except OSError:
        return
    for number in numbers:
        try:
            target = os.readlink(b"/proc/self/fd/" + number)
            if b"/blobs/" in target or b"/snapshots/" in target:
                yield str(os.stat(b"/proc/self/fd/" + number).st_ino).encode(), os.path.basename(target)
        except OSError:
            continue  # closed meanwhile


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
