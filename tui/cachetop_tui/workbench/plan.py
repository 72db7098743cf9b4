"""Who gets which room: the layout as a pure function of the terminal's size, the focus, and what is open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MODES: Final = ("full", "wide", "stack", "narrow", "tiny")
TOO_SMALL: Final = "cachetop needs 56 columns and 16 rows; this terminal has {0} by {1}. q leaves."
BESIDE: Final = 100
"""Columns from which on the GPU pane stands beside the other two."""
RUN_LINES: Final = 3
"""The height of a run that is told in short."""
_SIDE = 31
_ACTIVITY = 6
ACTIVITY_WORDS: Final = 14
"""The width of the activity bar with words in it."""
_WORDS_FROM = 180


@dataclass(frozen=True, slots=True)
class Plan:
    """Heights of the panes as CSS sizes (`0` hides one), and which extra lines there are."""

    mode: str
    models: str
    kernels: str
    gpus: str
    conversion: str
    """The height of the bottom panel, whichever of its tabs is in front."""
    hints: bool
    left: str
    """Width of the column of models and kernels where panes stand side by side, else empty."""
    document: bool = False
    """Whether a document stands where the three panes were."""
    activity: int = 0
    """Columns of the activity bar, 0 without one."""
    side: int = 0
    """Columns of the side bar; 0 without one."""

    @property
    def side_by_side(self) -> bool:
        """Whether the GPU pane stands beside the other two."""
        return bool(self.left)


def mode_of(width: int, height: int) -> str:
    """The layout for a terminal of this many columns and rows."""
    if width >= 150 and height >= 40:
        return "full"
    if width >= 110 and height >= 28:
        return "wide"
    if width >= 76 and height >= 20:
        return "stack"
    return "narrow" if width >= 56 and height >= 16 else "tiny"


def plan(
    width: int, height: int, pane: str, maximised: bool = False, document: bool = False, side: bool | None = None
) -> Plan:
    """The layout with `pane` (a widget id) in focus; a `document` in front or not; `side` None is what fits."""
    mode = mode_of(width, height)
    if mode == "tiny":
        return Plan(mode, "0", "0", "0", "0", False, "")
    activity = 0 if mode not in ("full", "wide") else ACTIVITY_WORDS if width >= _WORDS_FROM else _ACTIVITY
    wanted = mode == "full" if side is None else side
    bar = 0 if not wanted else _SIDE if mode != "narrow" else width
    lower = pane in ("conversion", "problems")
    if maximised:
        made = _maximised(mode, pane, lower)
    elif activity:
        made = _roomy(mode, width - activity - bar, height, pane)
        if document and not lower:  # reading wants the room; the run stays in three lines
            made = replace(made, conversion=str(RUN_LINES))
    else:
        made = _stacked(mode, height, pane, lower)
    covers = document and not (lower and (maximised or not activity))
    return replace(made, document=covers, activity=activity, side=bar)


def _maximised(mode: str, pane: str, lower: bool) -> Plan:
    models, kernels, gpus = ("1fr" if name == pane else "0" for name in ("models", "kernels", "gpus"))
    return Plan(mode, models, kernels, gpus, "1fr" if lower else "0", mode == "full", "")


def _roomy(mode: str, width: int, height: int, pane: str) -> Plan:
    """Beside each other, where `width` columns are left for that."""
    full = mode == "full"
    bottom = 15 if full else 8 if height < 34 else 11
    if width >= BESIDE:
        return Plan(mode, "1fr", "1.25fr" if full else "1fr", "1fr", str(bottom), full, "1.45fr" if full else "1.5fr")
    rest = str(max(5, (height - bottom) // 4))
    grows = pane if pane in ("kernels", "gpus") else "models"
    models, kernels, gpus = ("1fr" if name == grows else rest for name in ("models", "kernels", "gpus"))
    return Plan(mode, models, kernels, gpus, str(bottom), full, "")


def _stacked(mode: str, height: int, pane: str, lower: bool) -> Plan:
    """Above each other: the one in focus grows, the others keep a few lines."""
    rest = str(height // 6 if height >= 34 else 3 if lower else 5)
    rooms = {"models": rest, "kernels": rest, "gpus": rest} if mode == "stack" else {"models": "1", "kernels": "1"}
    rooms.setdefault("gpus", "3")
    if not lower:
        rooms[pane if pane in rooms else "models"] = "1fr"
    return Plan(mode, rooms["models"], rooms["kernels"], rooms["gpus"], "1fr" if lower else str(RUN_LINES), False, "")
