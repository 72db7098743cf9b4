"""The first pass over hub caches: every repo, revision, ref, file, size and partial download.

`Scanner` remembers what it read. A repo none of whose folders and refs changed is the same record again,
after a handful of stat calls; only the sizes of partial downloads, which grow without moving a folder's
time, are looked at each time. A *near* scan makes one stat call for each repo, which tells of downloads.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import msgspec

from cachetop.base.collecting import collecting_later, give_up
from cachetop.base.files import STILL, access_times
from cachetop.base.hostile import clean
from cachetop.base.record import Problem
from cachetop.base.turns import in_turns
from cachetop.hub import growing, layout, unseen
from cachetop.hub.contents import Contents, Place, moved, moved_before, open_root
from cachetop.hub.known import Known
from cachetop.hub.names import Names
from cachetop.hub.owners import Inodes
from cachetop.hub.parts import readings
from cachetop.hub.records import Models, Repo, Root
from cachetop.hub.store import Store
from cachetop.hub.summary import summarise
from cachetop.hub.tree import Trees
from cachetop.hub.verdicts import Damages
from cachetop.locations import Location

_YOUNG = 2.0
"""Seconds. File systems keep times in steps of up to two seconds: a folder younger than that may change
again without its time moving, so it is read again."""
_FIRST_ROWS = 0.05
_MORE_ROWS = 0.25
"""Seconds into a scan after which the repos so far are told, and from then on."""
_QUIET = 5.0
"""Seconds without a change after which a download into a very large repo is over."""
_MANY = 20_000
"""Blobs that are not given up in one go."""
_LARGE = 2000
"""Blobs of a single repo for which that is so. In a near scan it is not read again either."""


def scan(roots: Sequence[Location]) -> Models:
    """Read hub caches once. Never raises for what is on disk: roots and repos carry their problems."""
    return Scanner(roots).scan()


class Scanner:
    """Scans the same roots again and again. One thread at a time."""

    def __init__(self, roots: Sequence[Location], only: tuple[str, str] | None = None) -> None:
        """`only`: (type, id) of the one repo that is looked at. What others name too is not known then: do not ask for
        what deleting it would give back.
        """
        self._roots: Sequence[_Root] = ()
        self.trees = Trees()
        """File lists of revisions, kept from one second pass to the next."""
        self.damages = Damages()
        """What a check of contents found damaged."""
        self._roots = [_Root(location, only) for location in roots]
        self._models: Models | None = None
        self._known: dict[tuple[str, str, str], Known] = {}
        self._inodes: Inodes | None = None
        self.behind = False
        """The last scan was a near one and left out a repo that is to be read again."""
        self.quiet = False
        """Into none of these something comes any more."""

    def scan(self, early: Callable[[Models], None] | None = None, near: bool = False) -> Models:
        """The picture now. With nothing changed it is the very object of the previous call.

        `early` is called during a long scan with the repos read so far, marked as `scanning`. `near` looks at what
        downloads move and at nothing else: new repos, and the folder of the blobs of each known one. Of a repo with
        very many files it takes up the partial downloads alone.
        """
        with collecting_later():
            return self._scan(self._teller(early) if early else None, near)

    def _teller(self, early: Callable[[Models], None]) -> Callable[[bool], None]:
        due = time.monotonic() + _FIRST_ROWS

        def tell(now: bool) -> None:
            nonlocal due
            if now or time.monotonic() >= due:
                known = [each for root in self._roots for each in root.known()]
                if known:
                    early(msgspec.structs.replace(self._total(known), scanning=True))
                due = time.monotonic() + _MORE_ROWS

        return tell

    def _scan(self, tell: Callable[[bool], None] | None, near: bool) -> Models:
        seen: set[tuple[int, int]] = set()
        changed = [root.refresh(seen, tell, near) for root in self._roots]
        self.behind = any(root.behind for root in self._roots)
        self.quiet = not any(root.busy for root in self._roots)
        if any(root.read_anew for root in self._roots):
            self._inodes = None
        if self._models is not None and not any(changed):
            return self._models
        known = [each for root in self._roots for each in root.known()]
        _share(known)
        self._known = {(each.repo.root, each.repo.type, each.repo.id): each for each in known}
        self._models = self._total(known)
        return self._models

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Give up very many files a little at a time: of 100,000 at once no other thread gets its turn for 70 ms."""
        if ending():
            return
        known = [each for root in self._roots for each in root.known()]
        if sum([len(each.contents.blobs) for each in known]) >= _MANY:
            piles = [pile for each in known if len(each.contents.blobs) >= _LARGE for pile in each.piles()]
            self._roots, self._known, self._models, self._inodes = (), {}, None, None
            give_up(known)
            for pile in piles:
                give_up(pile)

    def find(self, repo: Repo) -> Known | None:
        """What lies behind a record of this scanner, also one that detail was added to."""
        return self._known.get((repo.root, repo.type, repo.id))

    def is_whole(self, models: Models) -> bool:
        """Whether no repo of the last scan is left out."""
        return len(models.repos) == len(self._known)

    def path(self, repo: Repo) -> str | None:
        """The folder of a repo as the system spells it; None when it is gone."""
        known = self.find(repo)
        return os.path.join(known.root, known.folder) if known else None

    def inodes(self) -> Inodes:
        """Who names which (st_dev, st_ino): files of revisions, partial downloads, blobs of no revision."""
        if self._inodes is None:
            self._inodes = Inodes(self._known.values())
        return self._inodes

    def _total(self, known: list[Known]) -> Models:
        sizes: dict[str, int] = {}
        for each in known:
            sizes[each.repo.type] = sizes.get(each.repo.type, 0) + each.summary.private_size
        size = sum(sizes.values())
        disk = sum([each.summary.private_disk for each in known])
        typed = {
            (each.repo.type, share.blob.device, share.blob.inode): share.blob
            for each in known
            for share in each.summary.shared
            if share.counted
        }
        for (kind, _, _), blob in typed.items():
            sizes[kind] += blob.size
        shared = {(blob.device, blob.inode): blob for blob in typed.values()}
        for root in self._roots:
            for blob in root.store.payloads.values():
                shared[blob.device, blob.inode] = blob
        return Models(
            roots=tuple(root.record for root in self._roots),
            size=size + sum([blob.size for blob in shared.values()]),
            size_on_disk=disk + sum([blob.disk for blob in shared.values()]),
            size_by_type=sizes,
            repos=tuple(sorted((each.repo for each in known), key=lambda repo: (repo.type, repo.id, repo.root))),
            problems=tuple(
                Problem(rule="shared-store", message=root.store.problem) for root in self._roots if root.store.problem
            ),
        )


class _Root:
    """One cache root between scans."""

    def __init__(self, location: Location, only: tuple[str, str] | None) -> None:
        self.location = location
        self._only = only
        self.record = Root(path=clean(location.path), reason=location.reason, exists=False)
        self.store = Store()
        self._spellings: tuple[str, ...] = ()
        self._listed: tuple[int, int] | None = None
        self._device: int | None = None
        """The file system (st_dev) it was on last."""
        self._held: tuple[int, int] | None = None
        """On which file system (st_dev) repos were seen last, and how many."""
        self._folders: dict[str, Known | None] = {}
        self.read_anew = False
        """Repos came, went or were read again in the last refresh, so inodes may differ even if no record does."""
        self.behind = self.busy = False
        """See `Scanner.behind`; and whether something comes into such a repo."""
        self._store_moved = False
        """The shared store changed since the last scan that was no near one."""
        self._grew = False
        self.read_large = False
        """A repo that may be large was read by this object, so rows have been told of."""

    def _wants(self, name: str) -> bool:
        return self._only is None or layout.identity(name) == self._only

    def known(self) -> Iterator[Known]:
        return (each for each in self._folders.values() if each is not None)

    def refresh(self, seen: set[tuple[int, int]], tell: Callable[[bool], None] | None, near: bool) -> bool:
        """Bring this root up to date; returns whether anything changed.

        `seen`: roots done already. `tell` is called after each repo that was read, and with True
        before the first one that may take long. `near`: see `Scanner.scan`.
        """
        self.read_anew = self.behind = self.busy = False
        try:
            descriptor = open_root(self.location.path)
        except OSError as error:
            return self._failed(error)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in seen:
                return self._gone(None, exists=True)  # two variables name one folder: it is listed once
            seen.add((status.st_dev, status.st_ino))
            return self._read(descriptor, status, tell, near)
        except OSError as error:
            return self._failed(error)
        finally:
            os.close(descriptor)

    def _failed(self, error: OSError) -> bool:
        refused = unseen.refused(self.location.path, error)
        return self._gone(refused or self._lost(), exists=refused is not None)

    def _gone(self, why: unseen.Unseen | None, exists: bool) -> bool:
        self.read_anew = bool(self._folders or self.store.payloads)
        changed = self.read_anew | self._say(exists, why)
        self._folders, self.store, self._listed = {}, Store(), None
        return changed

    def _say(self, exists: bool, why: unseen.Unseen | None, kept: str | None = None) -> bool:
        """Put into the record what there is to say; returns whether that is new."""
        problem, fix = why or (None, None)
        record = msgspec.structs.replace(self.record, exists=exists, problem=problem, fix=fix, access_times=kept)
        changed = record != self.record
        self.record = record
        return changed

    def _lost(self) -> unseen.Unseen | None:
        """What to say where no repo is left: nothing, unless the file system that held them is gone."""
        return unseen.unmounted(self.location.path, *self._held) if self._held else None

    def _read(self, descriptor: int, status: os.stat_result, tell: Callable[[bool], None] | None, near: bool) -> bool:
        now = time.time()
        changed = self._device not in (None, status.st_dev)
        if changed:  # another file system: a copy of one has the same inode numbers and times
            self._listed, self._folders, self.store = None, {}, Store()
        self._device = status.st_dev
        kept = access_times(descriptor)
        if self._listed != (status.st_ino, status.st_mtime_ns):
            self._spellings = tuple({os.path.abspath(self.location.path), os.path.realpath(self.location.path)})
            names = [name for name in os.listdir(descriptor) if layout.is_repo(name) and self._wants(name)]
            changed |= set(names) != set(self._folders)
            self.read_anew = changed
            self._folders = {name: self._folders.get(name) for name in sorted(names, key=_large_last)}
            young = abs(now - status.st_mtime) < _YOUNG
            self._listed = None if young else (status.st_ino, status.st_mtime_ns)
        changed |= self._say(True, None if self._folders else self._lost(), kept)
        if self._folders:
            self._held = status.st_dev, len(self._folders)
        if self.store.refresh(descriptor):
            changed = self._store_moved = True
        frozen = kept in STILL
        due = self._due(descriptor, frozen, near)
        changed |= self._grew
        self.read_anew |= bool(due)

        def before(name: str) -> None:
            if tell and _may_be_large(name) and not self.read_large:
                tell(True)
                self.read_large = True

        place = Place(descriptor, self.store.payloads, self._spellings, Names())
        with closing(readings(place, due, before)) as found:
            for name, contents in in_turns(found, 2):
                if self._take(name, contents, frozen, now):
                    changed = True
                    if tell:
                        tell(False)
        return changed

    def _due(self, descriptor: int, frozen: bool, near: bool) -> list[str]:
        """The repos that must be read; in the others partial downloads are looked at, and `_grew` says what came of it.

        `near`: see `Scanner.scan`.
        """
        due, self._grew = [], False
        store_moved = self._store_moved
        if not near:
            self._store_moved = False
        for name, known in in_turns(list(self._folders.items()), 16):
            if known is None or known.frozen != frozen:
                due.append(name)
            elif known.settled and not moved(descriptor, known.pool if near else known.contents.marks):
                if not near and known.doubtful(store_moved):
                    due.append(name)
                elif known.contents.partials:
                    self._grew |= known.grow(growing.grown, descriptor)
            elif near and len(known.contents.blobs) >= _LARGE:
                before = known.contents.partials
                self._grew |= known.grow(growing.listed, descriptor)
                self.read_anew |= before.keys() != known.contents.partials.keys()
                self.behind = True
                self.busy |= not moved_before(descriptor, f"{name}/blobs", time.time() - _QUIET)
            else:
                due.append(name)
        return due

    def _take(self, name: str, contents: Contents | None, frozen: bool, now: float) -> bool:
        """Put in place what was read of a repo, None where it vanished; returns whether that is something new."""
        known, fresh = self._folders[name], None
        if contents is not None:
            summary = summarise(name, self.record.path, contents, frozen)
            newest = max([changed for _, changed, _ in contents.marks], default=0) / 1e9
            pool = [mark for mark in contents.marks if mark[0] == f"{name}/blobs"]
            settled = abs(now - newest) >= _YOUNG
            if known is not None and known.summary.same(summary):
                known.contents, known.summary, known.pool, known.settled = contents, summary, pool, settled
                return False  # read again, and nothing to see: it stays the same record
            fresh = Known(self.location.path, name, contents, summary, summary.repo, pool, settled, frozen)
            fresh.detailed = known.detailed if known is not None else None  # most of its files are the same
        self._folders[name] = fresh
        return fresh is not known


def _may_be_large(folder: str) -> bool:
    """Data sets have the most files: they are read last, and the first rows do not wait for them."""
    return folder.startswith("datasets--")


def _large_last(folder: str) -> tuple[bool, str]:
    return _may_be_large(folder), folder


def _share(known: list[Known]) -> None:
    """Add to each repo and revision what deleting it frees of inodes that several repos may name."""
    referrers = Counter(
        (share.blob.device, share.blob.inode) for each in known for share in each.summary.shared if share.blob.stored
    )
    for each in known:
        repo = each.summary.repo
        if each.summary.shared:
            alone = [
                share
                for share in each.summary.shared
                if share.all_here and referrers[share.blob.device, share.blob.inode] <= 1
            ]
            extra: Counter[int | None] = Counter()
            for share in alone:
                extra[share.revision] += share.blob.disk
            revisions = tuple(
                msgspec.structs.replace(revision, reclaimable=revision.reclaimable + extra[number])
                if extra[number]
                else revision
                for number, revision in enumerate(repo.revisions)
            )
            repo = msgspec.structs.replace(
                repo, reclaimable=repo.reclaimable + sum(extra.values()), revisions=revisions
            )
        if repo is not each.repo and repo != each.repo:
            each.repo = repo
