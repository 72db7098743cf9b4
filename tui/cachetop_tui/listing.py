"""Very many rows of which only those in sight are ever made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import cast, overload

from cachetop_tui.marks import Row

_NEAR = 64


class Listing(Sequence[Row]):
    """Rows one after the other: single ones, and runs of subjects that a function makes into rows when asked."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: list[tuple[Sequence[object], Callable[[object], Row], Callable[[object], str]]] = []
        self._length = 0

    def add(self, *rows: Row) -> None:
        """Add rows that are made already."""
        self.run(rows, _itself, _key)

    def run(self, subjects: Sequence[object], make: Callable[..., Row], key: Callable[..., str]) -> None:
        """Add a row for each of `subjects`; `key` says which key it has without making it."""
        if subjects:
            self._starts.append(self._length)
            self._runs.append((subjects, make, key))
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
        subjects, make, _ = self._runs[run]
        return make(subjects[index - self._starts[run]])

    @property
    def made(self) -> list[Row]:
        """The rows that were added as such: of the others nobody has seen all."""
        return [row for subjects, make, _ in self._runs if make is _itself for row in cast(Sequence[Row], subjects)]

    def place(self, wanted: str) -> int | None:
        """Where the row with the key `wanted` is, at the price of a comparison a row."""
        for start, (subjects, _, key) in zip(self._starts, self._runs, strict=True):
            for index, subject in enumerate(subjects, start):
                if key(subject) == wanted:
                    return index
        return None


def find(rows: Sequence[Row], key: str | None, near: int | None) -> int | None:
    """Where the row with `key` is; the rows around index `near`, where it was, are looked at first."""
    if key is None:
        return None
    tried = range(0)
    if near is not None:
        tried = range(max(0, near - _NEAR), min(len(rows), near + _NEAR))
        for index in sorted(tried, key=lambda one: abs(one - near)):
            if rows[index].key == key:
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
    above = (one for one in range(index - 1, -1, -1) if rows[one].depth < rows[index].depth and not rows[one].fixed)
    return next(above, None)


def _itself(row: Row) -> Row:
    return row


def _key(row: Row) -> str:
    return row.key
