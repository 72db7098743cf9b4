"""Agreeing to a plan: beyond a threshold by typing the size that it frees."""

from __future__ import annotations

from cachetop.base import units

THRESHOLD = 10**9
"""Bytes above which a plain yes is not enough."""


def agrees(typed: str, frees: int) -> bool:
    """Whether somebody typed the size that the plan frees, as it is shown, with or without the space and the B."""
    plain = units.size(frees).replace(" ", "").upper()
    given = typed.replace(" ", "").replace(",", "").upper()
    return given in (plain, plain.removesuffix("B"), str(frees))
