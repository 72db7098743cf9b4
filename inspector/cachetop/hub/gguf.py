"""Headers of GGUF files: architecture, names, types and shapes of tensors, without reading a weight.

Format: ggml-org/ggml docs/gguf.md, versions 2 and 3, little endian; block sizes from ggml.c's `type_traits`.
"""

from __future__ import annotations

import math
import os
import struct

from cachetop.base.hostile import clean
from cachetop.hub.weights import Header, Tensor, Unreadable

_LIMIT = 256 << 20
_MOST_TENSORS = 200_000
_CHUNK = 1 << 20
_STRING, _ARRAY = 8, 9
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
}  # fmt: skip
"""Name, elements of a block, bytes of a block."""


class _Stream:
    """Reads forward through an open file, a large chunk at a time, up to a bound."""

    def __init__(self, descriptor: int, file: str) -> None:
        self._descriptor = descriptor
        self._file = file
        self._base = 0
        self._data = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            self.skip(0)
            self._data = os.pread(self._descriptor, max(_CHUNK, min(count, _LIMIT)), self._base)
            end = count
            if end > len(self._data):
                raise Unreadable(f"{self._file} is cut off within its header")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        if self._at + count <= len(self._data) and count:
            self._at += count
            return
        self._base += self._at + count
        self._data, self._at = b"", 0
        if self._base > _LIMIT:
            raise Unreadable(f"{self._file} has a header of more than {_LIMIT >> 20} MiB")

    def number(self, code: str) -> int:
        """The next integer; `I` of four bytes, `Q` of eight."""
        value: int = struct.unpack(f"<{code}", self.take(4 if code == "I" else 8))[0]
        return value

    def text(self) -> str:
        """The next string."""
        length = self.number("Q")
        if length > 1 << 20:
            raise Unreadable(f"{self._file} has a name of {length} bytes in its header")
        return clean(self.take(length))


def read(descriptor: int, file: str, size: int) -> Header:
    """The header of the open file, called `file`, of `size` bytes. Raises Unreadable and OSError."""
    stream = _Stream(descriptor, file)
    if stream.take(4) != b"GGUF":
        raise Unreadable(f"{file} is no GGUF file")
    version = stream.number("I")
    if version not in (2, 3):
        raise Unreadable(f"{file} is GGUF of version {version}, of which only 2 and 3 are known")
    count, pairs = stream.number("Q"), stream.number("Q")
    if count > _MOST_TENSORS or pairs > _MOST_TENSORS:
        raise Unreadable(f"{file} announces {count} tensors and {pairs} properties, which cannot be")
    architecture = None
    for _ in range(pairs):
        key, kind = stream.text(), stream.number("I")
        if key == "general.architecture" and kind == _STRING:
            architecture = stream.text()
        else:
            _pass(stream, kind, file)
    tensors = tuple(_tensor(stream, file) for _ in range(count))
    if sum(tensor.size for tensor in tensors) > size:
        raise Unreadable(f"{file} is cut off: its header announces more tensors than it has bytes")
    return Header(tensors=tensors, architecture=architecture)


def _pass(stream: _Stream, kind: int, file: str, depth: int = 0) -> None:
    """Pass over one metadata value."""
    if kind in _FIXED:
        stream.skip(_FIXED[kind])
    elif kind == _STRING:
        stream.skip(stream.number("Q"))
    elif kind == _ARRAY and depth < 4:
        inner, length = stream.number("I"), stream.number("Q")
        if inner in _FIXED:
            stream.skip(_FIXED[inner] * length)
        else:
            if length > _LIMIT // 8:
                raise Unreadable(f"{file} has a list of {length} items in its header")
            for _ in range(length):
                _pass(stream, inner, file, depth + 1)
    else:
        raise Unreadable(f"{file} has a header that makes no sense (a value of type {kind})")


def _tensor(stream: _Stream, file: str) -> Tensor:
    name, dimensions = stream.text(), stream.number("I")
    if dimensions > 8:
        raise Unreadable(f"{file} has a tensor of {dimensions} dimensions")
    shape = tuple(stream.number("Q") for _ in range(dimensions))
    kind = stream.number("I")
    stream.skip(8)
    elements = math.prod(shape)
    label, block, bytes_of = _TYPES.get(kind, (f"type {kind}", 1, 0))
    if elements >= 1 << 63:
        raise Unreadable(f"{file} has a tensor with an impossible shape")
    if not bytes_of:
        raise Unreadable(f"{file} has tensors of a type (number {kind}) that is not known")
    # the innermost dimension comes first in the file and last in a shape as everybody else writes it
    return Tensor(name=name, dtype=label, shape=shape[::-1], size=-(-elements // block) * bytes_of, file=file)
