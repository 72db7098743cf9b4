"""The thin lane of one stage: one dash for each page, two shades so that pages can be told apart."""

from __future__ import annotations

from collections.abc import Sequence

from cachetop.conversion.records import Stage
from cachetop_tui.paint import Canvas, Part
from cachetop_tui.panel.axis import Axis

_SHADES = ("p.pages", "p.pages2")


def halves(axis: Axis, stages: Sequence[Stage]) -> list[str | None]:
    """The token of each half cell of the axis, None where the stage did not work.

    Linear in the number of stages however long the run: each is put into the half cells it covers, at least one.
    Where pages are narrower than half a cell their shades would flicker, so all get the first one.
    """
    count = axis.width * 2
    scale = count / axis.length
    begin = axis.begin
    out: list[str | None] = [None] * count
    shades = _SHADES if len(stages) < count else (_SHADES[0], _SHADES[0])
    for number, stage in enumerate(stages):
        end = (stage.end - begin) * scale
        last = int(end + 0.5)
        first = int(end - stage.seconds * scale + 0.5)
        if first >= last:
            first = last - 1
        if first < 0 or last > count:
            last = min(max(last, 1), count)
            first = max(0, min(first, last - 1))
        token = shades[(number if stage.page is None else stage.page + 1) % 2]
        if last - first == 1:
            out[first] = token
        else:
            out[first:last] = [token] * (last - first)
    return out


def draw_stage(canvas: Canvas, x: int, y: int, axis: Axis, stages: Sequence[Stage]) -> None:
    """Draw the lane of one stage's pages at (x, y)."""
    tokens = halves(axis, stages)
    for cell in range(axis.width):
        left, right = tokens[2 * cell], tokens[2 * cell + 1]
        if left is None and right is None:
            continue
        parts: list[Part] = []
        if left is not None:
            parts.append((0.0, 0.5, left))
        if right is not None:
            parts.append((0.5, 1.0, right))
        canvas.thin(x + cell, y, 1, parts, None)
