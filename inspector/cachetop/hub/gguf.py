"""Headers of GGUF files: architecture, names, types and shapes of tensors, without reading a weight.

Format: ggml-org/ggml docs/gguf.md, versions 2 and 3, of either byte order; block sizes from ggml.c's `type_traits`.
How long a header is stands nowhere: what is read at once is what must still belong to it, so that no weight is.
"""

from __future__ import annotations

import math
import os
import struct

from cachetop.base.hostile import clean
from cachetop.base.turns import give_up, in_order
from cachetop.hub.weights import MOST_TENSORS, Header, Tensor, Unreadable

_LIMIT = 256 << 20
_MOST_ITEMS = 1 << 23
"""Strings in lists of a header, a nested list counted as eight of them."""
_CHUNK = 1 << 20
_PAGE = 4096
"""Whatever is read of a page, all of it comes into RAM."""
_PAIR, _TENSOR = 13, 24
"""Bytes that a property and a tensor take at least."""
_ALIGNMENT = 32
_UINT32, _STRING, _ARRAY = 4, 8, 9
_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value by its type."""
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Name, elements of a block, bytes of a block."""


class _Stream:
    """Reads forward through an open file, as much at once as is sure to belong to its header, up to a bound."""

    def __init__(self, descriptor: int, file: str) -> None:
        self.order = "<"
        self._descriptor = descriptor
        self._file = file
        self._base = 0
        self._data = b""
        self._at = 0
        self._sure = 0
        self._items = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._base + self._at

    def sure(self, count: int) -> None:
        """At least `count` more bytes belong to the header."""
        self._sure = max(self._sure, self.position + count)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._fill(count)
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        self._at += count
        if self.position > _LIMIT:
            raise Unreadable(f"{self._file} has a header of more than {_LIMIT >> 20} MiB")

    def number(self, code: str) -> int:
        """The next integer; `I` of four bytes, `Q` of eight."""
        value: int = struct.unpack(self.order + code, self.take(4 if code == "I" else 8))[0]
        return value

    def text(self) -> str:
        """The next string."""
        length = self.number("Q")
        if length > 1 << 20:
            raise Unreadable(f"{self._file} has a name of {length} bytes in its header")
        return clean(self.take(length))

    def skip_strings(self, count: int) -> None:
        """Pass over so many strings: the words of a tokenizer are some hundred thousand."""
        length_at = struct.Struct(self.order + "Q").unpack_from
        while count:
            self.sure(8 * count)
            self._fill(8)
            data, at = self._data, self._at
            last = len(data) - 8
            while count and at <= last:
                at += 8 + length_at(data, at)[0]
                count -= 1
            self._at = at
            self.skip(0)

    def spend(self, items: int) -> None:
        """Account for items of lists, each of which takes time."""
        self._items += items
        if self._items > _MOST_ITEMS:
            raise Unreadable(f"{self._file} has a list of {items} items in its header")

    def _fill(self, count: int) -> None:
        if self._at + count <= len(self._data):
            return
        start = self.position
        ahead = min(self._sure - start, _CHUNK)
        end = -(-(start + max(count, ahead)) // _PAGE) * _PAGE
        self._data, self._base, self._at = os.pread(self._descriptor, end - start, start), start, 0
        if count > len(self._data):
            raise Unreadable(f"{self._file} is cut off within its header")


def read(descriptor: int, file: str, size: int) -> Header:
    """The header of the open file, called `file`, of `size` bytes. Raises Unreadable and OSError."""
    stream = _Stream(descriptor, file)
    stream.sure(24)
    if stream.take(4) != b"GGUF":
        raise Unreadable(f"{file} is no GGUF file")
    raw = stream.take(4)
    version = int.from_bytes(raw, "little")
    if version & 0xFFFF == 0:  # written on a machine of the other byte order
        stream.order, version = ">", int.from_bytes(raw, "big")
    if version not in (2, 3):
        raise Unreadable(f"{file} is GGUF of version {version}, of which only 2 and 3 are known")
    count, pairs = stream.number("Q"), stream.number("Q")
    if count > MOST_TENSORS or pairs > MOST_TENSORS:
        raise Unreadable(f"{file} announces {count} tensors and {pairs} properties, which cannot be")
    architecture, alignment = None, _ALIGNMENT
    for left in range(pairs, 0, -1):
        stream.sure(left * _PAIR + count * _TENSOR)
        key, kind = stream.text(), stream.number("I")
        if key == "general.architecture" and kind == _STRING:
            architecture = stream.text()
        elif key == "general.alignment" and kind == _UINT32:
            alignment = stream.number("I") or 1
        else:
            _pass(stream, kind, file)
    found = []
    for left in range(count, 0, -1):
        stream.sure(left * _TENSOR)
        found.append(_tensor(stream, file))
    _check(found, size - -(-stream.position // alignment) * alignment, file)
    header = Header(tensors=tuple([tensor for tensor, _ in found]), architecture=architecture)
    give_up(found)
    return header


def _check(found: list[tuple[Tensor, int]], room: int, file: str) -> None:
    """Whether the tensors lie one after another in the `room` bytes after the header."""
    end = 0
    for begin, length in in_order([(offset, tensor.size) for tensor, offset in found]):
        if begin < end:
            raise Unreadable(f"{file} has tensors that overlap")
        end = begin + length
    if found and end > room:
        raise Unreadable(f"{file} is cut off: its header announces more tensors than it has bytes")


def _pass(stream: _Stream, kind: int, file: str, depth: int = 0) -> None:
    """Pass over one metadata value."""
    if kind in _FIXED:
        stream.skip(_FIXED[kind])
    elif kind == _STRING:
        stream.skip_strings(1)
    elif kind == _ARRAY and depth < 4:
        inner, length = stream.number("I"), stream.number("Q")
        if inner in _FIXED:
            stream.skip(_FIXED[inner] * length)
        elif inner == _STRING:
            stream.spend(length)
            stream.skip_strings(length)
        else:
            stream.spend(length * 8)
            for _ in range(length):
                _pass(stream, inner, file, depth + 1)
    else:
        raise Unreadable(f"{file} has a header that makes no sense (a value of type {kind})")


def _tensor(stream: _Stream, file: str) -> tuple[Tensor, int]:
    """One tensor, and where its data begins after the header."""
    name, dimensions = stream.text(), stream.number("I")
    if dimensions > 8:
        raise Unreadable(f"{file} has a tensor of {dimensions} dimensions")
    shape = tuple(stream.number("Q") for _ in range(dimensions))
    kind, offset = stream.number("I"), stream.number("Q")
    elements = math.prod(shape)
    label, block, bytes_of = _TYPES.get(kind, (f"type {kind}", 1, 0))
    if elements >= 1 << 63:
        raise Unreadable(f"{file} has a tensor with an impossible shape")
    if not bytes_of:
        raise Unreadable(f"{file} has tensors of a type (number {kind}) that is not known")
    # the innermost dimension comes first in the file and last in a shape as everybody else writes it
    size = -(-elements // block) * bytes_of
    return Tensor(name=name, dtype=label, shape=shape[::-1], size=size, file=file), offset
