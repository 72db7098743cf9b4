"""Reads a part of a revision for another process, which reads the rest of its repo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from cachetop.hub.contents import Contents, Place, Snapshot, folder, nothing
from cachetop.hub.pool import Pool
from cachetop.hub.revision import Revision
from cachetop.hub.walk import Walk


class Left(Exception):
    """What lies there is left to whoever asked."""


class _Part(NamedTuple):
    contents: Contents
    walk: Walk
    revision: Revision
    descriptor: int
    """The open folder that `inside` names."""
    path: str
    """It below the repo."""
    prefix: str
    """It below the revision."""


def read_folder(place: Place, inside: str, name: str) -> Contents:
    """Read the folder `name` in `inside`, the path of a revision or of a folder in one: a `Contents` of one snapshot.

    Raises OSError when that cannot be opened, Left when something there is out of the ordinary, Unwieldy as `place` has
    it: before it is read, for then whoever asked can share what is in it.
    """
    with _opened(place, inside) as part:
        below = f"{part.path}/{name}"
        part.walk.section(below, name, part.descriptor, part.revision.folder, f"{part.prefix}{name}/")
    return part.contents


def read_files(place: Place, inside: str, names: list[str]) -> Contents:
    """The same of the files `names` in `inside`."""
    with _opened(place, inside) as part:
        part.revision.files(part.path, part.prefix, names, part.descriptor)
    return part.contents


@contextmanager
def _opened(place: Place, inside: str) -> Iterator[_Part]:
    repo, snapshots, commit, *folders = inside.split("/")
    contents, snapshot = nothing(), Snapshot(commit, [], [], {}, [])
    contents.snapshots.append(snapshot)
    walk = Walk(repo, contents)
    with ExitStack() as opened:
        top = at = opened.enter_context(folder(repo, place.root))
        for name in (snapshots, commit, *folders):
            at = opened.enter_context(folder(name, at))
        pool = Pool(place, walk, opened.enter_context(folder("blobs", top)))
        revision = Revision(place, walk, pool, snapshot, None)
        prefix = "".join([f"{name}/" for name in folders])
        yield _Part(contents, walk, revision, at, inside[len(repo) + 1 :], prefix)
        revision.sort()
    linked = not contents.plain and any(blob.links > 1 for blob in snapshot.blobs)  # perhaps from another part
    if walk.vanished or linked:
        raise Left
