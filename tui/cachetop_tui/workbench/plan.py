"""Who gets which room: the layout as a pure function of the terminal's size, the focus, and what is maximised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MODES: Final = ("full", "wide", "stack", "narrow", "tiny")
TOO_SMALL: Final = "cachetop needs 56 columns and 16 rows; this terminal has {0} by {1}. q leaves."


@dataclass(frozen=True, slots=True)
class Plan:
    """Heights of the panes as CSS sizes (`0` hides one), and which extra lines there are."""

    mode: str
    models: str
    kernels: str
    gpus: str
    conversion: str
    hints: bool
    left: str
    """Width of the column of models and kernels where panes stand side by side, else empty."""

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


def plan(width: int, height: int, pane: str, maximised: bool = False) -> Plan:
    """The layout with `pane` (a widget id) in focus."""
    mode = mode_of(width, height)
    if mode == "tiny":
        return Plan(mode, "0", "0", "0", "0", False, "")
    if maximised:
        rooms = {name: "1fr" if name == pane else "0" for name in ("models", "kernels", "gpus", "conversion")}
        return Plan(mode, **rooms, hints=mode == "full", left="")
    if mode == "full":
        return Plan(mode, "1fr", "1.25fr", "1fr", "15", True, "1.45fr")
    if mode == "wide":
        panel = "8" if height < 34 else "11"
        return Plan(mode, "1fr", "1fr", "1fr", panel, False, "1.5fr")
    if mode == "stack":
        rest = str(5 if height < 34 else height // 6)
        rooms = {"models": rest, "kernels": rest, "gpus": rest, "conversion": "3"}
    else:
        rooms = {"models": "1", "kernels": "1", "gpus": "3", "conversion": "3"}
    rooms[pane] = "1fr"
    return Plan(mode, **rooms, hints=False, left="")
