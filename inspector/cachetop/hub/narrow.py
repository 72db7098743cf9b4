"""One file of a revision, found by its names alone: what else its repo holds, which may be very much, is not read.

The steps are those of a scan: from an open folder to a plain name in it, no link followed, each judged by its text.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cachetop.base.files import open_quietly
from cachetop.base.hostile import clean
from cachetop.hub import layout
from cachetop.hub.contents import Blob, folder, inode, open_root
from cachetop.hub.records import Repo
from cachetop.hub.tree import Tree, Trees
from cachetop.hub.warm import holds_a_token


@dataclass(frozen=True)
class Spot:
    """Where a file of a revision was found. Names and paths are as they are spelled on disk."""

    root: str
    folder: str
    """That of the repo, below the root."""
    name: str
    """Its name in the revision."""
    link: str
    """Its path."""
    path: str
    """The path of its content: of itself, or of the blob or payload that it leads to."""
    kept: str
    """`blob`, `store` (a payload of the cache-wide store) or `real` (kept in the revision, without a blob)."""
    key: str | None
    """The blob's name."""
    blob: Blob
    """The content's inode."""
    descriptor: int | None
    """The open content; None where it may not be read."""
    tree: Tree | None
    """The revision's stored file list, of a real file alone."""


@contextmanager
def found(repo: Repo, commit: str, name: str) -> Iterator[Spot]:
    """Hold the file `name` of a revision of `repo` open; `commit` and `name` as the records have them, safe to show.

    Raises LookupError with a sentence where it is not there (any more) or no file of the cache, and OSError.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in (*parts, commit)):
        raise LookupError(f"{clean(name)} is no name of a file in a revision.")
    with ExitStack() as stack:
        try:
            root = open_root(repo.root)
            stack.callback(os.close, root)
            top_name = _folder(root, repo)
            top = stack.enter_context(folder(top_name, root))
            at = stack.enter_context(folder("snapshots", top))
            trail = ["snapshots"]
            for part in (commit, *parts[:-1]):
                trail.append(_spelled(at, part))
                at = stack.enter_context(folder(trail[-1], at))
            last = _spelled(at, parts[-1])
            inside = "/".join(trail)
            kept, key, path, status, place = _content(root, top, top_name, inside, last, at, stack, repo.root)
            if not stat.S_ISREG(status.st_mode):
                raise LookupError(f"{clean(name)} is no regular file; it is not opened.")
        except (FileNotFoundError, NotADirectoryError):
            raise LookupError(f"{clean(name)} is not in the cache any more.") from None
        blob = inode(status, path.removeprefix(f"{layout.STORE}/") if kept == "store" else None)
        descriptor = _open(place, path.rpartition("/")[2], blob)
        if descriptor is not None:
            stack.callback(os.close, descriptor)
        here = os.path.join(repo.root, top_name)
        tree = Trees().get(top, trail[1], etags=True) if kept == "real" else None
        spelled = "/".join([*trail[2:], last])
        yield Spot(
            repo.root,
            top_name,
            spelled,
            os.path.join(here, inside, last),
            os.path.join(repo.root if kept == "store" else here, path),
            kept,
            key,
            blob,
            descriptor,
            tree,
        )


def _content(
    root: int, top: int, top_name: str, inside: str, last: str, at: int, stack: ExitStack, path: str
) -> tuple[str, str | None, str, os.stat_result, int]:
    """How it is kept, the blob's name, the content's path below the repo (in the store: the root), what lstat says of
    it, and the open folder in which it lies."""
    roots = (os.path.abspath(path), os.path.realpath(path))
    try:
        target = os.readlink(last, dir_fd=at)
    except FileNotFoundError:
        raise
    except OSError:  # no link
        return "real", None, f"{inside}/{last}", os.stat(last, dir_fd=at, follow_symlinks=False), at
    key = layout.own_blob(target, top_name, inside, roots)
    if key is None:
        raise LookupError(f"{clean(last)} is a link that leads out of its repo; it is not followed.")
    pool = stack.enter_context(folder("blobs", top))
    status = os.stat(key, dir_fd=pool, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        return "blob", key, f"blobs/{key}", status, pool
    stored = layout.stored_payload(os.readlink(key, dir_fd=pool), top_name, roots)
    if stored is None:
        raise LookupError(f"The blob of {clean(last)} is a link that leads out of the cache; it is not followed.")
    prefix, _, payload = stored.partition("/")
    store = stack.enter_context(folder(layout.STORE, root))
    shelf = stack.enter_context(folder(prefix, store))
    return "store", key, f"{layout.STORE}/{stored}", os.stat(payload, dir_fd=shelf, follow_symlinks=False), shelf


def _folder(root: int, repo: Repo) -> str:
    """The name of a repo's folder in the open cache root."""
    wanted = repo.type, repo.id
    name = f"{layout.FOLDERS.get(repo.type, '')}--{repo.id.replace('/', '--')}"
    if layout.identity(name) == wanted and _is_there(root, name):
        return name
    for name in os.listdir(root):
        if layout.identity(name) == wanted:
            return name
    raise FileNotFoundError(name)


def _spelled(at: int, shown: str) -> str:
    """How a name that is shown so is spelled in an open folder."""
    if _is_there(at, shown):
        return shown
    return next((name for name in os.listdir(at) if clean(name) == shown), shown)


def _is_there(at: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return True


def _open(at: int, name: str, blob: Blob) -> int | None:
    """Open the content, if that is allowed and it is still what was looked at; never the login token."""
    if holds_a_token(blob):
        return None
    try:
        descriptor = open_quietly(name, at)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) == (blob.device, blob.inode) and stat.S_ISREG(status.st_mode):
        return descriptor
    os.close(descriptor)
    return None
