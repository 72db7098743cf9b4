"""From what lies in a repo folder to its record: revisions, sizes, what deleting would give back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from math import inf
from operator import attrgetter

import msgspec

from cachetop.base.hostile import clean
from cachetop.base.turns import in_order
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Contents, Snapshot
from cachetop.hub.mending import Subject
from cachetop.hub.records import Partial, Repo, Revision


class Shared(msgspec.Struct, eq=False, gc=False):
    """An inode that may have names outside this repo: hard-linked, or a payload of the shared store."""

    blob: Blob
    all_here: bool
    """Every hard link of it lies in this repo (for a payload: it has no other hard link than the store's)."""
    revision: int | None
    """Index of the one revision that names it, None when several do or none."""
    counted: bool
    """Some revision names it, so it counts in sizes."""

    @property
    def told(self) -> tuple[int, int, bool, int | None, bool]:
        """What of it goes into sizes, by its inode."""
        return self.blob.device, self.blob.inode, self.all_here, self.revision, self.counted


class Summary(msgspec.Struct, eq=False, gc=False):
    """A repo's record as far as the repo alone can tell, and what only all repos together can."""

    repo: Repo
    """`reclaimable`, its own and its revisions', leaves out the `shared` inodes."""
    shared: list[Shared]
    private_size: int
    """Bytes of `repo.size` and of `repo.size_on_disk` that no other repo can name."""
    private_disk: int

    def same(self, other: Summary) -> bool:
        """Whether it says the same of the repo, also where other repos come in."""
        mine, theirs = ({share.told for share in one.shared} for one in (self, other))
        return mine == theirs and self.repo == other.repo


def summarise(folder: str, root: str, contents: Contents, frozen: bool) -> Summary:
    """Build the record of one repo. `frozen`: the file system keeps no access times."""
    kind, name = layout.identity(folder) or ("model", clean(folder))
    snapshots = contents.snapshots
    snapshots.sort(key=attrgetter("commit"))
    once = snapshots[0].blobs if _each_once(contents) else None
    sets = [set(snapshot.blobs) if once is None else set[Blob]() for snapshot in snapshots]
    several: set[Blob] = set()
    named: set[Blob] = sets[0] if len(sets) == 1 else set()
    if len(sets) > 1:
        for unique in sets:
            several |= named & unique
            named |= unique
    shared: set[Blob] = set()
    size, disk, used, modified = _totals(named if once is None else once)
    sums = (size, disk) if len(sets) == 1 else None
    everything_disk = disk
    if not contents.plain or contents.partials or contents.unnamed:
        everything = named.union(contents.blobs.values(), contents.partials.values())
        everything_disk = sum([blob.disk for blob in everything])
        if not contents.plain:
            shared = {blob for blob in everything if blob.links > 1 or blob.stored}
    _check(contents, named)
    complaints = contents.complaints
    refs: dict[str, list[str]] = {}
    for ref, commit in contents.refs.items():
        refs.setdefault(commit, []).append(clean(ref))
    used = 0.0 if frozen else used
    counted = _sums(shared & named) if shared else (0, 0)
    others = several | shared if shared else several
    attached = any(each.commit in refs for each in snapshots)
    repo = Repo(
        id=name,
        type=kind,
        root=root,
        size=size,
        size_on_disk=disk,
        reclaimable=everything_disk - sum([blob.disk for blob in shared]) if shared else everything_disk,
        last_used=used or None,
        last_used_reason=unused(frozen, used, contents),
        last_modified=modified if modified > -inf else contents.modified,
        problems=complaints.problems(Subject(kind, name, root, folder, contents.refs)) if complaints else (),
        revisions=tuple(
            [
                _revision(each, unique, sums or _sums(unique), refs.get(each.commit, []), others, attached)
                for each, unique in zip(snapshots, sets, strict=True)
            ]
        ),
        partials=partials(contents) if contents.partials else (),
    )
    return Summary(
        repo,
        _shares(shared, contents, sets, named) if shared else [],
        size - counted[0],
        disk - counted[1],
    )


def unused(frozen: bool, used: float, contents: Contents) -> str | None:
    """Why it is not known when a repo was last used; None where it is."""
    if frozen:
        return "its file system keeps no access times (noatime or read-only)"
    if used:
        return None
    here = any(snapshot.files for snapshot in contents.snapshots)
    return "nothing was read since it was downloaded" if here else "no file of it is here"


def _each_once(contents: Contents) -> bool:
    """Whether each blob is one file of the one revision, as in most repos: then no set is needed to count it once."""
    if len(contents.snapshots) != 1 or not contents.plain or contents.partials or contents.unnamed:
        return False
    return len(contents.snapshots[0].blobs) == len(contents.blobs)


def _totals(blobs: Collection[Blob]) -> tuple[int, int, float, float]:
    """Of all these: size, size on disk, when one was last read after it was written (0: none), and written last."""
    size = disk = 0
    used, modified = 0.0, -inf
    for blob in blobs:  # one loop, not a sum and a max each: the time of a scan goes into loops like this
        size += blob.size
        disk += blob.disk
        written, read = blob.modified, blob.accessed
        if written > modified:
            modified = written
        if read > written and read > used:
            used = read
    return size, disk, used, modified


def _sums(blobs: Collection[Blob]) -> tuple[int, int]:
    return sum([blob.size for blob in blobs]), sum([blob.disk for blob in blobs])


def _revision(
    snapshot: Snapshot, unique: set[Blob], sums: tuple[int, int], refs: list[str], others: set[Blob], attached: bool
) -> Revision:
    """`unique`: its inodes, with their `sums`; `others`: inodes that something else names as well.

    `attached`: some revision of the repo has a ref.
    """
    size, disk = sums
    return Revision(
        commit=clean(snapshot.commit),
        refs=_main_first(refs),
        size=size,
        size_on_disk=disk,
        reclaimable=disk - sum([blob.disk for blob in unique & others]) if others else disk,
        detached=not refs,
        complete=None,
        files=tuple(snapshot.files),
        missing=tuple(sorted(snapshot.lost)),
        superseded=attached and not refs,
    )


def _main_first(refs: list[str]) -> tuple[str, ...]:
    if len(refs) < 2:
        return tuple(refs)
    others = [ref for ref in refs if ref != "main"]
    return (*(("main",) if len(others) < len(refs) else ()), *in_order(others))


def _check(contents: Contents, named: set[Blob]) -> None:
    """Complain about refs without a revision and blobs without one."""
    if not contents.snapshots or contents.complaints.blind:
        return  # a download is starting, or a part could not be read: of course things do not fit
    commits = {snapshot.commit for snapshot in contents.snapshots}
    if not commits.issuperset(contents.refs.values()):
        for ref, commit in contents.refs.items():
            if commit not in commits:
                contents.complaints.add("missing-commit", f"{ref} ({commit[:12]})", (ref, ""))
    for name in contents.unnamed:
        if contents.blobs[name] not in named:  # a hard link to one that is
            contents.complaints.add("orphan-blob", name)


def partials(contents: Contents) -> tuple[Partial, ...]:
    """The unfinished downloads, by name, with the bytes that are really there."""
    return tuple(
        Partial(
            file=None,
            blob=clean(name),
            bytes=min(blob.size, blob.disk),  # written at offsets: the end can be there before the middle is
            expected=None,
            pid=None,
            live=None,
        )
        for name, blob in sorted(contents.partials.items())
    )


def _shares(shared: set[Blob], contents: Contents, sets: list[set[Blob]], named: set[Blob]) -> list[Shared]:
    links = Counter(contents.blobs.values())
    links.update(contents.partials.values())
    for snapshot in contents.snapshots:
        links.update(snapshot.kept.values())
    found = []
    for blob in shared:
        users = [number for number, unique in enumerate(sets) if blob in unique]
        here = 1 if blob.stored else links[blob]
        found.append(Shared(blob, here == blob.links, users[0] if len(users) == 1 else None, blob in named))
    return found
