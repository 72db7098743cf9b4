"""Compiled kernels from the Hugging Face Hub (the `kernels` package), in the hub cache or a folder of their own.

`kernels--<org>--<name>/snapshots/<revision>/build/<variant>/` (before that repo type `models--...`), whose files are
links into the repo's `blobs/`. The variant names the framework and the CUDA release, as in
`torch210-cxx11-cu128-x86_64-linux`, `torch-stable-abi29-cu128-...`, `tvm-ffi01-...`; its metadata.json the GPUs it was
built for (`backend.archs`: `8.0`, `9.0a`, `10.0f`, `12.0+PTX`). One row per variant; its size is that of its blobs
(kernels 0.17: variants.py, archs.py).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

import msgspec

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.kernelcache import gencode
from cachetop.kernelcache.formats import Context, Facts, Row, Shelf
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep, listing, open_folder, opened_below
from cachetop.kernelcache.usage import Usage

_REPO = re.compile(r"(?P<type>kernels|models)--(?P<org>[^/]+?)--(?P<name>[^/]+)\Z")
_VARIANT = re.compile(r"(?:torch(?:-stable-abi)?\d{2,3}|torch|tvm-ffi\d{2,3})-[a-z0-9_-]{2,80}\Z")
_TORCH = re.compile(r"torch(\d)(\d{1,2})-")
_ARCH = re.compile(r"(\d{1,2})\.(\d)([af]?)(\+PTX)?\Z")
_ARCHS_MOST = 64
_METADATA_MOST = 1 << 18
_CUDA = re.compile(r"-cu(\d{2})(\d)(?:-|\Z)")
_BLOB = re.compile(r"(?:\.\./){2,12}blobs/([0-9a-f]{40,64})\Z")
_FILES_MOST = 4096
_DEPTH = 8


class _Backend(msgspec.Struct, gc=False):
    archs: list[str] | None = None


class _Metadata(msgspec.Struct, gc=False):
    backend: _Backend = msgspec.field(default_factory=_Backend)


_decode = msgspec.json.Decoder(_Metadata).decode


class HfKernels:
    """The kernel repos of a hub cache: a shelf per revision."""

    kind = "hf-kernels"

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, []
        with os.scandir(root) as found:
            repos = [one.name for one in found if _REPO.match(one.name) and one.is_dir(follow_symlinks=False)]
        known = {path.partition("/")[0] for path in shelves}
        for repo in repos:
            if context.quick and repo.startswith("models--") and repo not in known:
                continue  # a repo of weights, as far as the last look found
            for revision in _revisions(root, repo, context):
                path = f"{repo}/snapshots/{revision}/build"
                with opened_below(root, path) as build, opened_below(root, f"{repo}/blobs") as blobs:
                    if build is None or blobs is None:
                        continue
                    seen.append(path)
                    shelf = shelves.setdefault(path, Shelf())
                    names = [name for name in folders(build) if _VARIANT.match(name)]
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


def _revisions(root: int, repo: str, context: Context) -> list[str]:
    """The revisions of a repo that hold a build: of nearly every repo in a hub cache none, which has to cost little."""
    found = []
    with listing(f"{repo}/snapshots", root, context) as snapshots:
        for revision in os.listdir(snapshots) if snapshots is not None else ():
            try:
                os.lstat(f"{revision}/build", dir_fd=snapshots)  # only looked at: it is opened step by step
            except OSError:
                continue
            found.append(revision)
    return found


def _variant(build: int, blobs: int, repo: str, path: str, name: str, context: Context) -> Row | None:
    inner = open_folder(name, build)
    if inner is None:
        return None
    total = Usage()
    try:
        codes = _codes(inner, blobs)
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
        sm=gencode.sms(codes),
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


def facts(folder: int, name: str) -> Facts:
    """For which GPUs the variant `name` in the open `build` folder was built."""
    inner, blobs = open_folder(name, folder), open_folder("../../../blobs", folder)
    try:
        return Facts(codes=_codes(inner, blobs)) if inner is not None and blobs is not None else Facts()
    finally:
        for handle in (inner, blobs):
            if handle is not None:
                os.close(handle)


def _codes(variant: int, blobs: int) -> tuple[str, ...]:
    """`sm_90a` for machine code, `compute_90` for PTX, as the variant's metadata names them; empty if it does not."""
    try:
        found = os.lstat("metadata.json", dir_fd=variant)
        if stat.S_ISLNK(found.st_mode):
            blob = _BLOB.match(os.readlink("metadata.json", dir_fd=variant))
            raw = read_bounded(blob[1], _METADATA_MOST, blobs) if blob else b""
        else:
            raw = read_bounded("metadata.json", _METADATA_MOST, variant)
        archs = _decode(raw).backend.archs or []
    except (OSError, ValueError, RecursionError):
        return ()
    codes: dict[str, None] = {}
    for arch in map(_ARCH.match, archs[:_ARCHS_MOST]):
        if arch is None:
            return ()  # written by a newer builder: what it runs on cannot be told
        codes[f"sm_{int(arch[1] + arch[2])}{arch[3]}"] = None
        if arch[4]:
            codes[f"compute_{int(arch[1] + arch[2])}{arch[3]}"] = None
    return tuple(codes)


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
