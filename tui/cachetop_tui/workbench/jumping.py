"""Where a jump may lead on the overview: its panes, all tabs, and every row in sight on which a cursor can stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cachetop_tui.commands.registry import PANES
from cachetop_tui.lines import LineView
from cachetop_tui.workbench.tabs import TabStrip

if TYPE_CHECKING:
    from cachetop_tui.workbench.overview import Overview

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""The home row first."""


@dataclass(frozen=True, slots=True)
class Target:
    """A cell of the screen to put a label on, and what goes there."""

    x: int
    y: int
    go: Callable[[], object]


def labels(count: int) -> list[str]:
    """So many labels, the first ones a letter long, the rest two; none is the beginning of another. 676 at most."""
    first = next(n for n in range(len(LETTERS) + 1) if len(LETTERS) - n + n * len(LETTERS) >= count or n == 26)
    single = list(LETTERS[: len(LETTERS) - first])
    return [*single, *(a + b for a in LETTERS[len(LETTERS) - first :] for b in LETTERS)][:count]


def targets(overview: Overview) -> list[Target]:
    """Panes first, then tabs, then the rows of the pane in focus, then those of the others."""
    panes: list[Target] = []
    rows: list[tuple[bool, Target]] = []
    for name in (*PANES, "problems", "side", "glance", "document"):
        for widget in overview.query(f"#{name}"):
            place = widget.region
            if not place.height or not widget.display:
                continue
            if name != "glance":  # it has no title
                panes.append(Target(place.x, place.y, partial(overview.focus_pane, name)))
            if isinstance(widget, LineView):
                rows += [
                    (name != overview.pane, Target(place.x, place.y + y, partial(_to_row, overview, name, key)))
                    for y, key in widget.in_sight()
                    if y or name == "glance"
                ]
    tabs = [
        Target(widget.region.x + start, widget.region.y + 1, partial(overview.panel_tab, number))
        for widget in overview.query("#conversion, #problems")
        if widget.display and widget.region.height
        for number, (start, _) in enumerate(getattr(widget, "tab_places", ()))
    ]
    tabs += [
        Target(strip.region.x + start, strip.region.y, partial(overview.turn_to, index))
        for strip in overview.query(TabStrip)
        if strip.display
        for start, _, index in strip.places
    ]
    return [*panes, *tabs, *(one for _, one in sorted(rows, key=lambda pair: pair[0]))][: len(LETTERS) ** 2]


def _to_row(overview: Overview, pane: str, key: str) -> None:
    overview.focus_pane(pane)
    view = overview.query_one(f"#{pane}", LineView)
    overview.call_after_refresh(view.go_to, key)  # once it has the room that comes with the focus
