"""The time axis of the lanes: where a moment falls, and which labels stand above it.

The axis of a run that is going on grows in steps, not every second, so that a lane's cells change only where
the run has got to. A finished run fills the whole width.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetop.base.units import duration

STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
"""Lengths an axis may have, in seconds; beyond a day it grows by days."""
_LABELS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_LABEL_CELLS = 9


@dataclass(frozen=True)
class Axis:
    """From `begin` (epoch seconds) over `length` seconds, drawn `width` cells wide."""

    begin: float
    length: float
    width: int

    def at(self, moment: float) -> float:
        """The position of a moment in cells from the left, kept within the axis."""
        return min(max(0.0, (moment - self.begin) / self.length), 1.0) * self.width

    def cell(self, moment: float) -> int:
        """The cell a moment falls into."""
        return min(self.width - 1, int(self.at(moment)))

    def labels(self) -> tuple[tuple[int, str], ...]:
        """(cell, text) of the labels, the unit written at the first one: `0 s`, `10`, `20`; `0 min`, `1`."""
        if self.width < len("0 min"):
            return ()
        most = max(1, self.width // _LABEL_CELLS)
        step = next((s for s in _LABELS if self.length / s <= most), None)
        if step is None:
            step = 86400 * -(-self.length // (86400 * most))
        unit, per = ("h", 3600) if step >= 3600 else ("min", 60) if step >= 60 else ("s", 1)
        found = [(0, f"0 {unit}")]
        count = 1
        while count * step <= self.length * 1.0001:
            cell = round(count * step / self.length * self.width)
            text = f"{round(count * step / per, 3):g}"
            if cell + len(text) <= self.width:
                found.append((cell, text))
            count += 1
        return tuple(found)


def length_for(seconds: float, live: bool) -> float:
    """The length of an axis that shows `seconds`: the next step while the run goes on, else just that."""
    if not live:
        return max(seconds, 0.001)
    for step in STEPS:
        if seconds <= step:
            return float(step)
    return 86400.0 * -(-seconds // 86400)


def whole(seconds: float) -> str:
    """A length of time that moves, in whole seconds: `25 s`, `3 min 20 s`; an estimate has no tenths."""
    return f"{round(seconds)} s" if seconds < 59.5 else duration(round(seconds))
