"""Type to find: what has been typed, what a key does to it, and the places it leads to, folded away or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Final, NamedTuple

from cachetop_tui.cut import head
from cachetop_tui.marks import Line, Pen, Row

_TURN: Final = 0.004
"""Seconds of looking after which the event loop gets its turn again."""
_OFTEN: Final = 32
"""Places that are looked at between two looks at the clock."""
_STEPS: Final = {"down": 1, "up": -1, "f3": 1, "shift+f3": -1}
_ENTERS: Final = {"enter": 1, "shift+enter": -1}


class Place(NamedTuple):
    """Where something stands in a list, in sight or folded away."""

    key: str
    """That of its row."""
    label: str
    above: tuple[str, ...] = ()
    """The keys of the rows that must be unfolded for it to be seen."""
    start: int = 0
    """Where in the label its own name begins: what is before counts where somebody types a slash."""
    inside: int = 0
    """Where in the label the repo's name ends: what somebody types must go on beyond it."""


class Find:
    """What is being looked for in the places that `begin` brings, those nearest to the cursor first.

    They are looked through once, as far as need be: of what has the text so far the longer text is looked for.
    """

    def __init__(
        self, begin: Callable[[], Iterator[Place]], *, opens: bool = False, text: bool = False, last: str = ""
    ) -> None:
        self.text = ""
        self.left = False  # whether it was given up, so that the cursor goes back
        self.over = False  # whether the last key ended it
        self.missing = False  # whether no place has the text
        self._begin = begin
        self._opens = opens  # Enter is for the row that was found, as in VS Code's explorer
        self._reads = text  # Enter goes on to the next place, Esc leaves the cursor there
        self._last = last
        self._left: Iterator[Place] = iter(())
        self._all = True
        self._hits: list[Place] = []
        self._keys: set[str] = set()
        self._at = 0

    def take(self, key: str, character: str | None) -> int | None:
        """Take a key: 0 looks from here on, 1 and -1 for the next and the one before; None: it is not for finding."""
        if key == "escape":
            self.over, self.left = True, not self._reads
            return 0
        if key in _ENTERS and not self._opens:
            self.over = not self._reads
            if self._reads and not self.text and self._last:
                self._type(self._last)
                return 0
            return 0 if self.over else _ENTERS[key]
        if key == "backspace":
            self.look_for(self.text[:-1])
            return 0
        if key in _STEPS:
            return _STEPS[key]
        if character is not None and "+" not in key and (character != " " or (self._reads and self.text)):
            self._type(character)
            return 0
        self.over = True
        return None

    def look_for(self, text: str) -> None:
        """Look for this text, from where it began."""
        self.text, self._left, self._all = text, self._begin(), False
        self._hits, self._at = [], 0
        self._keys.clear()

    def _type(self, more: str) -> None:
        """Look for longer text: where the text so far is, and then on."""
        if not self.text or "/" in more or self._reads:  # more counts then; a text is short, and may be another by now
            return self.look_for(self.text + more)
        self.text += more
        wanted = self.text.casefold()
        self._at = sum(_has(place, wanted) for place in self._hits[: self._at])
        self._hits = [place for place in self._hits if _has(place, wanted)]
        self._keys = {place.key for place in self._hits}
        return None

    async def seek(self, step: int) -> Place | None:
        """The place that has the text: the one here or the next (0), the next one (1), the one before (-1).

        After the last comes the first. None where none has it.
        """
        self.missing = False
        if not self.text:
            return None
        self._at += step
        if self._at < 0:
            await self._look(None)
            self._at = len(self._hits) - 1
        elif self._at >= len(self._hits) and not await self._look(self._at + 1):
            self._at = 0
        if self._reads:
            await self._look(None)
        self.missing = not self._hits
        return None if self.missing else self._hits[self._at]

    async def _look(self, enough: int | None) -> bool:
        """Look on until there are `enough` hits, or to the end; returns whether there are."""
        wanted = self.text.casefold()
        began, count = perf_counter(), 0
        while not self._all and (enough is None or len(self._hits) < enough):
            place = next(self._left, None)
            if place is None:
                self._all = True
            elif _has(place, wanted) and place.key not in self._keys:
                self._keys.add(place.key)
                self._hits.append(place)
            count += 1
            if not count % _OFTEN and perf_counter() - began > _TURN:
                await asyncio.sleep(0)
                began = perf_counter()
        return enough is not None and len(self._hits) >= enough

    def line(self, width: int) -> Line:
        """What stands in the list's first line meanwhile."""
        pen = Pen(width, "head")
        pen.put(0, "▎", "accent")
        end = width - 1
        enter = "next" if self._reads else "opens" if self._opens else "stays"
        leave = "leaves" if self._reads else "back"
        keys: tuple[str, ...] = ("Enter", "b:fg", f" {enter}  ", "dim", "Esc", "b:fg", f" {leave}", "dim")
        if not self._reads and width >= 74:
            keys = ("Up Down", "b:fg", " next  ", "dim", *keys)
        if width >= 56:
            end = pen.right(width - 1, *keys)
        x = pen.run(1, "find ", "faint", head(self.text, max(1, end - 24)), "b:hi")
        x = pen.put(x, "▏", "accent")
        said, word = "", "dim"
        if self.missing:
            said, word = ("not in this document" if self._reads else "in no row"), "warn"
        elif self._reads and self._hits and self.text:
            said = f"{self._at + 1:,} of {len(self._hits):,}"
        if said and x + len(said) + 3 < end:
            pen.put(x + 2, said, word)
        return pen.line()


def _has(place: Place, wanted: str) -> bool:
    begin = max(0, place.inside - len(wanted)) if "/" in wanted else place.start
    return wanted in (place.label[begin:] if begin else place.label).casefold()


def below(rows: Iterable[Row], label: Callable[[Row], str]) -> Iterator[Place]:
    """The places of rows that were made as if all of them were unfolded."""
    above: list[Row] = []
    for row in rows:
        while above and above[-1].depth >= row.depth:
            above.pop()
        if not row.fixed:
            yield Place(row.key, label(row), tuple([one.key for one in above]))
        if row.open is not None:
            above.append(row)


class EveryOpen(dict[str, bool]):
    """As if every row had been unfolded."""

    def get(self, key: object, default: object = None) -> bool:
        """True, whatever the row."""
        return True
