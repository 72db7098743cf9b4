"""NVIDIA Warp's cache of compiled modules (warp/_src/build.py and context.py; seen with 1.19, CPU and NVRTC).

`<release>/wp_<module>_<7 hex>/` holds the generated source (`.cu`, `.cpp`), `.meta` (JSON, bytes of shared memory of
each kernel) and a file for each target it was built for: `.sm86.cubin`, `.sm75.ptx`, `.cpu0eee9287.o`. It is built as
`<same>_p<pid>_t<thread>/` and renamed; a later target is added to the folder that is there. `lto/` holds pieces of
modules with tile operations. Before 1.13 a folder that WARP_CACHE_PATH names held the modules without a release.

One row per module. A cubin is looked for by the exact SM of a GPU, PTX by an SM that it and newer ones can compile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

import msgspec

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.kernelcache import cubin, sm
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Facts, Row, Shelf
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import Reader, drop_missing, folders, listing, open_folder, refresh
from cachetop.kernelcache.usage import Usage, runs, tree_row, usage, young

PACKAGE = "warp-lang"
_RELEASE = re.compile(r"\d{1,3}\.\d{1,3}[0-9A-Za-z.+_-]{0,40}\Z")
_MODULE = re.compile(r"wp_(?P<name>.+?)(?:_[0-9a-f]{7})?\Z", re.DOTALL)
_BUILD = re.compile(r"(?P<stem>(?:wp_.+|lto))_p(?P<pid>\d{1,10})_t\d{1,20}\Z", re.DOTALL)
_CODE = re.compile(r".*\.(?:sm(?P<sm>\d{2,3}[af]?)\.(?P<form>cubin|ptx)|(?:cpu[0-9a-f]{1,16}\.)?o)\Z", re.DOTALL)
_META_MOST = 1 << 18
_META = msgspec.json.Decoder(dict[str, int])


class Warp:
    """A Warp cache: a shelf per release, and one for the modules of releases before 1.13."""

    kind = "warp"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed = refresh(root, shelves.setdefault(".", Shelf()), _wanted, _reader("."), context)
        seen = ["."]
        for name in folders(root):
            if not _RELEASE.match(name):
                continue
            with listing(name, root, context) as inner:
                if inner is not None:
                    changed |= refresh(inner, shelves.setdefault(name, Shelf()), _wanted, _reader(name), context)
                    seen.append(name)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        for path in paths:
            shelf, _, name = path.rpartition("/")
            if (kept := shelves.get(shelf or ".")) is not None and name in kept.rows:
                kept.rows[name].open = True
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        depth = 2 if _RELEASE.match(parts[0]) else 1
        return "/".join(parts[:depth]) if len(parts) >= depth and _wanted(parts[depth - 1]) else None


def facts(folder: int, name: str) -> Facts:
    """What a module's files say: for which GPUs alone it holds code, and whether it can be loaded.

    Its maker reads `.meta` itself as soon as it is there, so an access is no proof of a later use.
    """
    inner = open_folder(name, folder)
    if inner is None:
        return Facts()
    try:
        names = sorted(os.listdir(inner))
        codes: list[str] = []
        broken = target = None
        anywhere = False
        for one in names:
            found = _CODE.match(one)
            if found is None:
                continue
            anywhere = anywhere or not found["sm"]
            if found["sm"]:
                codes.append(("sm_" if found["form"] == "cubin" else "compute_") + found["sm"])
            fault, header = _fault(inner, one, found["form"])
            broken = broken or fault
            target = header if target in (None, header) else ""
        meta = next((one for one in names if one.endswith(".meta")), None)
        broken = broken or (_meta_fault(inner, meta) if meta else None)
        return Facts(
            broken=broken,
            code_sm=target or None,
            codes=() if anywhere else tuple(sorted(codes, key=_order)),
            build_milliseconds=_build(inner, names, meta),
            witness=f"{name}/{meta}" if meta else None,
            read_by_maker=True,
        )
    except OSError:
        return Facts()
    finally:
        os.close(inner)


def _order(code: str) -> tuple[bool, tuple[int, str]]:
    return code.startswith("compute"), sm.order(code.replace("compute", "sm"))


def _fault(inner: int, name: str, form: str | None) -> tuple[str | None, str | None]:
    """(why a file of code cannot be loaded, the SM in a cubin's header)."""
    try:
        if form == "cubin":
            return None, cubin.read(name, inner).sm
        about = os.lstat(name, dir_fd=inner)
        return (f"{clean(name, 200)} is empty", None) if about.st_size == 0 else (None, None)
    except cubin.CubinError as error:
        return f"{clean(name, 200)} cannot be loaded: {error}", None
    except OSError:
        return None, None


def _meta_fault(inner: int, name: str) -> str | None:
    try:
        _META.decode(read_bounded(name, _META_MOST, inner))
    except (ValueError, RecursionError):
        return f"{clean(name, 200)} is no list of its kernels, so the module cannot be loaded"
    except OSError:
        return None
    return None


def _build(inner: int, names: list[str], meta: str | None) -> float | None:
    """From the source to `.meta`, the first and the last file of a build, in ms."""
    source = next((one for one in names if one.endswith((".cu", ".cpp"))), None)
    if meta is None or source is None or sum(one.endswith((".cu", ".cpp")) for one in names) > 1:
        return None
    took = os.lstat(meta, dir_fd=inner).st_mtime_ns - os.lstat(source, dir_fd=inner).st_mtime_ns
    return took / 1e6 if took > 0 else None


def _wanted(name: str) -> bool:
    return name.startswith("wp_") or name == "lto" or _BUILD.match(name) is not None


def _reader(shelf: str) -> Reader:
    def read(folder: int, name: str, context: Context) -> Row | None:
        return _read(folder, name, context, shelf)

    return read


def _read(folder: int, name: str, context: Context, shelf: str) -> Row | None:
    inner = open_folder(name, folder)
    if inner is None:
        return None
    path = name if shelf == "." else f"{shelf}/{name}"
    made = Producer(package=f"{PACKAGE} {clean(shelf)}") if shelf != "." else UNKNOWN_PRODUCER
    try:
        if name == "lto":
            return tree_row(inner, path, context, key=name, state="helper", part="lto", producer=made)
        building = _BUILD.match(name)
        about = os.fstat(inner)
        total = usage(inner, Usage(), depth=2)
        names = os.listdir(inner)
    except OSError:
        return None
    finally:
        os.close(inner)
    codes = [found for one in names if (found := _CODE.match(one))]
    state = "complete"
    if building or not codes or not any(one.endswith(".meta") for one in names):
        fresh = young(max(total.newest, about.st_mtime_ns), context.now)
        state = "compiling" if fresh or (building and runs(int(building["pid"]), about.st_mtime)) else "orphan"
    module = _MODULE.match(building["stem"] if building else name)
    sms = {f"sm_{found['sm']}" for found in codes if found["sm"]}
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=clean(name),
        name=clean(module["name"], 1024) if module else None,
        sm=tuple(sorted(sms, key=sm.order)),
        size_on_disk=total.size_on_disk,
        files=total.files,
        created=(total.oldest or about.st_mtime_ns) / 1e9,
        last_used=None,
        state=state,
        producer=made,
        path=clean(context.prefix + path),
        part="module",
    )
    # Another target changes the module's folder and not the shelf: look at its time stamp on every scan.
    return Row(entry, about.st_mtime_ns, False, state == "compiling", tuple(total.links))
