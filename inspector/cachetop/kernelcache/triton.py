"""Triton's cache: one folder per compiled kernel, named by the hash of everything that went into it.

The folder's name is the sha256 of the key: 64 hex characters up to Triton 3.1, 43 of urlsafe base64 in 3.2,
52 of base32 since 3.3. Files are named after the kernel, cut to 150 characters, and appear in the order of
the stages: `.source` (since 3.4), `.ttir`, `.ttgir`, `.llir`, `.ptx`, `.cubin`, `.json`, and last
`__grp__<name>.json`, which makes the entry usable. Each is written into `tmp.pid_<PID>_<uuid>/` first and
then renamed (triton/runtime/cache.py, triton/compiler/compiler.py). Folders with only a shared object hold a
launcher or `cuda_utils`; with only `<name>.autotune.json` the result of an autotuning run.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

import msgspec

from cachetop.base.files import DIRECTORY, open_quietly
from cachetop.base.hostile import clean
from cachetop.base.record import Problem
from cachetop.kernelcache import cubin
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Row, Rows, Shelf
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.shelves import refresh, reread
from cachetop.kernelcache.usage import Usage, runs, usage, young

STAGES = ("source", "ttir", "ttgir", "llir", "ptx", "amdgcn", "cubin", "hsaco", "json")
METADATA_MOST = 1 << 18
_METADATA_USUAL = 1 << 13
_TEXT_MOST = 1 << 16
_RANK = {name: rank for rank, name in enumerate(STAGES, 1)}
_OTHER, _SHARED, _AUTOTUNE, _GROUP = -1, -2, -3, -4
_KEY = re.compile(r"[A-Z2-7]{52}|[0-9a-f]{64}|[A-Za-z0-9_-]{43}")
_TEMPORARY = re.compile(r"tmp\.pid_(\d{1,10})_")
_PTX_TARGET = re.compile(rb"^\.target\s+(sm_\d{2,3})[af]?", re.MULTILINE)
_TTGIR_TARGET = re.compile(rb'target"? = "cuda:(\d{2,3})"')
_GFX = re.compile(r"gfx[0-9a-f]{3,6}\Z")


class _Target(msgspec.Struct, gc=False):
    arch: int | str | None = None


class _Metadata(msgspec.Struct, gc=False):
    target: _Target | None = None
    name: str | None = None


_decode = msgspec.json.Decoder(_Metadata).decode
_sms: dict[int | str, tuple[str, ...]] = {}
_names: dict[str, str] = {}
_roles: dict[str, int] = {}


def is_key(name: str) -> bool:
    """Whether a folder's name is one that Triton gives, in any of its generations."""
    return len(name) in (52, 64, 43) and _KEY.fullmatch(name) is not None


class Triton:
    """A Triton cache: one shelf, the root itself."""

    kind = "triton"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        return refresh(root, shelves.setdefault(".", Shelf()), is_key, read_entry, context)

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        rows = shelves.setdefault(".", Shelf()).rows
        changed = False
        for key in paths:
            if is_key(key):
                changed |= force(root, key, rows, context)
        return changed

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        key = path.partition("/")[0]
        return key if is_key(key) else None


def force(folder: int, key: str, rows: Rows, context: Context, shelf: str = "") -> bool:
    """Read one entry again whatever its stamp says; `shelf` as in `read_entry`."""
    if key in rows:
        rows[key].open = True

    def read(parent: int, name: str, context: Context) -> Row | None:
        return read_entry(parent, name, context, shelf)

    return reread(folder, key, rows, read, context)


def read_entry(folder: int, key: str, context: Context, shelf: str = "") -> Row | None:
    """Read one entry folder below the open `folder`; `shelf` is that folder's path below the root, with a slash.

    Returns None when it is no folder, is gone, or may not be opened (which adds to `context.errors`).
    """
    try:
        fd = os.open(key, DIRECTORY, dir_fd=folder)
    except PermissionError:
        context.errors.append(f"the entry {key} may not be opened")
        return None
    except OSError:
        return None
    try:
        return _read(fd, key, context, shelf)
    except OSError:
        return None
    finally:
        os.close(fd)


def _read(fd: int, key: str, context: Context, shelf: str) -> Row:
    blocks = files = 0
    newest = stamp = os.fstat(fd).st_mtime_ns
    oldest = 0
    group = metadata = temporary = None
    shared = autotune = False
    rank = _OTHER
    staged = ""
    links: list[tuple[int, int, int]] = []
    for name in os.listdir(fd):
        try:
            found = os.lstat(name, dir_fd=fd)
        except OSError:
            continue
        mode = found.st_mode & 0o170000
        if mode != 0o100000:
            if mode == 0o040000 and name.startswith("tmp."):
                temporary = name
            continue
        if found.st_nlink > 1:
            if any(found.st_ino == link[1] for link in links):
                continue
            links.append((found.st_dev, found.st_ino, found.st_blocks * 512))
        blocks += found.st_blocks
        files += 1
        moment = found.st_mtime_ns
        if moment > newest:
            newest = moment
        if not oldest or moment < oldest:
            oldest = moment
        role = _roles.get(name) or _role(name)
        if role > rank:
            rank, staged = role, name
        elif role == _GROUP:
            group = name
        elif role == _SHARED:
            shared = True
        elif role == _AUTOTUNE:
            autotune = True
    size = blocks * 512
    if rank == _RANK["json"]:
        metadata = staged
    staged = staged.rpartition(".")[0]
    if group is not None:
        metadata, staged = group[7:], group[7:-5]
    name, sm, problems = _identity(fd, staged, metadata, rank) if rank > 0 or group else ("", (), ())
    alive = False
    if temporary is not None:
        size, files, newest, alive = _temporaries(fd, size, files, newest)
    state = "complete"
    if group is None:
        if rank < 0 and shared:
            state = "helper"
        elif rank < 0 and autotune:
            state = "autotune"
        else:
            state = "compiling" if alive or young(newest, context.now) else "orphan"
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=key,
        name=name or None,
        sm=sm,
        size_on_disk=size,
        files=files,
        created=(oldest or stamp) / 1e9,
        last_used=None,
        state=state,
        producer=UNKNOWN_PRODUCER,
        problems=problems,
        stage=STAGES[rank - 1] if rank > 0 and group is None else None,
        path=context.prefix + shelf + key if shelf or context.prefix else key,
        part="triton" if shelf else None,
    )
    settled = group is not None and temporary is None
    return Row(entry, stamp, settled, state == "compiling" or temporary is not None, tuple(links))


def _role(name: str) -> int:
    """What a file is by its name: the rank of its stage (from 1), or one of the other roles. Kernels share names."""
    ending = name.rpartition(".")[2]
    if ending == "json" and name.startswith("__grp__"):
        role = _GROUP
    elif name.endswith(".autotune.json"):
        role = _AUTOTUNE
    elif ending == "so":
        role = _SHARED
    else:
        role = _RANK.get(ending, _OTHER)
    if len(_roles) > 200_000:
        _roles.clear()
    _roles[name] = role
    return role


def _identity(
    fd: int, staged: str, metadata: str | None, rank: int
) -> tuple[str, tuple[str, ...], tuple[Problem, ...]]:
    """The kernel's name and SM: from the metadata, else from what the stages wrote so far."""
    problems: tuple[Problem, ...] = ()
    if metadata is not None:
        try:
            handle = open_quietly(metadata, fd)
            try:
                raw = os.read(handle, _METADATA_USUAL)  # a larger buffer would be mapped and unmapped each time
                if len(raw) == _METADATA_USUAL:
                    raw += os.read(handle, METADATA_MOST)
            finally:
                os.close(handle)
            if len(raw) > METADATA_MOST:
                large = Problem(rule="metadata", message=f"{clean(metadata, 200)} is too large to be read as metadata")
                return _known(staged), _staged_sm(fd, staged), (large,)
            said = _decode(raw)
            sm = _sm(said.target.arch) if said.target else ()
            if sm and said.name:
                return _known(said.name), sm, ()
            problems = (Problem(rule="metadata", message=f"{clean(metadata, 200)} names no kernel or no SM"),)
        except (OSError, ValueError, RecursionError):
            problems = (Problem(rule="metadata", message=f"{clean(metadata, 200)} cannot be read as metadata"),)
    return _known(staged), _staged_sm(fd, staged), problems


def _known(name: str) -> str:
    """`name` cleaned, one object for all entries of a kernel."""
    got = _names.get(name)
    if got is None:
        if len(_names) > 100_000:
            _names.clear()
        got = _names[name] = clean(name, 1024)
    return got


def _sm(arch: int | str | None) -> tuple[str, ...]:
    if arch is None:
        return ()
    got = _sms.get(arch)
    if got is None:
        if isinstance(arch, int):
            got = (f"sm_{arch}",) if 10 <= arch <= 999 else ()
        else:
            got = (arch,) if _GFX.match(arch) else ()
        if len(_sms) < 1000:
            _sms[arch] = got
    return got


def _staged_sm(fd: int, stem: str) -> tuple[str, ...]:
    """The SM from `.target` of the PTX, the target of the TTGIR, or the header of the cubin."""
    for ending, pattern in (("ptx", _PTX_TARGET), ("ttgir", _TTGIR_TARGET)):
        try:
            handle = open_quietly(f"{stem}.{ending}", fd)
        except OSError:
            continue
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                continue
            hit = pattern.search(os.read(handle, _TEXT_MOST))
        except OSError:
            continue
        finally:
            os.close(handle)
        if hit:
            return _sm(int(hit[1].removeprefix(b"sm_")))
    try:
        found = cubin.read(f"{stem}.cubin", fd)
    except (OSError, cubin.CubinError):
        return ()
    return (found.sm.rstrip("af"),)


def _temporaries(fd: int, size: int, files: int, newest: int) -> tuple[int, int, int, bool]:
    """Add what lies in `tmp.*` folders, and tell whether one of their makers still runs."""
    alive = False
    for name in os.listdir(fd):
        if not name.startswith("tmp."):
            continue
        try:
            inner = os.open(name, DIRECTORY, dir_fd=fd)
        except OSError:
            continue
        try:
            made = os.fstat(inner).st_mtime
            total = usage(inner, Usage(), depth=1)
        finally:
            os.close(inner)
        size += total.size_on_disk
        files += total.files
        newest = max(newest, total.newest)
        pid = _TEMPORARY.match(name)
        alive = alive or (pid is not None and runs(int(pid[1]), made))
    return size, files, newest, alive
