"""What a build by ninja leaves behind (torch.utils.cpp_extension, FlashInfer): build.ninja, .ninja_log, a library.

build.ninja holds the compiler's flags: for which GPUs (`gencode`), and the headers of the torch (or FlashInfer) it
was built against, which tell the environment. `.ninja_log` has a line per output: start and end in ms from the start
of that run, time stamp, path, hash of the command (https://ninja-build.org/manual.html#ref_log).
"""

from __future__ import annotations

import os
import re
import stat
import struct
from dataclasses import dataclass

from cachetop.base.files import open_quietly, read_bounded
from cachetop.base.hostile import clean
from cachetop.kernelcache import gencode

_BUILD_MOST = 1 << 18
_LOG_MOST = 1 << 18
_HEADERS = re.compile(
    rb"-(?:isystem |I)((/[^\s$]{1,1024})/lib(?:64)?/python(3\.\d{1,2})t?/(?:site|dist)-packages"
    rb"/(?:torch|flashinfer/data)/include)\s"
)
_OUTPUT = re.compile(rb"^default (/[^\s$]{1,4096})$", re.MULTILINE)
_LINE = re.compile(rb"^(\d{1,12})\t(\d{1,12})\t-?\d{1,20}\t([^\t\n]{1,4096})\t[0-9a-f]{1,32}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Build:
    """What a build.ninja says: `codes` as `gencode.asked`; those headers with the environment (raw, not cleaned) and
    the release of Python they lie in; the library's absolute path, where it names one."""

    codes: tuple[str, ...] = ()
    headers: str | None = None
    environment: str | None = None
    python: str | None = None
    output: str | None = None


def read(folder: int) -> Build:
    """The build.ninja in the open `folder`; empty where there is none."""
    try:
        raw = read_bounded("build.ninja", _BUILD_MOST, folder)
    except (OSError, ValueError):
        return Build()
    headers, output = _HEADERS.search(raw), _OUTPUT.search(raw)
    return Build(
        gencode.found(raw),
        os.fsdecode(headers[1]) if headers else None,
        os.fsdecode(headers[2]) if headers else None,
        headers[3].decode() if headers else None,
        os.fsdecode(output[1]) if output else None,
    )


def milliseconds(folder: int) -> float | None:
    """How long the build took: from the first step's start to the last one's end, of the newest line for each output.

    None where the log is missing or its steps are of several runs, which each count from zero.
    """
    try:
        raw = read_bounded(".ninja_log", _LOG_MOST, folder)
    except (OSError, ValueError):
        return None
    steps: dict[bytes, tuple[int, int]] = {}
    for line in _LINE.finditer(raw):
        if line[3] in steps:
            return None
        steps[line[3]] = int(line[1]), int(line[2])
    took = max((end for _, end in steps.values()), default=0) - min((start for start, _ in steps.values()), default=0)
    return float(took) if took > 0 else None


def fault(name: str, folder: int) -> str | None:
    """Why the library `name` in the open `folder` cannot be loaded: it is empty, no ELF file, or cut off. None when it
    is whole as far as its headers tell, or cannot be read."""
    try:
        handle = open_quietly(name, folder)
    except OSError:
        return None
    try:
        about = os.fstat(handle)
        head = os.pread(handle, 64, 0)
        if not stat.S_ISREG(about.st_mode):
            return None
        ends = _ends(head, handle)
    except OSError:
        return None
    finally:
        os.close(handle)
    shown = clean(name, 200)
    if not head:
        return f"{shown} is empty"
    if ends is None:
        return f"{shown} is no ELF file"
    return f"{shown} is {about.st_size} bytes long, its header says {ends}" if ends > about.st_size else None


def _ends(head: bytes, handle: int) -> int | None:
    """Where an ELF64 file ends at least: after its section table and its segments; None for no ELF64 file."""
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2 or head[5] != 1:
        return None
    programs, table = struct.unpack_from("<QQ", head, 32)
    size, count, entry, sections = struct.unpack_from("<HHHH", head, 54)
    ends = [64, table + entry * sections]
    if size == 56 and count <= 256:
        raw = os.pread(handle, size * count, programs)
        for offset in range(0, len(raw) - 55, 56):
            start, length = struct.unpack_from("<8xQ16xQ", raw, offset)
            ends.append(start + length)
    return int(max(ends))
