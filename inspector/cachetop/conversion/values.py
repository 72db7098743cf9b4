"""Values out of files that another program wrote: the right type, or unknown."""

from __future__ import annotations

from typing import Any

from cachetop.base.hostile import clean, show

STATES = {"success": "done", "partial": "failed", "failed": "failed", "cancelled": "cancelled"}
"""Status of `job-finished` -> state of the job."""


def number(value: Any) -> float | None:
    """A finite number of a sensible size."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e18 < value < 1e18:
        return None
    return float(value)


def count(value: Any) -> int | None:
    """A whole number, zero or more."""
    known = number(value)
    return int(known) if known is not None and known >= 0 else None


def text(value: Any) -> str | None:
    """A name, made safe to show."""
    return clean(value) if isinstance(value, str) else None


def sentence(value: Any) -> str | None:
    """A message, made safe to show, credentials masked; an empty one is none."""
    return show(value) if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[Any, Any]:
    """A JSON object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A JSON array; anything else is an empty one."""
    return value if isinstance(value, list) else []
