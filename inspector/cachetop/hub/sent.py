"""What goes between the process that scans and one that helps it: messages, and how `Contents` come out of them again.

Only ordinary repos are sent. One with complaints, or with names that are not safe to show or no text, is read by the
process that scans: nothing a stranger made up has to survive the way, and it is easy to see that answers are equal.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cachetop.hub.contents import Blob, Contents, Mark, Snapshot
from cachetop.hub.names import Names
from cachetop.hub.problems import Complaints
from cachetop.hub.records import File

HEAD = 4
"""Bytes in front of each message, its length, the highest first. A message is MessagePack."""


class Start(msgspec.Struct, array_like=True):
    """The first message to a helper."""

    version: str
    """Of cachetop: the helper may find another one, if that was installed after whoever scans was started."""
    root: int
    """The descriptor of the open cache root."""
    roots: list[bytes]
    """Its absolute spellings."""


class Batch(msgspec.Struct, array_like=True):
    """Each message from then on: what to read, and the number of the first. The answer is an array of `Sent`.

    Without `inside` the names are those of repo folders. Otherwise it is the path of a revision or of a folder in one,
    below the cache root, and they are folders in it; or `files` in it, which have one number together. `Sent` then has
    one snapshot, with what was asked for, and the blobs and marks of that.
    """

    first: int
    names: list[bytes]
    inside: bytes
    files: bool


class SentSnapshot(msgspec.Struct, array_like=True, gc=False):
    """A `Snapshot`; sizes are not sent, for they are those of the blobs."""

    commit: str
    names: list[str]
    """In order."""
    at: list[int]
    """For each file the place of its blob in `Sent.inodes`; of a real file, `~place`."""


class Sent(msgspec.Struct, array_like=True, gc=False):
    """The `Contents` of what has this number."""

    number: int
    marks: list[Mark]
    refs: dict[str, str]
    snapshots: list[SentSnapshot]
    blobs: list[str]
    partials: list[str]
    unnamed: list[str]
    inodes: list[Blob]
    """Those of `blobs`, in that order, then those of `partials`, then those of real files."""
    same: dict[int, int]
    """Places in `inodes` with the place of the same inode further in front: names of one inode share the object."""
    modified: float
    plain: bool


def message(content: object) -> bytes:
    """`content` as it goes over a pipe. Raises UnicodeEncodeError when a name in it is not text."""
    raw = msgspec.msgpack.encode(content)
    return len(raw).to_bytes(HEAD, "big") + raw


def pack(number: int, contents: Contents) -> Sent | None:
    """What to send; None when the repo is not ordinary."""
    if contents.complaints or contents.foreign or contents.names or contents.keys:
        return None
    places = {name: place for place, name in enumerate(contents.blobs)}
    inodes = [*contents.blobs.values(), *contents.partials.values()]
    snapshots = []
    for snapshot in contents.snapshots:
        if snapshot.lost:
            return None
        at = []
        for file in snapshot.files:
            if file.blob is None:
                at.append(~len(inodes))
                inodes.append(snapshot.kept[file.name])
            else:
                at.append(places[file.blob])
        snapshots.append(SentSnapshot(snapshot.commit, [file.name for file in snapshot.files], at))
    return Sent(
        number=number,
        marks=contents.marks,
        refs=contents.refs,
        snapshots=snapshots,
        blobs=[*contents.blobs],
        partials=[*contents.partials],
        unnamed=contents.unnamed,
        inodes=inodes,
        same={} if contents.plain else _same(inodes),
        modified=contents.modified,
        plain=contents.plain,
    )


def _same(inodes: list[Blob]) -> dict[int, int]:
    first: dict[Blob, int] = {}
    return {place: at for place, blob in enumerate(inodes) if (at := first.setdefault(blob, place)) != place}


def unpack(sent: Sent, store: Mapping[str, Blob], names: Names) -> Contents:
    """The very `Contents` that reading the repo here gives, with the payloads of `store` where it points there.

    Raises LookupError when one of them is not in `store`.
    """
    inodes, keys = sent.inodes, sent.blobs
    if not sent.plain:
        inodes = [store[blob.stored] if blob.stored else blob for blob in inodes]
        for place, before in sent.same.items():
            inodes[place] = inodes[before]
    return Contents(
        marks=sent.marks,
        refs=sent.refs,
        snapshots=[_snapshot(each, inodes, keys, names) for each in sent.snapshots],
        blobs=dict(zip(keys, inodes, strict=False)),
        partials=dict(zip(sent.partials, inodes[len(keys) :], strict=False)) if sent.partials else {},
        unnamed=sent.unnamed,
        foreign=set(),
        names={},
        keys={},
        complaints=Complaints(),
        modified=sent.modified,
        plain=sent.plain,
    )


def _snapshot(sent: SentSnapshot, inodes: list[Blob], keys: list[str], names: Names) -> Snapshot:
    at, (shown, _), new = sent.at, names.ordered(sent.names), File
    if min(at, default=0) >= 0:
        blobs = [inodes[place] for place in at]
        files = [
            new(name, blob.size, blob.disk, keys[place]) for name, blob, place in zip(shown, blobs, at, strict=True)
        ]
        return Snapshot(sent.commit, files, blobs, {}, [])
    blobs = [inodes[place if place >= 0 else ~place] for place in at]
    files = [
        new(name, blob.size, blob.disk, keys[place] if place >= 0 else None)
        for name, blob, place in zip(shown, blobs, at, strict=True)
    ]
    kept = {file.name: blob for file, blob in zip(files, blobs, strict=True) if file.blob is None}
    return Snapshot(sent.commit, files, blobs, kept, [])
