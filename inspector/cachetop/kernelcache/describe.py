"""One entry in depth: `cachetop.kernel/1`. Reads its files anew, bounded, and runs nothing."""

from __future__ import annotations

import itertools
import os
import re

import msgspec

from cachetop.base.hostile import clean, show
from cachetop.base.record import Problem, Record
from cachetop.base.users import user_name
from cachetop.kernelcache import cubin, resources
from cachetop.kernelcache.checks import Check
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.resources import Resources
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.shelves import opened
from cachetop.kernelcache.stages import File, Stage, beside, files_of, read, stages_of
from cachetop.kernelcache.triton import METADATA_MOST
from cachetop.kernelcache.usage import runs

SCHEMA = "cachetop.kernel/1"
_CUBINS_MOST = 16
_OPTIONS_MOST = 64
_NO_OPTIONS = {"hash", "target", "name", "shared", "triton_version", "extern_libs", "tensordesc_meta", "arch"}
_LOCATION = re.compile(rb'^#loc\d* = loc\("((?:[^"\\\n]|\\.){1,4096})":(\d{1,9}):\d{1,9}\)', re.MULTILINE)
_PID = re.compile(
    r"\Atmp\.pid_(\d{1,10})_"  # Triton
    r"|_tmp_(\d{1,10})\Z"  # NVRTC
    r"|_p(\d{1,10})_t\d{1,20}\Z"  # Warp
    r"|\A\.(\d{1,10})\.\d{1,20}\.tmp\Z"  # Inductor
)
"""The process in the name of what it has not finished writing."""

Plain = str | int | float | bool | None


class Function(Record, frozen=True):
    """One of several functions in an entry's machine code: `file` holds it."""

    name: str
    file: str
    resources: Resources


class Builder(Record, frozen=True):
    """Who made an entry: the owner of its files, and the process where a name in it tells, which is while it is being
    compiled and when that was cut off. `running`: whether that process still runs; None where it is not known."""

    user: str | None = None
    pid: int | None = None
    running: bool | None = None


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
    built_by: Builder = Builder()
    checks: tuple[Check, ...] = ()
    """What was found of each rule that did not hit it (`kernelcache.checks`), where somebody asked."""


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
        files = files_of(folder, name)
        known["built_by"] = _builder(folder, name, files)
        timed = entry.build_milliseconds is not None or entry.state == "compiling"
        stages = stages_of(files, timed)
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


def _builder(folder: int, name: str, files: list[File]) -> Builder:
    try:
        uid = files[0].uid if files else os.lstat(name, dir_fd=folder).st_uid
    except OSError:
        return Builder()
    for file in (*files, File(name, 0, 0, uid)):
        for part in file.path.split("/"):
            if (said := _PID.search(part)) is not None:
                pid = int(next(filter(None, said.groups())))
                running = runs(pid, file.moment / 1e9) if file.moment else None
                return Builder(user=user_name(uid), pid=pid, running=running)
    return Builder(user=user_name(uid))


def _source(folder: int, files: dict[str, File]) -> tuple[str | None, int | None]:
    """Where the kernel was written, from the first location that the intermediate code notes."""
    for stage in ("source", "ttir"):
        if stage in files:
            try:
                hit = _LOCATION.search(read(folder, files[stage], 1 << 16))
            except (OSError, ValueError):
                continue
            if hit:
                return clean(hit[1], 1024), int(hit[2])
    return None, None


def _options(folder: int, files: dict[str, File]) -> tuple[dict[str, Plain | list[Plain]], int | None]:
    """(what the kernel was compiled with, bytes of shared memory to ask for at launch)."""
    file = files.get("json") or files.get("best_config")
    if file is None:
        return {}, None
    try:
        said = msgspec.json.decode(read(folder, file, METADATA_MOST))
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
    folder: int, file: File | None, kernel: str | None, shared: int | None
) -> tuple[Resources | None, str | None]:
    if file is None:
        return None, "it holds no cubin"
    try:
        with beside(folder, file) as (near, name):
            found = resources.read(name, kernel, near)
    except cubin.CubinError as error:
        return None, f"its cubin cannot be read: {error}"
    except OSError:
        return None, "its cubin cannot be opened"
    return msgspec.structs.replace(found, shared_dynamic=shared), None


def _functions(folder: int, files: list[File]) -> tuple[Function, ...]:
    """Every function of every file of machine code, where one holds more than one."""
    out = []
    for file in files[:_CUBINS_MOST]:
        try:
            with beside(folder, file) as (near, name):
                found = resources.every(name, near)
        except (OSError, cubin.CubinError):
            continue
        shown = clean(file.path.rpartition("/")[2], 400)
        out += [Function(name=clean(name, 400), file=shown, resources=taken) for name, taken in found]
    return tuple(out)


def _release(folder: int, file: File) -> str | None:
    """The CUDA release of the assembler."""
    try:
        with beside(folder, file) as (near, name):
            return cubin.read(name, near).cuda
    except (OSError, cubin.CubinError):
        return None
