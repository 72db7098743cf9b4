"""Small words that several panes write: ages that do not tick, shares, counts."""

from __future__ import annotations

from cachetop.base import units


def used(moment: float | None, now: float) -> str:
    """How long ago, in steps coarse enough that an idle screen stays still: `now`, `20 s`, `6 min`, `41 d`, `?`."""
    if moment is None:
        return units.UNKNOWN
    gone = now - moment
    if gone < 10:
        return "now"
    return f"{gone // 10 * 10:.0f} s" if gone < 60 else units.age(moment, now)


share = units.share
"""`59 %`; `<1 %` rather than `0 %` for something, `>99 %` rather than `100 %` for not all."""
count = units.many
"""`1 repo`, `13 repos`, `1,274 entries`."""
