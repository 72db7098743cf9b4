"""The contents of a repo that have a checksum in their name, and what came of checking one."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence

import msgspec

from cachetop.base.hostile import clean
from cachetop.base.record import Record, why
from cachetop.hub.contents import Blob
from cachetop.hub.known import Known
from cachetop.hub.mending import Subject, command
from cachetop.hub.records import Repo
from cachetop.hub.scan import Scanner
from cachetop.hub.warm import opened

_HEX = re.compile(r"[0-9a-f]+")
_BATCH, _BATCH_BYTES = 64, 4 << 20
"""Small contents are handed to a thread together: at most so many, and so many bytes."""


class Checked(Record, frozen=True, gc=False):
    """One content. `state`: sound, damaged, unreadable, unchecked (nothing to check it by) or removed meanwhile."""

    repo: str
    type: str
    file: str | None
    blob: str | None
    size: int
    state: str
    algorithm: str | None = None
    remembered: bool = False
    """Sound according to an earlier check of the same inode, time and size."""
    message: str | None = None
    fix: str | None = None
    """The command that brings a damaged content back."""
    root: str = ""


_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What opening says of a content that was removed, or that a link took the place of: one has to look again."""
_BROKEN = frozenset({errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.EBADMSG, errno.EUCLEAN})
"""What reading says of a bad sector, or of a file system's own checksum that does not hold."""
BAD = ("damaged", "unreadable")
"""The states that somebody has to do something about."""


class Task(msgspec.Struct, gc=False):
    """One content to check."""

    repo: Repo
    known: Known
    file: str | None
    key: str | None
    """The blob's name on disk; None for a real file, which lies in the folder of `commit`."""
    commit: str | None
    blob: Blob
    algorithm: str | None
    expected: str

    @property
    def name(self) -> tuple[str, str, str, str | None, str | None, str | None]:
        """What the content is called, whatever inode it has by now."""
        repo = self.repo
        return repo.root, repo.type, repo.id, self.key, self.commit, None if self.key else self.file

    def open(self) -> int | None:
        """Open the content if it is still the inode of the scan; the caller closes it.

        Raises OSError where it is there and cannot be opened.
        """
        with opened(self.known) as hold:
            if hold is None:
                return None
            if self.key is not None:
                descriptor = hold.open_blob(self.key)
            else:
                descriptor = hold.open_kept(self.commit or "", self.file or "", self.blob)
            if descriptor is None and hold.refused is not None and hold.refused.errno not in _GONE:
                raise hold.refused
            return descriptor

    def fix(self, rule: str) -> str | None:
        """What to run to have the content again."""
        contents, repo = self.known.contents, self.repo
        named = []
        for snapshot in contents.snapshots:
            if self.key is None:
                names = [self.file] if self.file and self.commit == snapshot.commit else []
            else:
                blob = clean(self.key)
                names = [file.name for file in snapshot.files if file.blob == blob]
            named += [(snapshot.commit, contents.names.get(name, name)) for name in names]
        return command(rule, Subject(repo.type, repo.id, repo.root, self.known.folder, contents.refs), named)

    def result(
        self, state: str, message: str | None = None, fix: str | None = None, remembered: bool = False
    ) -> Checked:
        """What came of checking it."""
        return Checked(
            repo=self.repo.id,
            type=self.repo.type,
            file=self.file,
            blob=clean(self.key) if self.key else None,
            size=self.blob.size,
            state=state,
            algorithm=self.algorithm,
            remembered=remembered,
            message=message,
            fix=self.fix(fix) if fix else None,
            root=self.repo.root,
        )

    def unread(self, error: OSError | None = None) -> Checked:
        """The result where reading failed, or where it was another content each time it was looked at."""
        if error is None:
            return self.result("unreadable", "It changed each time it was read. Check it again later.")
        if isinstance(error, PermissionError):
            return self.result("unreadable", "It may not be read.", "unreadable")
        if broken(error):
            message = f"Reading failed: {why(error)}. The disk may be failing."
            return self.result("unreadable", message, "read-error")
        return self.result("unreadable", f"Reading failed: {why(error)}.", "io-error")


def broken(error: OSError) -> bool:
    """Whether the disk gave up on a content itself, rather than that the file system went away."""
    return error.errno in _BROKEN


def tasks(repo: Repo, scanner: Scanner) -> list[Task]:
    """Each content of a repo of `scanner` once, the large ones first."""
    known = scanner.find(repo)
    if known is None:
        return []
    contents = known.contents
    files = {file.blob: file.name for snapshot in contents.snapshots for file in reversed(snapshot.files) if file.blob}
    found = [
        Task(repo, known, files.get(clean(key)), key, None, blob, algorithm_of(key), key)
        for key, blob in contents.blobs.items()
    ]
    if any(snapshot.kept for snapshot in contents.snapshots):
        with opened(known) as hold:
            for snapshot in contents.snapshots:
                tree = scanner.trees.get(hold.top, snapshot.commit, etags=True) if hold else None
                hashes = {name: etag for etag, names in tree.etags.items() for name in names} if tree else {}
                for name, blob in snapshot.kept.items():
                    etag = hashes.get(contents.names.get(name, name), "")
                    found.append(Task(repo, known, name, None, snapshot.commit, blob, algorithm_of(etag), etag))
    return sorted(found, key=lambda task: -task.blob.size)


def batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """The tasks in their order, small ones of a repo together."""
    batch: list[Task] = []
    size = 0
    for task in tasks:
        full = len(batch) == _BATCH or size + task.blob.size > _BATCH_BYTES
        if batch and (full or batch[0].known is not task.known):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += task.blob.size
    if batch:
        yield batch


def algorithm_of(name: str) -> str | None:
    """What a content called so can be checked by: `sha256`, `git-sha1`, or None."""
    if not _HEX.fullmatch(name):
        return None
    return {64: "sha256", 40: "git-sha1"}.get(len(name))
