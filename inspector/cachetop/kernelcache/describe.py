"""One entry in depth: `cachetop.kernel/1`. Reads its files anew, bounded, and runs nothing."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean, show
from cachetop.base.record import Problem, Record
from cachetop.kernelcache import cubin, resources
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.resources import Resources
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.shelves import open_folder, opened
from cachetop.kernelcache.triton import METADATA_MOST, STAGES

SCHEMA = "cachetop.kernel/1"
TEXT_MOST = 1 << 20
"""Bytes of a stage that are shown."""
TEXTS = ("source", "ttir", "ttgir", "llir", "ptx", "amdgcn", "json", "py", "cpp", "cu", "meta", "ninja", "best_config")
_FILES_MOST = 256
_CUBINS_MOST = 16
_OPTIONS_MOST = 64
_NO_OPTIONS = {"hash", "target", "name", "shared", "triton_version", "extern_libs", "tensordesc_meta", "arch"}
_LOCATION = re.compile(rb'^#loc\d* = loc\("((?:[^"\\\n]|\\.){1,4096})":(\d{1,9}):\d{1,9}\)', re.MULTILINE)

Plain = str | int | float | bool | None


class Stage(Record, frozen=True):
    """One file of an entry. `milliseconds`: from the file before it to this one, where their times follow the order."""

    name: str
    file: str
    size: int
    milliseconds: float | None = None


class Function(Record, frozen=True):
    """One of several functions in an entry's machine code: `file` holds it."""

    name: str
    file: str
    resources: Resources


class Described(Entry, frozen=True, gc=True):
    """An entry (as the second pass gives it) with what its files say in depth.

    `location` is the entry's own place on disk; `source` the file and line the kernel was written in, as the
    compiler noted it.
    """

    schema: str = SCHEMA
    location: str = ""
    source: str | None = None
    source_line: int | None = None
    options: dict[str, Plain | list[Plain]] = {}
    resources: Resources | None = None
    resources_reason: str | None = None
    functions: tuple[Function, ...] = ()
    """Where an entry's machine code holds several functions, as Warp's modules do: each with what it takes."""
    stages: tuple[Stage, ...] = ()
    rebuild_milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a stage, ready to be shown line by line; `size` in bytes, `cut` when only the beginning is here."""

    stage: str
    lines: tuple[str, ...]
    size: int
    cut: bool


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    moment: int


def describe(entry: Entry, scanner: Scanner) -> Described:
    """Read what `entry`, of the newest picture of `scanner`, says of itself.

    What cannot be read is None, with a problem that says why. Raises KeyError when the entry is not in the picture.
    """
    root, path, name = scanner.place(entry)
    known = {field: getattr(entry, field) for field in entry.__struct_fields__}
    known["location"] = clean(os.path.normpath(os.path.join(root, path, name)))
    known["rebuild_milliseconds"] = entry.build_milliseconds
    with opened(root, path) as folder:
        if folder is None:
            return Described(**known, resources_reason="its folder cannot be opened")
        files = _files(folder, name)
        timed = entry.build_milliseconds is not None or entry.state == "compiling"
        stages = _stages(files, timed)
        known["stages"] = tuple(stage for stage, _ in stages)
        if not files:
            gone = Problem(rule="gone", message="its files are gone, or may not be read")
            known["problems"] = (*entry.problems, gone)
        by_name = {stage.name: file for stage, file in reversed(stages)}
        known["source"], known["source_line"] = _source(folder, by_name)
        options, shared = _options(folder, by_name)
        known["options"] = options or _limit(entry)
        code = by_name.get("cubin") or by_name.get("sass")
        known["resources"], known["resources_reason"] = _resources(folder, code, entry.name, shared)
        if known["resources"] is None and code is not None:
            known["functions"] = _functions(folder, [file for stage, file in stages if stage.name == "cubin"])
            if known["functions"]:
                known["resources_reason"] = "its machine code holds several functions"
        if code is not None and entry.producer.cuda is None:
            known["producer"] = msgspec.structs.replace(entry.producer, cuda=_release(folder, code))
    return Described(**known)


def stage_text(entry: Entry, scanner: Scanner, stage: str, most: int = TEXT_MOST) -> Text:
    """The text of one stage of `entry`, cleaned line by line, at most `most` bytes of it.

    Raises ValueError with a sentence when the entry has no such stage or it is no text, OSError when it cannot be
    read, KeyError when the entry is not in the scanner's picture.
    """
    root, path, name = scanner.place(entry)
    with opened(root, path) as folder:
        found = {one.name: file for one, file in reversed(_stages(_files(folder, name)))} if folder else {}
        if folder is None or stage not in found:
            there = ", ".join(reversed(found)) or "none"
            raise ValueError(f"{entry.key} has no stage {clean(stage, 60)!r}; it has {there}")
        if stage not in TEXTS:
            raise ValueError(f"{stage} is no text")
        raw = _read(folder, found[stage], most)
    return to_text(stage, raw, found[stage].size)


def to_text(stage: str, raw: bytes, size: int) -> Text:
    """Bytes as lines that are safe to show; `size` is the length of the whole."""
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").expandtabs(4).split("\n")
    if len(raw) >= size and lines and not lines[-1]:
        lines.pop()
    return Text(stage, tuple(clean(line, 2000) for line in lines), size, len(raw) < size)


def code_of(entry: Entry, scanner: Scanner, most: int) -> bytes:
    """The entry's machine code, for a disassembler. Raises ValueError with a sentence, OSError, KeyError."""
    root, path, name = scanner.place(entry)
    with opened(root, path) as folder:
        stages = {one.name: file for one, file in _stages(_files(folder, name))} if folder else {}
        file = stages.get("cubin") or stages.get("sass")
        if folder is None or file is None:
            raise ValueError(f"{entry.key} holds no machine code of an NVIDIA GPU")
        if file.size > most:
            raise ValueError(f"the machine code of {entry.key} is {file.size} bytes long, more than {most}")
        return _read(folder, file, most)


@contextmanager
def _beside(folder: int, file: _File) -> Iterator[tuple[int, str]]:
    """(the folder that holds `file`, its name there), opened without following a symlink. Raises OSError."""
    handle = os.dup(folder)
    try:
        *outer, name = file.path.split("/")
        for part in outer:
            inner = open_folder(part, handle)
            if inner is None:
                raise FileNotFoundError(2, os.strerror(2))
            os.close(handle)
            handle = inner
        yield handle, name
    finally:
        os.close(handle)


def _read(folder: int, file: _File, most: int) -> bytes:
    """The first bytes of a file of the entry. Raises OSError; ValueError for no regular file."""
    with _beside(folder, file) as (near, name):
        return read_bounded(name, min(most, file.size), near)


def _files(folder: int, name: str) -> list[_File]:
    """The regular files of the entry `name`: those in its folder, or those beside each other with its stem."""
    found: list[_File] = []
    inner = open_folder(name, folder) if name != "." else os.dup(folder)
    if inner is not None:
        try:
            _collect(inner, "" if name == "." else f"{name}/", found, 3)
        finally:
            os.close(inner)
        return found
    try:
        mine = (f"{name}.", f"{name}-cache", f"{name}-atime")  # Inductor's and Numba's; JAX's
        names = sorted(one for one in os.listdir(folder) if one == name or one.startswith(mine))
    except OSError:
        return []
    for one in names[:_FILES_MOST]:
        _add(folder, one, one, found)
    return found


def _collect(folder: int, prefix: str, found: list[_File], depth: int) -> None:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if len(found) >= _FILES_MOST:
            return
        if not _add(folder, name, prefix + name, found) and depth and (inner := open_folder(name, folder)) is not None:
            try:
                _collect(inner, f"{prefix}{name}/", found, depth - 1)
            finally:
                os.close(inner)


def _add(folder: int, name: str, path: str, found: list[_File]) -> bool:
    try:
        about = os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    if not stat.S_ISREG(about.st_mode):
        return False
    found.append(_File(path, about.st_size, about.st_mtime_ns))
    return True


def _stages(files: list[_File], timed: bool = False) -> list[tuple[Stage, _File]]:
    """The files that are stages, in the compiler's order, then the others; where their times mean that (`timed`),
    each with the time it took."""
    ranked: list[tuple[int, str, _File]] = []
    for file in files:
        base = file.path.rpartition("/")[2]
        stem, _, ending = base.rpartition(".")
        group = base.startswith("__grp__")
        code = re.search(r"_nvrtc\d+\.\d+_(sass|ptx)_", base)
        name = "group" if group else code[1] if code else ending if stem else "data"
        ranked.append((STAGES.index(name) if name in STAGES else len(STAGES) + group, name, file))
    ranked.sort(key=lambda one: (one[0], one[2].path))
    moments = [one[2].moment for one in ranked if one[0] < len(STAGES)]
    ordered = timed and all(a <= b for a, b in itertools.pairwise(moments))
    out: list[tuple[Stage, _File]] = []
    before: int | None = None
    for rank, name, file in ranked:
        took = (file.moment - before) / 1e6 if ordered and before is not None and rank < len(STAGES) else None
        before = file.moment
        shown = clean(file.path.rpartition("/")[2], 400)
        out.append((Stage(name=clean(name, 60), file=shown, size=file.size, milliseconds=took), file))
    return out


def _source(folder: int, files: dict[str, _File]) -> tuple[str | None, int | None]:
    """Where the kernel was written, from the first location that the intermediate code notes."""
    for stage in ("source", "ttir"):
        if stage in files:
            try:
                hit = _LOCATION.search(_read(folder, files[stage], 1 << 16))
            except (OSError, ValueError):
                continue
            if hit:
                return clean(hit[1], 1024), int(hit[2])
    return None, None


def _options(folder: int, files: dict[str, _File]) -> tuple[dict[str, Plain | list[Plain]], int | None]:
    """(what the kernel was compiled with, bytes of shared memory to ask for at launch)."""
    file = files.get("json") or files.get("best_config")
    if file is None:
        return {}, None
    try:
        said = msgspec.json.decode(_read(folder, file, METADATA_MOST))
    except (OSError, ValueError, RecursionError):
        return {}, None
    if not isinstance(said, dict):
        return {}, None
    options: dict[str, Plain | list[Plain]] = {}
    for name, value in itertools.islice(said.items(), _OPTIONS_MOST * 2):
        if name in _NO_OPTIONS or len(options) >= _OPTIONS_MOST:
            continue
        if isinstance(value, list) and len(value) <= 32 and not any(isinstance(one, (list, dict)) for one in value):
            options[show(name, 100)] = [_plain(one) for one in value]
        elif not isinstance(value, (list, dict)):
            options[show(name, 100)] = _plain(value)
    shared = said.get("shared")
    return options, shared if isinstance(shared, int) and not isinstance(shared, bool) and shared >= 0 else None


def _limit(entry: Entry) -> dict[str, Plain | list[Plain]]:
    """How large the CUDA driver lets its cache grow before it evicts (CUDA Programming Guide, 5.2.2)."""
    if entry.kind != "cuda-driver":
        return {}
    said = os.environ.get("CUDA_CACHE_MAXSIZE", "")
    if said.isascii() and said.isdigit() and len(said) < 16:
        return {"limit_bytes": min(int(said), 4 << 30), "limit_reason": "CUDA_CACHE_MAXSIZE is set"}
    return {"limit_bytes": 1 << 30, "limit_reason": "default (256 MiB on embedded platforms)"}


def _plain(value: Plain) -> Plain:
    if isinstance(value, str):
        return show(value, 400)
    if value is None or isinstance(value, (bool, float)):
        return value
    return value if abs(value) < 1 << 63 else float(value)


def _resources(
    folder: int, file: _File | None, kernel: str | None, shared: int | None
) -> tuple[Resources | None, str | None]:
    if file is None:
        return None, "it holds no cubin"
    try:
        with _beside(folder, file) as (near, name):
            found = resources.read(name, kernel, near)
    except cubin.CubinError as error:
        return None, f"its cubin cannot be read: {error}"
    except OSError:
        return None, "its cubin cannot be opened"
    return msgspec.structs.replace(found, shared_dynamic=shared), None


def _functions(folder: int, files: list[_File]) -> tuple[Function, ...]:
    """Every function of every file of machine code, where one holds more than one."""
    out = []
    for file in files[:_CUBINS_MOST]:
        try:
            with _beside(folder, file) as (near, name):
                found = resources.every(name, near)
        except (OSError, cubin.CubinError):
            continue
        shown = clean(file.path.rpartition("/")[2], 400)
        out += [Function(name=clean(name, 400), file=shown, resources=taken) for name, taken in found]
    return tuple(out)


def _release(folder: int, file: _File) -> str | None:
    """The CUDA release of the assembler."""
    try:
        with _beside(folder, file) as (near, name):
            return cubin.read(name, near).cuda
    except (OSError, cubin.CubinError):
        return None
