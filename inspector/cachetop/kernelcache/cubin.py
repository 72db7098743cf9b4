"""What a cubin says about itself: its SM, the CUDA release that made it, whether it is whole.

A cubin is an ELF64 file with e_machine EM_CUDA (190). Two CUDA ABIs exist, told apart by EI_ABIVERSION and
not by SM, since CUDA 13 writes the newer one for every SM:

| ABI | SM in e_flags | `a` variant |
|---|---|---|
| 7 and older | bits 0-7 | bit 0x800 |
| 8 | bits 8-15 | bit 0x8 (CUDA 12.8 and 12.9 only), else `-arch` in `.note.nv.tkinfo` |

Checked against ptxas 12.4 to 13.3 and NVRTC 13.0. Only `struct` is used, and nothing is trusted: every
offset is checked against the file's size and every count is bounded.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass

from cachetop.base.files import open_quietly

_EM_CUDA = 190
NOBITS = 8
_HEADER = 64
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SECTIONS_MOST = 4096
_NAMES_MOST = 1 << 20
_NOTE_MOST = 1 << 14
_ARCH = re.compile(rb"-arch[= ]sm_(\d{2,3})([af]?)\b")
_RELEASE = re.compile(rb"release (\d{1,3}\.\d{1,3})")


class CubinError(ValueError):
    """The bytes are no cubin, or not a whole one; the message says why."""


@dataclass(frozen=True, slots=True)
class Cubin:
    """`sm` with its variant (`sm_90a`), `abi` the CUDA ABI, `cuda` the release of the tool where it says so."""

    sm: str
    abi: int
    cuda: str | None


def read(path: str, dir_fd: int | None = None) -> Cubin:
    """Read the headers of the cubin at `path`. Raises OSError, and CubinError for anything but a whole cubin."""
    fd = open_quietly(path, dir_fd)
    try:
        return read_fd(fd)
    finally:
        os.close(fd)


def read_fd(fd: int) -> Cubin:
    """As `read`, from an open descriptor, whose position it leaves alone."""
    found = layout(fd)
    note = found.section(".note.nv.tkinfo")
    tool = found.bytes_of(note, _NOTE_MOST) if note else b""
    return _decode(found.abi, found.flags, found.version, tool)


@dataclass(frozen=True, slots=True)
class Section:
    """One section header: type and flags as in ELF, offset and size in bytes, `link` another section's index."""

    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The checked headers of a whole cubin, open as `fd`: every section lies within the file."""

    fd: int
    abi: int
    flags: int
    version: int
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((one for one in self.sections if one.name == name), None)

    def bytes_of(self, section: Section, most: int) -> bytes:
        """At most `most` first bytes of a section; none for one that takes no room in the file."""
        if section.type == NOBITS:
            return b""
        return os.pread(self.fd, min(section.size, most), section.offset)


def layout(fd: int) -> Layout:
    """Check the headers of the cubin open as `fd`. Raises OSError, and CubinError for anything but a whole cubin."""
    size = os.fstat(fd).st_size
    head = os.pread(fd, _HEADER, 0)
    if not head:
        raise CubinError("the file is empty")
    if head[:4] != b"\x7fELF":
        raise CubinError("it is no ELF file")
    if len(head) < _HEADER:
        raise CubinError(f"it ends after {len(head)} bytes, within the ELF header")
    if head[4] != 2 or head[5] != 1:
        raise CubinError("it is no little-endian ELF64 file")
    machine, version, programs, table, flags = struct.unpack_from("<2xHI8xQQI", head, 16)
    program_size, program_count, entry_size, count, names_index = struct.unpack_from("<HHHHH", head, 54)
    if machine != _EM_CUDA:
        raise CubinError(f"it is no cubin (ELF machine {machine}, not {_EM_CUDA})")
    if count and entry_size != _SECTION.size:
        raise CubinError(f"its section headers are {entry_size} bytes long, not {_SECTION.size}")
    ends = max(table + count * entry_size, programs + program_count * program_size)
    if ends > size:
        raise CubinError(f"it is {size} bytes long, its header tables end at {ends}")
    rows = _rows(fd, table, min(count, _SECTIONS_MOST))
    for row in rows:
        if row[1] != NOBITS and row[4] + row[5] > size:
            raise CubinError(f"it is {size} bytes long, one of its sections ends at {row[4] + row[5]}")
    names = b""
    if names_index < len(rows) and rows[names_index][1] != NOBITS:
        names = os.pread(fd, min(rows[names_index][5], _NAMES_MOST), rows[names_index][4])
    sections = tuple(Section(text_at(names, row[0]), row[1], row[2], row[4], row[5], row[6]) for row in rows)
    return Layout(fd, head[8], flags, version, sections)


def text_at(table: bytes, offset: int) -> str:
    """The zero-ended text at `offset` of a string table; empty where there is none. At most 4 KiB are taken."""
    end = table.find(b"\0", offset, offset + 4096)
    return table[offset:end].decode("utf-8", "replace") if 0 <= offset <= end else ""


def _rows(fd: int, table: int, count: int) -> list[tuple[int, ...]]:
    raw = os.pread(fd, count * _SECTION.size, table)
    whole = len(raw) // _SECTION.size * _SECTION.size
    return list(_SECTION.iter_unpack(raw[:whole]))


def _decode(abi: int, flags: int, version: int, tool: bytes) -> Cubin:
    if abi >= 8:
        number, variant = flags >> 8 & 0xFF, "a" if flags & 0x8 else ""
        release = _RELEASE.search(tool)
        cuda = release[1].decode() if release else None
        said = _ARCH.search(tool)
        if said and int(said[1]) == number:
            variant = said[2].decode() or variant
    else:
        number, variant = flags & 0xFF, "a" if flags & 0x800 else ""
        cuda = f"{version // 10}.{version % 10}" if 20 <= version < 1000 else None
    if number < 10:
        raise CubinError(f"its flags 0x{flags:08x} name no SM")
    return Cubin(f"sm_{number}{variant}", abi, cuda)
