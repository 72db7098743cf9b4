"""What the headers of weight files say, as frozen records."""

from __future__ import annotations

import math

from cachetop.base.record import Record

MOST_TENSORS = 200_000
"""Tensors of one file; with more it is not read. The models with the most have some hundred thousand in all."""


class Tensor(Record, frozen=True, gc=False):
    """One tensor: its type as the file writes it (`BF16`, `Q4_K`), its shape, its bytes, the file it is in."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    file: str

    @property
    def elements(self) -> int:
        """How many numbers it holds; what packed types unpack to is not told by a header."""
        return math.prod(self.shape)


class Header(Record, frozen=True):
    """The tensors of one file, and what it says about the model."""

    tensors: tuple[Tensor, ...]
    architecture: str | None = None


class Weights(Record, frozen=True):
    """One set of weights: a file, or the shards of one. `chosen`: it counts in the repo's parameters."""

    name: str
    format: str
    files: tuple[str, ...]
    parameters: int | None
    """Elements of its tensors; None when a shard is missing or cannot be read."""
    size: int | None
    """Bytes of its tensors, which is what they take in memory as stored."""
    dtypes: dict[str, int]
    """Elements by type."""
    chosen: bool
    problem: str | None = None


class Unreadable(Exception):
    """A header that makes no sense; the message is a sentence without its full stop."""
