"""What an entry's own files say, format by format. Everything read here is bounded and distrusted."""

from __future__ import annotations

import itertools
import os
import re
import stat
from sys import intern

import msgspec

from cachetop.base.files import open_quietly, read_bounded
from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.kernelcache import cubin, extensions, flashinfer, hf_kernels, jax_cache, numba_cache, warp_cache
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Facts
from cachetop.kernelcache.ground import Ground
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import open_folder
from cachetop.kernelcache.triton import METADATA_MOST, STAGES

_CHILDREN_MOST = 64
_PICKLE_MOST = 1 << 19
_PREFIX = re.compile(r"(/.+)/lib(?:64)?/python\d\.\d{1,2}/(?:site|dist)-packages/")
_TRITON_VERSION = re.compile(rb'"triton_version": "(\d{1,3}\.\d{1,3}[0-9A-Za-z.+]{0,40})"')
_TIME_TAKEN = b"_time_taken_ns\x94"
_KEYS = re.compile(rb"(?:\x8c4|(?<![A-Z2-7]))([A-Z2-7]{52})(?![A-Z2-7])")
"""Triton's keys in a pickle, where a short text is written as 0x8c, its length (52 is "4"), and itself."""
_LOCATION = re.compile(rb'^#loc\d* = loc\("([^"\n]{1,4096})":\d', re.MULTILINE)
_LOCATION_WITHIN = 1 << 13
_USES_MOST = 4096
_NOTHING = Facts()


class _Metadata(msgspec.Struct, gc=False):
    triton_version: str | None = None
    extern_libs: list[tuple[str, str]] | None = None


class _Group(msgspec.Struct, gc=False):
    child_paths: dict[str, str]


class _Best(msgspec.Struct, gc=False):
    triton_cache_hash: str | None = None


_metadata = msgspec.json.Decoder(_Metadata).decode
_group = msgspec.json.Decoder(_Group).decode
_best = msgspec.json.Decoder(_Best).decode
_producers: dict[tuple[str | None, str | None], Producer] = {}


def read(entry: Entry, folder: int, place: str, name: str, ground: Ground) -> Facts:
    """The facts of the entry `name` in the open `folder`, whose path is `place`."""
    if entry.kind == "triton" or entry.part == "triton":
        return _triton(folder, place, name, ground, entry.part == "triton")
    if entry.kind == "nvrtc":
        return _nvrtc(entry, folder, name)
    if entry.part in ("fxgraph", "aotautograd"):
        return _pickles(folder, name)
    if entry.part == "autotune":
        return _autotune(folder, name)
    if entry.kind == "torch-extensions":
        return extensions.facts(folder, place, name)
    if entry.part == "operator":
        return flashinfer.facts(folder, place, name)
    if entry.kind == "hf-kernels":
        return hf_kernels.facts(folder, name)
    if entry.kind == "numba":
        return numba_cache.facts(folder, name)
    if entry.kind == "warp" and entry.part == "module":
        return warp_cache.facts(folder, name)
    if entry.kind == "jax":
        return jax_cache.facts(folder, name)
    if entry.part in ("wrapper", "source") and entry.kind == "inductor":
        return Facts(witness=f"{name}.py") if entry.part == "wrapper" else _NOTHING
    return _NOTHING


def _triton(folder: int, place: str, key: str, ground: Ground, inside: bool) -> Facts:
    inner = open_folder(key, folder)
    if inner is None:
        return _NOTHING
    try:
        files = {}
        for name in os.listdir(inner):
            found = os.lstat(name, dir_fd=inner)
            if stat.S_ISREG(found.st_mode):
                files[name] = found
        group = next((name for name in files if name.startswith("__grp__") and name.endswith(".json")), None)
        if group is None:
            return _NOTHING
        producer, toolchain = _producer(inner, group[7:], files)
        children, broken = _children(inner, group, files)
        elsewhere = _elsewhere(children, folder, place, key, ground)
        stem = group[7:-5]
        code_sm = None
        if elsewhere is None:
            broken = broken or _missing(children, files)
            broken, code_sm = _machine_code(inner, f"{stem}.cubin", files, broken)
        return Facts(
            producer=producer,
            toolchain=toolchain,
            elsewhere=elsewhere,
            broken=broken,
            code_sm=code_sm,
            build_milliseconds=_build(files, stem, group) if elsewhere is None and broken is None else None,
            source=_source(inner, stem, files) if inside else None,
            witness=intern(group),
            within=True,
        )
    except OSError:
        return _NOTHING
    finally:
        os.close(inner)


def _producer(inner: int, name: str, files: dict[str, os.stat_result]) -> tuple[Producer, str | None]:
    """The Triton release and the environment, from the metadata; and the raw path of the compiler's libdevice."""
    try:
        said = _metadata(_json(inner, name, files))
    except (OSError, ValueError, RecursionError):
        return UNKNOWN_PRODUCER, None
    toolchain = next((path for _, path in said.extern_libs or () if path.startswith("/") and "\0" not in path), None)
    toolchain = intern(toolchain) if toolchain else None
    prefix = _PREFIX.match(toolchain) if toolchain else None
    version = clean(said.triton_version, 64) if said.triton_version else None
    environment = clean(prefix[1], 1024) if prefix else None
    producer = _producers.get((version, environment))
    if producer is None:
        if len(_producers) > 10_000:
            _producers.clear()
        producer = _producers[version, environment] = Producer(triton=version, environment=environment)
    return producer, toolchain


def _json(inner: int, name: str, files: dict[str, os.stat_result]) -> bytes:
    """A small file, as long as it was when listed. Raises OSError or ValueError."""
    if name not in files:
        raise ValueError(f"{name} is no regular file")
    return read_bounded(name, min(files[name].st_size, METADATA_MOST), inner)


def _children(inner: int, group: str, files: dict[str, os.stat_result]) -> tuple[dict[str, str], str | None]:
    if files[group].st_size > METADATA_MOST:
        return {}, None  # Triton may well load what is too large to be looked into here
    try:
        children = _group(_json(inner, group, files)).child_paths
    except (OSError, ValueError, RecursionError):
        return {}, f"its group file {clean(group, 200)} cannot be read, so the entry is never loaded"
    return (children if len(children) <= _CHILDREN_MOST else {}), None


def _elsewhere(children: dict[str, str], folder: int, place: str, key: str, ground: Ground) -> str | None:
    """The folder the group file points to, when that is certainly not this one."""
    home = os.path.normpath(os.path.join(place, key))
    for path in children.values():
        recorded = path.rpartition("/")[0]
        if recorded == home or os.path.normpath(recorded) == home:
            continue
        parent, base = os.path.split(recorded)
        if base == key and ground.same_folder(parent, folder) is not False:
            continue
        return recorded
    return None


def _missing(children: dict[str, str], files: dict[str, os.stat_result]) -> str | None:
    for name in children:
        if name not in files:
            return f"{clean(name, 200)}, which its group file names, is missing"
        if files[name].st_size == 0:
            return f"{clean(name, 200)} is empty"
    return None


def _machine_code(
    inner: int, name: str, files: dict[str, os.stat_result], broken: str | None
) -> tuple[str | None, str | None]:
    """(why the entry is broken, the SM in its cubin's header)."""
    if broken or name not in files:
        return broken, None
    try:
        return None, intern(cubin.read(name, inner).sm)
    except cubin.CubinError as error:
        return f"{clean(name, 200)} cannot be loaded: {error}", None
    except OSError:
        return None, None


def _build(files: dict[str, os.stat_result], stem: str, group: str) -> float | None:
    """From the first stage file to the group file, in ms; None when the times do not follow the stages."""
    times = [files[name].st_mtime_ns for stage in STAGES if (name := f"{stem}.{stage}") in files]
    times.append(files[group].st_mtime_ns)
    if len(times) < 3 or any(later < earlier for earlier, later in itertools.pairwise(times)):
        return None
    return (times[-1] - times[0]) / 1e6 or None


def _nvrtc(entry: Entry, folder: int, name: str) -> Facts:
    if entry.part != "sass" or entry.state != "complete":
        return Facts(witness=name)
    try:
        handle = open_quietly(name, folder)
    except OSError:
        return Facts(witness=name)
    try:
        return Facts(witness=name, code_sm=cubin.read_fd(handle).sm)
    except cubin.CubinError as error:
        return Facts(witness=name, broken=f"it cannot be loaded: {error}")
    except OSError as error:
        return Facts(witness=name, broken=None if error.errno is None else f"it cannot be read: {why(error)}")
    finally:
        os.close(handle)


def _source(inner: int, stem: str, files: dict[str, os.stat_result]) -> str | None:
    """The file that an Inductor kernel was generated into, by which its configurations are compared."""
    for name in (f"{stem}.source", f"{stem}.ttir"):
        if name in files:
            try:
                hit = _LOCATION.search(read_bounded(name, _LOCATION_WITHIN, inner))
            except (OSError, ValueError):
                continue
            if hit:
                return hit[1].decode("utf-8", "replace")
    return None


def _pickles(folder: int, key: str) -> Facts:
    """A graph's Triton release, build time and kernels: searched in its bytes, never unpickled."""
    inner = open_folder(key, folder)
    if inner is None:
        return _NOTHING
    try:
        names = sorted(name for name in os.listdir(inner) if not name.startswith("."))
        for name in names[:1]:
            raw = read_bounded(name, _PICKLE_MOST, inner)
            hit = _TRITON_VERSION.search(raw)
            producer = Producer(triton=hit[1].decode()) if hit else UNKNOWN_PRODUCER
            uses = dict.fromkeys(one.decode() for one in itertools.islice(_KEYS.findall(raw), _USES_MOST))
            return Facts(
                producer=producer,
                build_milliseconds=_build_of(raw),
                uses=tuple(uses),
                witness=name,
                within=True,
            )
    except (OSError, ValueError, RecursionError):
        pass
    finally:
        os.close(inner)
    return _NOTHING


def _build_of(raw: bytes) -> float | None:
    """Milliseconds out of the pickled `_time_taken_ns`: the name, its memo, then an int of four or of n bytes."""
    place = raw.find(_TIME_TAKEN)
    if place < 0:
        return None
    place += len(_TIME_TAKEN)
    code = raw[place : place + 1]
    if code == b"J":
        value = raw[place + 1 : place + 5]
    elif code == b"\x8a":
        value = raw[place + 2 : place + 2 + min(raw[place + 1], 8)] if len(raw) > place + 1 else b""
    else:
        return None
    return max(0, int.from_bytes(value, "little", signed=True)) / 1e6 or None


def _autotune(folder: int, stem: str) -> Facts:
    """The configuration that an Inductor autotuning noted as the best."""
    try:
        said = _best(read_bounded(f"{stem}.best_config", METADATA_MOST, folder))
    except (OSError, ValueError, RecursionError):
        return _NOTHING
    return Facts(winner=said.triton_cache_hash)
