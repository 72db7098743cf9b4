"""A process that helps to scan: reads the repos it is told to and sends what lies in them.

Started by `hub.helper`, with the open cache root as an inherited descriptor. It writes nothing but its answers, opens
nothing but plain names below that root, and ends with whoever started it: its input ends, or nobody takes its answers.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import BinaryIO

import msgspec

from cachetop._version import __version__
from cachetop.hub.contents import Blob, Contents, Place, Unwieldy
from cachetop.hub.folder import read
from cachetop.hub.names import Names
from cachetop.hub.part import Left, read_files, read_folder
from cachetop.hub.sent import HEAD, Batch, Start, message, pack
from cachetop.hub.together import EACH


class _AnyPayload(Mapping[str, Blob]):
    """A shared store that has whatever is asked for: who asked knows the real one, and looks there."""

    def __init__(self) -> None:
        self._made: dict[str, Blob] = {}

    def __getitem__(self, payload: str) -> Blob:
        return self._made.setdefault(payload, Blob(0, 0, 0, 0, 1, 0.0, 0.0, payload))

    def __contains__(self, payload: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def main() -> None:
    """Answer on standard output what comes on standard input, until that ends."""
    gc.disable()  # nothing made here is garbage before it is sent, and then it goes by itself
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        start = msgspec.msgpack.decode(_next(asked), type=Start)
        if start.version != __version__:
            return
        place = Place(start.root, _AnyPayload(), tuple(map(os.fsdecode, start.roots)), Names(), EACH)
        while True:
            answers.write(_answer(place, msgspec.msgpack.decode(_next(asked), type=Batch)))
            answers.flush()
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # without flushing what nobody takes


def _next(stream: BinaryIO) -> bytes:
    head = stream.read(HEAD)
    length = int.from_bytes(head, "big")
    raw = stream.read(length)
    if len(head) < HEAD or len(raw) < length:
        raise EOFError
    return raw


def _answer(place: Place, batch: Batch) -> bytes:
    names, inside = [os.fsdecode(name) for name in batch.names], os.fsdecode(batch.inside)
    if batch.files:
        return message(_sent(batch.first, partial(read_files, place, inside, names)))
    reading = partial(read_folder, place, inside) if inside else partial(read, place)
    return message([each for number, name in enumerate(names, batch.first) for each in _sent(number, reading, name)])


def _sent(number: int, reading: Callable[..., Contents], *name: str) -> list[msgspec.Raw]:
    """What to send of a reading; nothing where whoever asked does it himself, and says what is wrong with it."""
    try:
        packed = pack(number, reading(*name))
        return [msgspec.Raw(msgspec.msgpack.encode(packed))] if packed else []
    except (OSError, Unwieldy, Left, UnicodeEncodeError):
        return []
