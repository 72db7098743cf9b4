"""TorchInductor's cache: wrappers, graphs, C++ kernels, and a Triton cache per device inside.

Below the root (torch/_inductor/codecache.py, runtime/cache_dir_utils.py):

| path | what |
|---|---|
| `xx/c<51>.py` | a generated wrapper, or the source of one Triton kernel; `cc=90` in it names the SM |
| `xx/c<51>.cpp .so .so.load_ok .main.cpp .main.so` | a C++ kernel |
| `xx/<64 hex>.best_config`, `cache/<64 hex>` | results of autotuning |
| `fxgraph/xx/f<51>/`, `aotautograd/a<51>/` | pickled graphs, one file per set of guards; never unpickled here |
| `triton/<device>/<key>/` | Triton entries; `tmp.<uuid>` beside them while a bundle is unpacked |
| `precompiled_headers/`, `locks/` | helpers, one row each |

Files are written as `.<pid>.<thread>.tmp` and renamed; C++ builds go through `<name>_CxxBuild/`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection
from functools import partial

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.kernelcache import triton
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Row, Shelf
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.shelves import (
    RACY,
    drop,
    drop_missing,
    folders,
    keep_tree,
    listing,
    open_folder,
    opened_below,
    refresh,
    regroup,
)
from cachetop.kernelcache.usage import Usage, tree_row, usage, young

_PAIR = re.compile(r"[a-z0-9]{2}\Z")
_DEVICE = re.compile(r"\d{1,3}\Z")
_HELPERS = ("precompiled_headers", "locks")
_OTHERS = ("aoti_eager", "autoheuristic", "cutedsl_compile_cache", "dynamo", "quack")
_SOURCE_MOST = 1 << 19
_CC = re.compile(rb"DeviceProperties\(type='cuda'[^)]{0,200}?\bcc=(\d{2,3})\b")
_KERNEL = re.compile(rb"'kernel_name': '([^'\\\n]{1,512})'")

_Reader = Callable[[int, str, Shelf, Context], bool]


class Inductor:
    """An Inductor cache: a shelf for each folder that holds entries."""

    kind = "inductor"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, ["."]
        singles = shelves.setdefault(".", Shelf())
        tops = folders(root)
        for name in tops:
            if name in _HELPERS or name in _OTHERS:
                changed |= _single(root, name, singles, context)
            elif name in ("fxgraph", "triton"):
                with listing(name, root, context) as inner:
                    if inner is not None:
                        below = [f"{name}/{one}" for one in folders(inner)]
                        changed |= _visit(inner, [path for path in below if _how(path)], shelves, seen, context)
            elif _how(name):
                changed |= _visit(root, [name], shelves, seen, context)
        changed |= drop(singles.rows, [name for name in singles.rows if name in tops])
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`. A Triton entry is read alone, others with the folder they lie in; for a path that is
        no entry's the whole cache is brought up to date.
        """
        changed = False
        pieces: set[str] = set()
        for path in paths:
            shelf, _, key = path.rpartition("/")
            if path in _HELPERS or path in _OTHERS:
                changed |= _single(root, path, shelves.setdefault(".", Shelf()), context)
            elif _how(shelf) is None:
                return self.scan(root, shelves, context)
            elif _how(shelf) is not _kernels or shelf not in shelves or not triton.is_key(key):
                pieces.add(shelf)
            else:
                with opened_below(root, shelf) as inner:
                    if inner is None:
                        return self.scan(root, shelves, context)
                    changed |= triton.force(inner, key, shelves[shelf].rows, context, f"{shelf}/")
        for shelf in pieces:
            with opened_below(root, os.path.dirname(shelf) or ".") as outer:
                seen: list[str] = []
                if outer is not None:
                    changed |= _visit(outer, [shelf], shelves, seen, context)
                if not seen:
                    return self.scan(root, shelves, context)
        return changed

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        top = parts[0]
        if top in _HELPERS or top in _OTHERS:
            return top
        depth = {"triton": 3, "fxgraph": 3, "aotautograd": 2, "cache": 2}.get(top, 2 if _PAIR.match(top) else 0)
        if not depth or len(parts) < depth:
            return None
        if _PAIR.match(top):
            return f"{top}/{_stem(parts[1])}"
        return "/".join(parts[:depth])


def _how(path: str) -> _Reader | None:
    """How the folder at `path` is read; None for one that holds no entries of its own."""
    top, _, name = path.partition("/")
    if top == "triton":
        return _kernels if _DEVICE.match(name) else None
    if top == "fxgraph":
        return _graphs if _PAIR.match(name) else None
    if name:
        return None
    if top == "aotautograd":
        return _graphs
    return _pieces if top == "cache" or _PAIR.match(top) else None


def _visit(parent: int, paths: list[str], shelves: dict[str, Shelf], seen: list[str], context: Context) -> bool:
    """Bring the shelves at `paths` up to date, whose last parts are folders in `parent`; those there are add to `seen`.

    A folder whose time stamp stands still and whose rows are all settled is not opened.
    """
    changed = False
    for path in paths:
        name = path.rpartition("/")[2]
        shelf = shelves.get(path)
        try:
            if shelf is not None and not shelf.rows.unsettled:
                found = os.lstat(name, dir_fd=parent)
                if stat.S_ISDIR(found.st_mode) and found.st_mtime_ns == shelf.stamp < shelf.listed - RACY:
                    seen.append(path)
                    continue
            inner = open_folder(name, parent)
            if inner is None:
                continue
            try:
                about = os.fstat(inner)
                how = _how(path)
                if how is not None and (about.st_dev, about.st_ino) not in context.elsewhere:
                    changed |= how(inner, path, shelves.setdefault(path, Shelf()), context)
                    seen.append(path)
            finally:
                os.close(inner)
        except OSError as error:
            context.errors.append(f"{clean(path)} cannot be read: {why(error)}")
    return changed


def _single(root: int, name: str, shelf: Shelf, context: Context) -> bool:
    """One row for a whole subtree. A quick scan leaves the one it has."""
    state = "helper" if name in _HELPERS else "opaque"
    read = partial(tree_row, path=name, context=context, key=name, state=state, part=name)
    return keep_tree(shelf.rows, name, root, context, read)


def _kernels(folder: int, path: str, shelf: Shelf, context: Context) -> bool:
    """`triton/<device>`: a Triton cache of its own."""

    def read(parent: int, key: str, context: Context) -> Row | None:
        return triton.read_entry(parent, key, context, f"{path}/")

    return refresh(folder, shelf, triton.is_key, read, context)


def _graphs(folder: int, path: str, shelf: Shelf, context: Context) -> bool:
    """`fxgraph/xx` and `aotautograd`: a folder per key, a pickle per set of guards."""
    part = path.partition("/")[0]

    def read(parent: int, key: str, context: Context) -> Row | None:
        inner = open_folder(key, parent)
        if inner is None:
            return None
        try:
            found = os.fstat(inner)
            total = usage(inner, depth=1)
            names = sorted(name for name in os.listdir(inner) if not name.startswith("."))
            sm = _sms([_bytes(name, inner) for name in names[:4]])
        except OSError:
            return None
        finally:
            os.close(inner)
        state = "complete" if names else _unfinished(total, found, context)
        return _row(context, f"{path}/{key}", key, total, found, state, part, sm, None)

    return refresh(folder, shelf, lambda name: not name.startswith("."), read, context)


def _pieces(folder: int, path: str, shelf: Shelf, context: Context) -> bool:
    """`xx` and `cache`: flat folders where the files of one key share its name up to the first dot."""
    return regroup(folder, path, shelf, _stem, _piece, context)


def _stem(name: str) -> str:
    return name if name.startswith(".") else name.partition(".")[0].removesuffix("_CxxBuild")


def _piece(folder: int, path: str, stem: str, names: list[str], context: Context) -> Row:
    about = os.fstat(folder)
    total = Usage()
    building = False
    for name in names:
        try:
            found = os.lstat(name, dir_fd=folder)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            building = True
            if (inner := open_folder(name, folder)) is not None:
                usage(inner, total, depth=4)
                os.close(inner)
        else:
            total.add(found)
    endings = {name.rpartition(".")[2] for name in names}
    state, part = "complete", "other"
    sm: tuple[str, ...] = ()
    kernel = None
    if stem.startswith("."):
        state, part = _unfinished(total, about, context), "temporary"
    elif "best_config" in endings or path == "cache":
        state, part = "autotune", "autotune"
    elif "cpp" in endings:
        part = "cpp"
        if building or "so" not in endings:
            state = _unfinished(total, about, context)
    elif "py" in endings:
        raw = _bytes(f"{stem}.py", folder)
        kernels = set(_KERNEL.findall(raw))
        part = "wrapper" if b"AsyncCompile" in raw or len(kernels) != 1 else "source"
        sm = _sms([raw])
        kernel = clean(kernels.pop(), 1024) if part == "source" else None
    return _row(context, f"{path}/{stem}", stem, total, about, state, part, sm, kernel)


def _unfinished(total: Usage, about: os.stat_result, context: Context) -> str:
    return "compiling" if young(total.newest or about.st_mtime_ns, context.now) else "orphan"


def _bytes(name: str, folder: int) -> bytes:
    """The first half MB of a file, for looking for a pattern; nothing when it cannot be read."""
    try:
        return read_bounded(name, _SOURCE_MOST, folder)
    except (OSError, ValueError):
        return b""


def _sms(texts: list[bytes]) -> tuple[str, ...]:
    found = {int(number) for raw in texts for number in _CC.findall(raw)}
    return tuple(f"sm_{number}" for number in sorted(found))


def _row(
    context: Context,
    path: str,
    key: str,
    total: Usage,
    about: os.stat_result,
    state: str,
    part: str,
    sm: tuple[str, ...],
    name: str | None,
) -> Row:
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=clean(key),
        name=name,
        sm=sm,
        size_on_disk=total.size_on_disk,
        files=total.files,
        created=(total.oldest or about.st_mtime_ns) / 1e9,
        last_used=None,
        state=state,
        producer=UNKNOWN_PRODUCER,
        path=clean(context.prefix + path),
        part=part,
    )
    # A graph's folder gets a file more for each new set of guards, which its shelf's mtime does not show.
    settled = state not in ("compiling", "orphan") and part not in ("fxgraph", "aotautograd")
    return Row(entry, about.st_mtime_ns, settled, state == "compiling", tuple(total.links))
