"""A process that helps to scan: reads the repos it is told to and sends what lies in them.

Started by `hub.helper`, with the open cache root as an inherited descriptor. It writes nothing but its answers, opens
nothing but plain names below that root, and ends with whoever started it: its input ends, or nobody takes its answers.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import msgspec

from cachetop.hub.contents import Blob
from cachetop.hub.folder import Place, Unwieldy, read
from cachetop.hub.names import Names
from cachetop.hub.sent import HEAD, Batch, Start, message, pack

_MOST_BLOBS = 20_000
"""A repo with more of them is not sent: taking it in at once would hold up every thread of whoever asked."""


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
        place = Place(start.root, _AnyPayload(), tuple(map(os.fsdecode, start.roots)), Names(), _MOST_BLOBS)
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
    sent = []
    for number, folder in enumerate(batch.folders, batch.first):
        try:
            packed = pack(number, read(place, os.fsdecode(folder)))
            if packed is not None:
                sent.append(msgspec.Raw(msgspec.msgpack.encode(packed)))
        except (OSError, Unwieldy, UnicodeEncodeError):
            pass  # who asked reads it himself, and says what is wrong with it
    return message(sent)
