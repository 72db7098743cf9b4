"""Headers of safetensors files: names, types and shapes of tensors, without reading a weight.

Format: huggingface/safetensors, README "Format": eight bytes with the length of a JSON object, that object, then
the data. A header is a stranger's file: bounded, checked against the file's size, and refused with a sentence.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence

import msgspec

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.turns import give_up, in_order, in_turns
from cachetop.hub import members
from cachetop.hub.weights import MOST_TENSORS, Header, Tensor, Unreadable

_LIMIT = 100_000_000
"""Bytes of a header; the safetensors library itself refuses more."""
_PADDING = 1 << 16
"""Bytes at the end of a header in which its closing brace is looked for: the format fills it up with spaces."""
_MOST = 1 << 63
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class _Entry(msgspec.Struct, gc=False):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_ENTRIES = msgspec.json.Decoder(dict[str, _Entry])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)


def read(descriptor: int, file: str, size: int) -> Header:
    """The header of the open file, called `file`, of `size` bytes. Raises Unreadable and OSError."""
    start = os.pread(descriptor, 8, 0)
    if len(start) < 8:
        raise Unreadable(f"{file} is shorter than a safetensors header")
    (length,) = struct.unpack("<Q", start)
    if length > min(_LIMIT, size - 8):
        raise Unreadable(f"{file} is cut off or no safetensors file: its header would be {length} bytes long")
    tensors: list[Tensor] = []
    places: list[tuple[int, int]] = []
    try:
        for entries in in_turns(_parts(descriptor, 8 + length)):
            for name, entry in in_turns(entries.items(), 64):
                tensors.append(_tensor(name, entry, file))
                places.append(entry.data_offsets)
            if len(tensors) > MOST_TENSORS:
                give_up(places)
                give_up(tensors)
                raise members.TooLong(f"it announces more than {MOST_TENSORS:,} tensors")
        end = _end(places)
    except members.TooLong as error:
        raise Unreadable(f"{file} has a header of {units.size(length)}, which is not read: {error}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"{file} has a header that makes no sense ({clean(str(error), 100)})") from None
    room = size - 8 - length
    if end > room:
        raise Unreadable(f"{file} is cut off: its header announces more tensors than it has bytes")
    if end < room:
        raise Unreadable(f"{file} has {room - end} bytes that belong to no tensor, which the format forbids")
    return Header(tensors=tuple(tensors))


def _parts(descriptor: int, end: int) -> Iterator[dict[str, _Entry]]:
    """The entries of the header that ends at `end`, many at a time."""
    last = max(9, end - _PADDING)
    tail = os.pread(descriptor, max(0, end - last), last).rstrip()
    if os.pread(descriptor, 1, 8) != b"{" or not tail.endswith(b"}"):
        raise ValueError("it is no JSON object")
    last += len(tail) - 1
    return members.in_parts(lambda at, count: os.pread(descriptor, count, at), 9, last, members.OBJECTS, _entries)


def _entries(raw: bytes) -> dict[str, _Entry]:
    """The same of one part. What is noted about the file stands among the tensors."""
    try:
        return _ENTRIES.decode(raw)
    except msgspec.ValidationError:
        found = _OBJECT.decode(raw)
        if found.pop("__metadata__", None) is None:
            raise
        return {name: _ENTRY.decode(entry) for name, entry in found.items()}


def _end(places: Sequence[tuple[int, int]]) -> int:
    """Where the last tensor ends. Raises ValueError unless each begins where another ends, as the format has it."""
    end = 0
    for begin, its_end in in_order(places):
        if begin != end:
            raise ValueError("tensors that overlap or leave a hole")
        end = its_end
    return end


def _tensor(name: str, entry: _Entry, file: str) -> Tensor:
    begin, end = entry.data_offsets
    elements = math.prod(entry.shape) if len(entry.shape) <= 64 and min(entry.shape, default=0) >= 0 else -1
    bits = _BITS.get(entry.dtype)
    if not 0 <= begin <= end < _MOST or not 0 <= elements < _MOST:
        raise ValueError("a tensor with an impossible shape or place")
    if bits is not None and elements * bits != (end - begin) * 8:
        raise ValueError("a tensor whose shape does not fit its bytes")
    return Tensor(name=clean(name), dtype=clean(entry.dtype, 20), shape=tuple(entry.shape), size=end - begin, file=file)
