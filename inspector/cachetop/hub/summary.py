"""From what lies in a repo folder to its record: revisions, sizes, what deleting would give back."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

import msgspec

from cachetop.base.hostile import clean
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Contents, Snapshot
from cachetop.hub.records import Partial, Repo, Revision


class Shared(msgspec.Struct, eq=False):
    """An inode that may have names outside this repo: hard-linked, or a payload of the shared store."""

    blob: Blob
    all_here: bool
    """Every hard link of it lies in this repo (for a payload: it has no other hard link than the store's)."""
    revision: int | None
    """Index of the one revision that names it, None when several do or none."""
    counted: bool
    """Some revision names it, so it counts in sizes."""


class Summary(msgspec.Struct, eq=False):
    """A repo's record as far as the repo alone can tell, and what only all repos together can."""

    repo: Repo
    """`reclaimable`, its own and its revisions', leaves out the `shared` inodes."""
    shared: list[Shared]
    private_size: int
    """Bytes of `repo.size` and of `repo.size_on_disk` that no other repo can name."""
    private_disk: int


def summarise(folder: str, root: str, contents: Contents, frozen: bool) -> Summary:
    """Build the record of one repo. `frozen`: the file system keeps no access times."""
    kind, name = layout.identity(folder) or ("model", clean(folder))
    snapshots = contents.snapshots
    snapshots.sort(key=attrgetter("commit"))
    several: set[Blob] = set()
    if len(snapshots) == 1:
        named = snapshots[0].unique
    else:
        named = set()
        for snapshot in snapshots:
            several |= named & snapshot.unique
            named |= snapshot.unique
    shared: set[Blob] = set()
    size, disk = sum([blob.size for blob in named]), sum([blob.disk for blob in named])
    everything_disk = disk
    all_named = named.issuperset(contents.blobs.values())
    if not contents.plain or contents.partials or not all_named:
        everything = named.union(contents.blobs.values(), contents.partials.values())
        everything_disk = sum([blob.disk for blob in everything])
        if not contents.plain:
            shared = {blob for blob in everything if blob.links > 1 or blob.stored}
    _check(contents, named, all_named)
    refs: dict[str, list[str]] = {}
    for ref, commit in contents.refs.items():
        refs.setdefault(commit, []).append(clean(ref))
    used = 0.0 if frozen else max([blob.accessed for blob in named if blob.accessed > blob.modified], default=0.0)
    counted = shared & named
    others = several | shared
    attached = any(each.commit in refs for each in snapshots)
    repo = Repo(
        id=name,
        type=kind,
        root=root,
        size=size,
        size_on_disk=disk,
        reclaimable=everything_disk - sum([blob.disk for blob in shared]),
        last_used=used or None,
        last_used_reason=unused(frozen, used),
        last_modified=max([blob.modified for blob in named]) if named else contents.modified,
        problems=contents.complaints.problems(),
        revisions=tuple([_revision(each, refs.get(each.commit, []), others, attached) for each in snapshots]),
        partials=partials(contents) if contents.partials else (),
    )
    return Summary(
        repo,
        _shares(shared, contents, named) if shared else [],
        size - sum([blob.size for blob in counted]),
        disk - sum([blob.disk for blob in counted]),
    )


def unused(frozen: bool, used: float) -> str | None:
    """Why it is not known when a repo was last used; None where it is."""
    if frozen:
        return "its file system keeps no access times (noatime or read-only)"
    return None if used else "nothing was read since it was downloaded"


def _revision(snapshot: Snapshot, refs: list[str], others: set[Blob], attached: bool) -> Revision:
    """`others`: inodes that something else names as well. `attached`: some revision of the repo has a ref."""
    unique = snapshot.unique
    disk = sum([blob.disk for blob in unique])
    return Revision(
        commit=clean(snapshot.commit),
        refs=tuple(sorted(refs, key=_main_first) if len(refs) > 1 else refs),
        size=sum([blob.size for blob in unique]),
        size_on_disk=disk,
        reclaimable=disk - sum([blob.disk for blob in unique & others]) if others else disk,
        detached=not refs,
        complete=None,
        files=tuple(snapshot.files),
        missing=tuple(sorted(snapshot.lost)),
        superseded=attached and not refs,
    )


def _main_first(ref: str) -> tuple[bool, str]:
    return ref != "main", ref


def _check(contents: Contents, named: set[Blob], all_named: bool) -> None:
    """Complain about refs without a revision and blobs without one."""
    if not contents.snapshots or contents.complaints.blind:
        return  # a download is starting, or a part could not be read: of course things do not fit
    commits = {snapshot.commit for snapshot in contents.snapshots}
    if not commits.issuperset(contents.refs.values()):
        for ref, commit in contents.refs.items():
            if commit not in commits:
                contents.complaints.add("missing-commit", f"{ref} ({commit[:12]})")
    if not all_named:
        for name, blob in contents.blobs.items():
            if blob not in named:
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


def _shares(shared: set[Blob], contents: Contents, named: set[Blob]) -> list[Shared]:
    links = Counter(contents.blobs.values())
    links.update(contents.partials.values())
    for snapshot in contents.snapshots:
        links.update(snapshot.kept.values())
    found = []
    for blob in shared:
        users = [number for number, snapshot in enumerate(contents.snapshots) if blob in snapshot.unique]
        here = 1 if blob.stored else links[blob]
        found.append(Shared(blob, here == blob.links, users[0] if len(users) == 1 else None, blob in named))
    return found
