"""The tabs of the bottom panel, the same line above each of them."""

from __future__ import annotations

from dataclasses import dataclass

from cachetop_tui.marks import Text

TABS = ("CONVERSION", "RUNS", "EVENTS", "OUTPUT", "PROBLEMS")
"""Their names. The last is a list of its own, which stands in the panel's place."""
PROBLEMS = len(TABS) - 1


@dataclass(frozen=True, slots=True)
class TabLine:
    """The line as data: what is written, where each tab can be clicked, and where room is left."""

    texts: tuple[Text, ...]
    places: tuple[tuple[int, int], ...]
    """(first column, the one after the last) of each tab."""
    end: int

    def at(self, x: int) -> int | None:
        """The tab at a column."""
        return next((number for number, (start, end) in enumerate(self.places) if start <= x <= end), None)


def tab_line(front: int, runs: int, problems: int) -> TabLine:
    """The tabs with `front` in front, and how many runs and problems there are."""
    texts: list[Text] = []
    places: list[tuple[int, int]] = []
    x, counts = 2, {1: runs, PROBLEMS: problems}
    for number, name in enumerate(TABS):
        start = x
        texts.append(Text(x, name, "bu:hi" if number == front else "dim"))
        x += len(name)
        if count := counts.get(number, 0):
            badge = f" {count:,} "
            texts.append(Text(x + 1, badge, "hi@badge"))
            x += 1 + len(badge)
        places.append((start, x))
        x += 3
    return TabLine(tuple(texts), tuple(places), x)
