"""What a kernel takes of a GPU, read from its cubin without NVIDIA's tools.

The attributes lie in `.nv.info` (per function, with the function's symbol index) and `.nv.info.<kernel>`: a byte
of format, a byte of attribute, two bytes of value or of length. Checked against `cuobjdump
--dump-resource-usage`, `ptxas -v` and the instructions that nvdisasm prints, for both CUDA ABIs.

| value | where |
|---|---|
| registers per thread | attribute 0x2f |
| stack, bytes per thread | 0x12 (smallest stack), else 0x11 (frame) |
| spills, instructions | 0x55: eight bytes each; its length is stored modulo 65,536, which the code itself resolves |
| static shared memory, bytes per block | size of `.nv.shared.<kernel>`; from sm_90 on the system reserves 1,024 of it |
| threads per block | 0x10 (required), else 0x05 (at most) |
| barriers per block | ABI 8: 0x4c; before: bits 20-26 of the flags of `.text.<kernel>` |
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from cachetop.base.files import open_quietly
from cachetop.base.record import Record
from cachetop.kernelcache.cubin import CubinError, Layout, layout, text_at

_REGISTERS, _FRAME, _STACK, _SPILLS, _THREADS, _THREADS_MOST, _BARRIERS = 0x2F, 0x11, 0x12, 0x55, 0x10, 0x05, 0x4C
_INFO_MOST = 1 << 20
_SYMBOLS_MOST = 1 << 20
_CODE_MOST = 1 << 26
_FUNCTIONS_MOST = 64
_SYMBOL = struct.Struct("<IBBHQQ")
_LOCAL_LOAD, _LOCAL_STORE = 0x983, 0x387
_INSTRUCTION = struct.Struct("<H14x")
_WRAP = 8192


class Resources(Record, frozen=True):
    """What one block or thread of a kernel takes. Bytes, except registers, threads, barriers, spill instructions.

    `shared_dynamic` is asked for at launch and stands in the metadata only: None when that does not tell.
    """

    registers: int | None = None
    stack: int | None = None
    spills: int | None = None
    shared_static: int | None = None
    shared_dynamic: int | None = None
    threads: int | None = None
    barriers: int | None = None


def read(path: str, kernel: str | None = None, dir_fd: int | None = None) -> Resources:
    """The resources of `kernel` in the cubin at `path`; without a name, of the only one.

    Raises OSError, and CubinError for what is no whole cubin or does not hold that kernel.
    """
    fd = open_quietly(path, dir_fd)
    try:
        found = layout(fd)
        names = [one.name.removeprefix(".text.") for one in found.sections if one.name.startswith(".text.")]
        if kernel not in names:
            if len(names) != 1:
                raise CubinError(f"it holds {len(names)} functions and none of that name")
            kernel = names[0]
        return _of(found, kernel)
    finally:
        os.close(fd)


def every(path: str, dir_fd: int | None = None) -> tuple[tuple[str, Resources], ...]:
    """(name, resources) of every function in the cubin at `path`, at most 64 of them. Raises OSError and CubinError."""
    fd = open_quietly(path, dir_fd)
    try:
        found = layout(fd)
        names = [one.name.removeprefix(".text.") for one in found.sections if one.name.startswith(".text.")]
        return tuple((name, _of(found, name)) for name in sorted(names)[:_FUNCTIONS_MOST])
    finally:
        os.close(fd)


def _of(found: Layout, kernel: str) -> Resources:
    shared = _values(found, ".nv.info", _symbol(found, kernel))
    own = _values(found, f".nv.info.{kernel}", None)
    code = found.section(f".text.{kernel}")
    memory = found.section(f".nv.shared.{kernel}")
    barriers: int | None = None
    if found.abi >= 8:
        counted = own.get(_BARRIERS, 0)
        barriers = counted & 0xFF if isinstance(counted, int) else None
    elif code is not None:
        barriers = code.flags >> 20 & 0x7F
    return Resources(
        registers=_number(shared.get(_REGISTERS), 4),
        stack=_number(shared.get(_STACK, shared.get(_FRAME)), 4),
        spills=_spills(found, kernel, own.get(_SPILLS)),
        shared_static=memory.size if memory else 0,
        threads=_product(own.get(_THREADS, own.get(_THREADS_MOST))),
        barriers=barriers,
    )


def _values(found: Layout, section: str, symbol: int | None) -> dict[int, int | bytes]:
    """The attributes in one section; of those that begin with a symbol's index only the ones of `symbol`."""
    place = found.section(section)
    if place is None:
        return {}
    values: dict[int, int | bytes] = {}
    for attribute, value in _attributes(found.bytes_of(place, _INFO_MOST)):
        if symbol is not None and (not isinstance(value, bytes) or _number(value, 0) != symbol):
            continue
        values.setdefault(attribute, value)
    return values


def _attributes(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(attribute, value) one after the other, up to the first thing that is none."""
    place = 0
    while place + 4 <= len(raw):
        form, attribute, value = struct.unpack_from("<BBH", raw, place)
        place += 4
        if form == 4:
            if place + value > len(raw):
                return
            yield attribute, raw[place : place + value]
            place += value
        elif form in (1, 2, 3):
            yield attribute, value
        else:
            return


def _symbol(found: Layout, kernel: str) -> int:
    """The index of the kernel's symbol. Raises CubinError."""
    table = found.section(".symtab")
    if table is not None and table.link < len(found.sections):
        names = found.bytes_of(found.sections[table.link], _SYMBOLS_MOST)
        raw = found.bytes_of(table, _SYMBOLS_MOST)
        for index, row in enumerate(_SYMBOL.iter_unpack(raw[: len(raw) // _SYMBOL.size * _SYMBOL.size])):
            if row[1] & 0xF == 2 and text_at(names, row[0]) == kernel:
                return index
    raise CubinError("its symbol table does not name the kernel")


def _number(value: int | bytes | None, offset: int) -> int | None:
    if not isinstance(value, bytes) or len(value) < offset + 4:
        return None
    return int(struct.unpack_from("<I", value, offset)[0])


def _product(value: int | bytes | None) -> int | None:
    """Threads per block from three sizes."""
    if not isinstance(value, bytes) or len(value) < 12:
        return None
    x, y, z = struct.unpack_from("<III", value)
    total = int(x * y * z)
    return total if 0 < total <= 1024 else None


def _spills(found: Layout, kernel: str, records: int | bytes | None) -> int | None:
    """How many instructions spill or refill: eight bytes each, whose number wraps at 8,192.

    A wrapped number is put right by the loads and stores of local memory, each 16 bytes with its opcode in the
    low twelve bits, that the code holds. Before sm_70 instructions are shorter: there it stays unknown.
    """
    noted = len(records) // 8 if isinstance(records, bytes) else 0
    code = found.section(f".text.{kernel}")
    if code is None or code.size > _CODE_MOST:
        return None
    if code.size // 8 < _WRAP:
        return noted
    if found.abi < 8 and found.flags & 0xFF < 70:
        return None
    raw = found.bytes_of(code, _CODE_MOST)
    local = sum(
        word[0] & 0xFFF in (_LOCAL_LOAD, _LOCAL_STORE) for word in _INSTRUCTION.iter_unpack(raw[: len(raw) & ~15])
    )
    return noted + max(0, local - noted) // _WRAP * _WRAP
