"""Compiled kernels from the Hugging Face Hub (the `kernels` package), in the hub cache or a folder of their own.

`kernels--<org>--<name>/snapshots/<revision>/build/<variant>/`, whose files are links into the repo's `blobs/`. The
variant names the torch, C++ ABI and CUDA release (`torch210-cxx11-cu128-x86_64-linux`); the SM stands in the shared
object only and is not read. One row per variant; its size is that of its blobs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

from cachetop.base.hostile import clean
from cachetop.kernelcache.formats import Context, Row, Shelf
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep, open_folder, opened_below
from cachetop.kernelcache.usage import Usage

_REPO = re.compile(r"kernels--(?P<org>[^/]+?)--(?P<name>[^/]+)\Z")
_TORCH = re.compile(r"torch(\d)(\d{1,2})-")
_CUDA = re.compile(r"-cu(\d{2})(\d)(?:-|\Z)")
_BLOB = re.compile(r"(?:\.\./){2,12}blobs/([0-9a-f]{40,64})\Z")
_FILES_MOST = 4096
_DEPTH = 8


class HfKernels:
    """The kernel repos of a hub cache: a shelf per revision."""

    kind = "hf-kernels"

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, []
        with os.scandir(root) as found:
            repos = [one.name for one in found if _REPO.match(one.name) and one.is_dir(follow_symlinks=False)]
        for repo in repos:
            with opened_below(root, f"{repo}/snapshots") as snapshots:
                revisions = folders(snapshots) if snapshots is not None else []
            for revision in revisions:
                path = f"{repo}/snapshots/{revision}/build"
                with opened_below(root, path) as build, opened_below(root, f"{repo}/blobs") as blobs:
                    if build is None or blobs is None:
                        continue
                    seen.append(path)
                    shelf = shelves.setdefault(path, Shelf())
                    names = folders(build)
                    changed |= drop(shelf.rows, names)
                    for name in names:
                        if not (context.quick and name in shelf.rows):
                            row = _variant(build, blobs, repo, f"{path}/{name}", name, context)
                            changed |= keep(shelf.rows, name, row) if row else shelf.rows.discard(name)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`. A variant's folder is its repo's: it belongs to no entry, so that nothing moves it."""
        parts = path.split("/")
        if len(parts) < 6 or not _REPO.match(parts[0]) or (parts[1], parts[3]) != ("snapshots", "build"):
            return None
        return "/".join(parts[:5])


def _variant(build: int, blobs: int, repo: str, path: str, name: str, context: Context) -> Row | None:
    inner = open_folder(name, build)
    if inner is None:
        return None
    total = Usage()
    try:
        _links(inner, blobs, total, _DEPTH)
        about = os.fstat(inner)
    finally:
        os.close(inner)
    torch, cuda, said = _TORCH.match(name), _CUDA.search(name), _REPO.match(repo)
    producer = Producer(
        torch=f"{torch[1]}.{torch[2]}" if torch else None, cuda=f"{cuda[1]}.{cuda[2]}" if cuda else None
    )
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=clean(name),
        name=clean(f"{said['org']}/{said['name']}", 400) if said else None,
        sm=(),
        size_on_disk=total.size_on_disk,
        files=total.files,
        created=(total.oldest or about.st_mtime_ns) / 1e9,
        last_used=None,
        state="complete",
        producer=producer,
        path=clean(context.prefix + path),
        part="hub kernel",
    )
    return Row(entry, about.st_mtime_ns, False, True, tuple(total.links))


def _links(folder: int, blobs: int, total: Usage, depth: int) -> None:
    """Count the blobs that the links of a variant name; a link that leads anywhere else is not followed."""
    for name in os.listdir(folder):
        if total.files >= _FILES_MOST:
            return
        try:
            found = os.lstat(name, dir_fd=folder)
            if stat.S_ISLNK(found.st_mode):
                blob = _BLOB.match(os.readlink(name, dir_fd=folder))
                if blob:
                    total.add(os.lstat(blob[1], dir_fd=blobs))
            elif stat.S_ISREG(found.st_mode):
                total.add(found)
            elif stat.S_ISDIR(found.st_mode) and depth and (inner := open_folder(name, folder)) is not None:
                try:
                    _links(inner, blobs, total, depth - 1)
                finally:
                    os.close(inner)
        except OSError:
            continue
