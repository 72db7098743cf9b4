"""The second pass: what is complete, what is warm in RAM, which downloads are alive.

It opens files, which the first pass does not, by descriptors below the cache root and without moving their
access time. What cannot be told stays None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from itertools import repeat

import msgspec

from cachetop.base.hostile import clean
from cachetop.base.turns import in_order, in_turns
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Snapshot
from cachetop.hub.known import Known
from cachetop.hub.locks import Locks, has_open, proves_nothing
from cachetop.hub.mending import Subject, What
from cachetop.hub.problems import Complaints
from cachetop.hub.records import File, Models, Partial, Repo, Revision
from cachetop.hub.scan import Scanner
from cachetop.hub.summary import unused
from cachetop.hub.tree import Tree
from cachetop.hub.verdicts import Damage
from cachetop.hub.warm import Opened, opened

_BETWEEN = 5.0
"""Seconds after a file came for which a repo with missing files is being downloaded, though none is unfinished."""


def with_detail(models: Models, scanner: Scanner, probe: bool = True, quick: bool = False) -> Models:
    """`models` with `complete`, `missing`, `resident` and all of `partials`, as they are now.

    `models` comes from `scanner`, possibly with some repos left out. `probe` allows to try a download's lock
    where /proc/locks does not know it. A repo of which nothing changed is the very record of the previous call.
    `quick` looks again only at repos that changed since the previous call or have downloads, and asks what is in RAM
    only of files that came; of the rest it says what it said then, and nothing of the sum in RAM.
    Never raises for what is on disk; a repo that vanished stays as it is.
    """
    locks, warm = Locks(), _Warm()
    quick &= not scanner.damages.refresh()
    repos = tuple([_repo(repo, scanner, locks, warm, probe, quick) for repo in in_turns(models.repos)])
    whole = scanner.is_whole(models) and not quick
    return msgspec.structs.replace(models, repos=repos, resident=warm.bytes if whole else None)


class _Warm:
    """Adds up what is in RAM, each inode once however many repos name it."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        """None until something could be measured."""
        self._seen: set[tuple[int, int]] = set()

    def add(self, asked: Mapping[Blob, int | None]) -> None:
        """Add what a repo was asked for."""
        for blob, warm in asked.items():
            if warm is None:
                continue
            if blob.links > 1 or blob.stored:
                inode = (blob.device, blob.inode)
                if inode in self._seen:
                    continue
                self._seen.add(inode)
            self.bytes = (self.bytes or 0) + warm


def _repo(repo: Repo, scanner: Scanner, locks: Locks, warm: _Warm, probe: bool, quick: bool) -> Repo:
    known = scanner.find(repo)
    if known is None:
        return repo
    if quick and (kept := _kept(known, scanner, locks, probe)):
        return kept
    with opened(known) as hold:
        if hold is None:
            return repo
        complaints = Complaints()
        revisions = []
        before = {one.commit: one for one in known.detailed.revisions} if known.detailed is not None else {}
        for revision, snapshot in in_turns(zip(known.repo.revisions, known.contents.snapshots, strict=True)):
            tree = scanner.trees.get(hold.top, snapshot.commit)
            said = _before(revision, before.get(revision.commit))
            revisions.append(_revision(revision, said, snapshot, tree, hold, complaints, quick))
        partials = _partials(hold, scanner, locks, probe) if known.contents.partials else ()
        used = max(0.0, known.repo.last_used or 0.0, *hold.used)
        warm.add(hold.asked)
    _damaged(known, scanner, complaints)
    sick = Subject(repo.type, repo.id, repo.root, known.folder, known.contents.refs)
    found = msgspec.structs.replace(
        known.repo,
        revisions=tuple(revisions),
        partials=partials,
        downloading=_downloading(known, revisions, partials),
        last_used=None if known.frozen else used or None,
        last_used_reason=unused(known.frozen, used, known.contents),
        problems=known.repo.problems + complaints.problems(sick),
    )
    known.detail_of = known.repo
    if found != known.detailed:
        known.detailed = found
    return known.detailed or found


def _kept(known: Known, scanner: Scanner, locks: Locks, probe: bool) -> Repo | None:
    """What the previous call said of a repo, with its downloads as they are now; None where more of it changed."""
    before, said = known.detail_of, known.detailed
    if before is None or said is None:
        return None
    if before is not known.repo:
        if before.revisions != known.repo.revisions or before.problems != known.repo.problems:
            return None
    elif not known.repo.partials and not said.downloading:
        return said
    partials: tuple[Partial, ...] = ()
    if known.repo.partials:
        with opened(known) as hold:
            if hold is None:
                return None
            partials = _partials(hold, scanner, locks, probe)
    found = msgspec.structs.replace(
        said,
        partials=partials,
        reclaimable=known.repo.reclaimable,
        downloading=_downloading(known, said.revisions, partials),
    )
    known.detail_of = known.repo
    if found != said:
        known.detailed = found
    return known.detailed


def _damaged(known: Known, scanner: Scanner, complaints: Complaints) -> None:
    """Complain about every content that a check found damaged, or could not read, and that did not change since."""
    contents, damages = known.contents, scanner.damages
    if not damages.any:
        return
    wrong = {clean(key): found for key, blob in contents.blobs.items() if (found := damages.of(blob))}
    wrong_kept = {
        blob: found for each in contents.snapshots for blob in each.kept.values() if (found := damages.of(blob))
    }
    if not wrong and not wrong_kept:
        return

    def complain(found: Damage, subject: str, what: What = ("", "")) -> None:
        if found.error:
            complaints.add("read-error", f"{subject} ({found.error})", what)
        else:
            complaints.add("corrupt", subject, what)

    told = set[str]()
    for snapshot in contents.snapshots:
        for file in snapshot.files:
            found = wrong.get(file.blob) if file.blob else wrong_kept.get(snapshot.kept[file.name])
            if found is not None:
                name = contents.names.get(file.name, file.name)
                complain(found, f"{file.name} of {snapshot.commit[:12]}", (snapshot.commit, name))
                told.add(file.blob or "")
    for key in sorted(wrong.keys() - told):
        complain(wrong[key], f"the blob {key}")


def _revision(
    revision: Revision,
    said: Iterable[File | None],
    snapshot: Snapshot,
    tree: Tree | None,
    hold: Opened,
    complaints: Complaints,
    quick: bool,
) -> Revision:
    contents = hold.known.contents
    files = []
    for file, before in in_turns(zip(revision.files, said, strict=False), 16):
        if quick and before is not None and (before.blob, before.size) == (file.blob, file.size):
            warm = before.resident
        elif file.blob is None:
            warm = hold.kept(snapshot.commit, file.name, snapshot.kept[file.name])
        else:
            warm = hold.blob(contents.keys.get(file.blob, file.blob))
        name = contents.names.get(file.name, file.name)
        announced = tree.sizes.get(name) if tree else None
        if announced is not None and announced != file.size:
            complaints.add("wrong-size", f"{file.name} of {revision.commit[:12]}", (snapshot.commit, name))
        if before is None or before.resident != warm or before.size != file.size or before.blob != file.blob:
            before = File(file.name, file.size, file.size_on_disk, file.blob, warm)
        files.append(before)
    missing = set(revision.missing)
    if tree is not None:
        there = {file.name for file in files}
        missing.update(name for name in map(clean, tree.sizes) if name not in there)
    complete = None if tree is None else True
    if missing:
        complete = None if contents.complaints.blind else False
    return msgspec.structs.replace(
        revision, files=tuple(files), missing=tuple(in_order(list(missing))), complete=complete
    )


def _before(revision: Revision, last: Revision | None) -> Iterable[File | None]:
    """What was said of the files of a revision `last`, so that what is the same again stays the same object."""
    if last is None or len(last.files) != len(revision.files):
        return repeat(None)
    same = all(before.name == file.name for before, file in zip(last.files, revision.files, strict=True))
    return last.files if same else repeat(None)


def _partials(hold: Opened, scanner: Scanner, locks: Locks, probe: bool) -> tuple[Partial, ...]:
    known = hold.known
    rivals: dict[str, dict[str, Blob]] = {}
    for name, blob in sorted(known.contents.partials.items()):
        rivals.setdefault(layout.etag(name), {})[name] = blob
    trees = scanner.trees.naming(hold.top, rivals)
    found = []
    for etag, group in rivals.items():
        held, pid = locks.holder(hold.root, known.folder, etag, probe)
        states = _alive(held, pid, group)
        tree = trees.get(etag)
        file = tree.etags[etag][0] if tree else None
        expected = tree.sizes[file] if tree and file is not None else None
        for name, blob in group.items():
            there = min(blob.size, blob.disk)
            live = states[name]
            if live is False and hold.ended(name):
                continue  # it was finished, and its lock given back, since the scan
            if live is False and proves_nothing(os.path.join(known.root, known.folder), blob.modified):
                live = None
            found.append(
                Partial(
                    file=clean(file) if file is not None else None,
                    blob=clean(name),
                    bytes=there,
                    expected=expected if expected is not None and expected >= there else None,
                    pid=pid if live else None,
                    live=live,
                )
            )
    return tuple(found)


def _downloading(known: Known, revisions: Iterable[Revision], partials: Iterable[Partial]) -> bool | None:
    """Whether files come in: see `Repo.downloading`. What was cut off after the last file came speaks against it."""
    states = {partial.blob: partial.live for partial in partials}
    if True in states.values():
        return True
    came = known.repo.last_modified
    if abs(time.time() - came) < _BETWEEN and any(one.complete is False and one.missing for one in revisions):
        written = known.contents.partials.items()
        if not any(blob.modified > came for name, blob in written if states.get(clean(name)) is False):
            return True
    return None if None in states.values() else False


def _alive(held: bool | None, pid: int | None, group: dict[str, Blob]) -> dict[str, bool | None]:
    """Which partials of one etag are being written. There is one lock for all of them, and one writer."""
    if not held or len(group) == 1:
        return dict.fromkeys(group, held)
    inodes = {(blob.device, blob.inode) for blob in group.values()}
    written = has_open(pid, inodes) if pid is not None else None
    if not written:
        return dict.fromkeys(group, None)
    return {name: (blob.device, blob.inode) in written for name, blob in group.items()}
