"""Very many rows of which only those in sight are ever made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from cachetop_tui.marks import Row

_NEAR = 64


class Listing(Sequence[Row]):
    """Rows one after the other: single ones, and runs of subjects that a function makes into rows when asked."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: list[tuple[Sequence[Any], Callable[..., Row], Callable[..., str], str]] = []
        self._length = 0

    def add(self, *rows: Row) -> None:
        """Add rows that are made already."""
        self.run(rows, _itself, _key)

    def run(self, subjects: Sequence[Any], make: Callable[..., Row], key: Callable[..., str], prefix: str = "") -> None:
        """Add a row for each of `subjects`, all equally deep; `prefix` and `key` say which key it has without making
        it."""
        if subjects:
            self._starts.append(self._length)
            self._runs.append((subjects, make, key, prefix))
            self._length += len(subjects)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self._at(n) for n in range(*index.indices(self._length))]
        if index < 0:
            index += self._length
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._at(index)

    def _at(self, index: int) -> Row:
        run = bisect_right(self._starts, index) - 1
        subjects, make, _, _ = self._runs[run]
        return make(subjects[index - self._starts[run]])

    def key(self, index: int) -> str:
        """The key of the row at `index`, which is not made for that."""
        run = bisect_right(self._starts, index) - 1
        subjects, _, key, prefix = self._runs[run]
        return prefix + key(subjects[index - self._starts[run]])

    @property
    def made(self) -> list[Row]:
        """The rows that were added as such: of the others nobody has seen all."""
        return [row for subjects, make, _, _ in self._runs if make is _itself for row in subjects]

    def place(self, wanted: str) -> int | None:
        """Where the row with the key `wanted` is, at the price of a comparison a row."""
        for start, (subjects, _, key, prefix) in zip(self._starts, self._runs, strict=True):
            if wanted.startswith(prefix):
                rest = wanted[len(prefix) :]
                for index, subject in enumerate(subjects, start):
                    if key(subject) == rest:
                        return index
        return None

    def above(self, index: int) -> Iterator[tuple[int, Row]]:
        """The rows above `index`, the nearest first; of a run only the first, since the others are as deep."""
        run = bisect_right(self._starts, index) - 1
        while run >= 0:
            start, single = self._starts[run], self._runs[run][1] is _itself
            for at in range((index if single else min(index, start + 1)) - 1, start - 1, -1):
                yield at, self._at(at)
            index, run = start, run - 1


def find(rows: Sequence[Row], key: str | None, near: int | None) -> int | None:
    """Where the row with `key` is; the rows around index `near`, where it was, are looked at first."""
    if key is None:
        return None
    tried = range(0)
    key_of = rows.key if isinstance(rows, Listing) else lambda index: rows[index].key
    if near is not None:
        tried = range(max(0, near - _NEAR), min(len(rows), near + _NEAR))
        for index in sorted(tried, key=lambda one: abs(one - near)):
            if key_of(index) == key:
                return index
    if isinstance(rows, Listing):
        return rows.place(key)
    return next((index for index in range(len(rows)) if index not in tried and rows[index].key == key), None)


def step(rows: Sequence[Row], start: int, by: int) -> int | None:
    """The nearest row from `start` on, in direction `by`, on which a cursor may stand."""
    while 0 <= start < len(rows):
        if not rows[start].fixed:
            return start
        start += by
    return None


def nearest(rows: Sequence[Row], wanted: int) -> int | None:
    """The row nearest to `wanted` on which a cursor may stand."""
    found = [step(rows, min(wanted, len(rows) - 1), -1), step(rows, wanted, 1)]
    return min((one for one in found if one is not None), key=lambda one: abs(one - wanted), default=None)


def parent(rows: Sequence[Row], index: int) -> int | None:
    """The row that the one at `index` belongs to: the nearest above that stands further left."""
    above = rows.above(index) if isinstance(rows, Listing) else ((one, rows[one]) for one in range(index - 1, -1, -1))
    depth = rows[index].depth
    return next((one for one, row in above if row.depth < depth and not row.fixed), None)


def _itself(row: Row) -> Row:
    return row


def _key(row: Row) -> str:
    return row.key
