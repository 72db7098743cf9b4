"""Reading `events.jsonl`: one JSON object a line, appended while a job runs.

Whoever writes may be killed in the middle of a line, and the file may lie on a network file system where
nothing is announced; so it is read by polling, a torn last line waits for its end, and a line that is no
JSON object with an `event` is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cachetop.base.files import open_quietly
from cachetop.base.hostile import show

Event = dict[str, Any]
LONGEST_LINE = 1 << 20
"""Bytes. A longer line is no event of ours: it is dropped instead of filling memory."""
_CHUNK = 1 << 20


class Tail:
    """The lines of one events file as they come. The file need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._torn = b""
        self._skipping = False

    def poll(self, most: int | None = None) -> list[Event]:
        """The events whose lines became whole since the last call, oldest first; empty when there are none.

        With `most`, reading stops after about that many bytes and the next call goes on from there.
        """
        try:
            descriptor = open_quietly(str(self.path))
        except OSError:
            return []
        events: list[Event] = []
        try:
            if os.fstat(descriptor).st_size < self._offset:  # written anew: start over
                self._offset, self._torn, self._skipping = 0, b"", False
            left = most if most is not None else 1 << 62
            while left > 0 and (chunk := os.pread(descriptor, min(_CHUNK, left), self._offset)):
                self._offset += len(chunk)
                left -= len(chunk)
                events += self._lines(chunk)
        except OSError:
            pass  # what was read stands; the next call tries again from there
        finally:
            os.close(descriptor)
        return events

    def _lines(self, chunk: bytes) -> Iterator[Event]:
        *whole, rest = (self._torn + chunk).split(b"\n")
        for line in whole:
            if self._skipping:
                self._skipping = False
            elif (event := parse(line)) is not None:
                yield event
        if len(rest) > LONGEST_LINE:
            self._skipping, rest = True, b""
        self._torn = rest


def parse(line: bytes) -> Event | None:
    """One line as an event; None when it is not a JSON object that names its event."""
    if not line.strip() or len(line) > LONGEST_LINE:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def read(path: Path) -> Iterator[Event]:
    """The events that are in the file now, oldest first. A missing file has none."""
    tail = Tail(path)
    while True:
        before = tail._offset
        yield from tail.poll(_CHUNK)
        if tail._offset == before:
            return


def last(path: Path, name: str, within: int = 1 << 16) -> Event | None:
    """The last event called `name` among the final `within` bytes of the file; None when it is not there."""
    try:
        descriptor = open_quietly(str(path))
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, within, max(0, size - within))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    for line in reversed(tail.split(b"\n")[:-1]):
        if name.encode() in line and (event := parse(line)) is not None and event["event"] == name:
            return event
    return None


def masked(event: Event) -> Event:
    """The event with whatever looks like a credential in its sentences masked."""
    said = {key: show(event[key]) for key in ("message", "hint", "reason") if isinstance(event.get(key), str)}
    return {**event, **said}


def public(event: Event) -> str:
    """An event as one line of ASCII JSON, `masked`."""
    return json.dumps(masked(event), separators=(", ", ": "))
