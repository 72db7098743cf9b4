"""The members of a JSON object of many megabytes, a part at a time.

One call over all of it would hold up every other thread for tenths of a second, and take many times its size in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

OBJECTS: Final = re.compile(rb'\}(\s*,)(?=\s*")')
"""Between two members whose values are objects."""
STRINGS: Final = re.compile(rb'"(\s*,)(?=\s*")')
"""Between two members whose values are strings."""


class TooLong(ValueError):
    """A single member that is too long to be read."""


PART: Final = 256 << 10
"""Bytes of a part, at least, where there are so many."""
MOST: Final = 4 << 20
"""Bytes of a single member; one that is longer is not read."""


def in_parts(
    read: Callable[[int, int], bytes], start: int, end: int, between: re.Pattern[bytes], decode: Callable[[bytes], T]
) -> Iterator[T]:
    """What `decode` makes of the object's members, many at a time and each time in braces again.

    `read(at, count)` gives bytes; the members lie from `start` up to `end`, without the braces around them. `between`
    finds a place to cut. Whether it is one, `decode` tells: what was cut within a string, an array or an object does
    not end where it should. Raises msgspec.MsgspecError where it makes no sense, and TooLong.
    """
    while start < end:
        size = PART
        while True:
            raw = read(start, min(2 * size, end - start))
            whole = start + len(raw) >= end
            cut = between.search(raw, min(size, len(raw)))
            if cut is None and not whole and 2 * size >= MOST:
                raise TooLong(f"one part of it alone is more than {MOST >> 20} MiB")
            if cut is not None or whole:
                try:
                    made = decode(b"{" + raw[: cut.start(1) if cut else len(raw)] + b"}")
                    break
                except msgspec.MsgspecError:
                    if 2 * size >= MOST or (whole and cut is None):
                        raise
            size *= 2
        yield made
        start = start + cut.end() if cut else end
