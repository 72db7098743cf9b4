"""The files of one entry as stages, in the compiler's order, and their text: bounded, nothing followed, nothing run."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.base.record import Record
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.shelves import open_folder, opened
from cachetop.kernelcache.triton import STAGES

TEXT_MOST = 1 << 20
"""Bytes of a stage that are shown."""
TEXTS = ("source", "ttir", "ttgir", "llir", "ptx", "amdgcn", "json", "py", "cpp", "cu", "meta", "ninja", "best_config")
_FILES_MOST = 256


class Stage(Record, frozen=True):
    """One file of an entry. `milliseconds`: from the file before it to this one, where their times follow the order."""

    name: str
    file: str
    size: int
    milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a stage, ready to be shown line by line; `size` in bytes, `cut` when only the beginning is here."""

    stage: str
    lines: tuple[str, ...]
    size: int
    cut: bool


@dataclass(frozen=True, slots=True)
class File:
    """A regular file of an entry: its path below the folder that the entry lies in, bytes, mtime (ns), owner."""

    path: str
    size: int
    moment: int
    uid: int


def stage_text(entry: Entry, scanner: Scanner, stage: str, most: int = TEXT_MOST) -> Text:
    """The text of one stage of `entry`, cleaned line by line, at most `most` bytes of it.

    Raises ValueError with a sentence when the entry has no such stage or it is no text, OSError when it cannot be
    read, KeyError when the entry is not in the scanner's picture.
    """
    root, path, name = scanner.place(entry)
    with opened(root, path) as folder:
        found = {one.name: file for one, file in reversed(stages_of(files_of(folder, name)))} if folder else {}
        if folder is None or stage not in found:
            there = ", ".join(reversed(found)) or "none"
            raise ValueError(f"{entry.key} has no stage {clean(stage, 60)!r}; it has {there}")
        if stage not in TEXTS:
            raise ValueError(f"{stage} is no text")
        raw = read(folder, found[stage], most)
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
        stages = {one.name: file for one, file in stages_of(files_of(folder, name))} if folder else {}
        file = stages.get("cubin") or stages.get("sass")
        if folder is None or file is None:
            raise ValueError(f"{entry.key} holds no machine code of an NVIDIA GPU")
        if file.size > most:
            raise ValueError(f"the machine code of {entry.key} is {file.size} bytes long, more than {most}")
        return read(folder, file, most)


@contextmanager
def beside(folder: int, file: File) -> Iterator[tuple[int, str]]:
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


def read(folder: int, file: File, most: int) -> bytes:
    """The first bytes of a file of the entry. Raises OSError; ValueError for no regular file."""
    with beside(folder, file) as (near, name):
        return read_bounded(name, min(most, file.size), near)


def files_of(folder: int, name: str) -> list[File]:
    """The regular files of the entry `name`: those in its folder, or those beside each other with its stem."""
    found: list[File] = []
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


def _collect(folder: int, prefix: str, found: list[File], depth: int) -> None:
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


def _add(folder: int, name: str, path: str, found: list[File]) -> bool:
    try:
        about = os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    if not stat.S_ISREG(about.st_mode):
        return False
    found.append(File(path, about.st_size, about.st_mtime_ns, about.st_uid))
    return True


def stages_of(files: list[File], timed: bool = False) -> list[tuple[Stage, File]]:
    """The files that are stages, in the compiler's order, then the others; where their times mean that (`timed`),
    each with the time it took."""
    ranked: list[tuple[int, str, File]] = []
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
    out: list[tuple[Stage, File]] = []
    before: int | None = None
    for rank, name, file in ranked:
        took = (file.moment - before) / 1e6 if ordered and before is not None and rank < len(STAGES) else None
        before = file.moment
        shown = clean(file.path.rpartition("/")[2], 400)
        out.append((Stage(name=clean(name, 60), file=shown, size=file.size, milliseconds=took), file))
    return out
