"""What the start dialog says of models that are not there: which, how big, and that they can be fetched."""

from __future__ import annotations

import os

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.conversion import environment
from cachetop.conversion.interpreters import NoInterpreter, choose
from cachetop.conversion.missing import Missing, missing, sized
from cachetop_tui.dialogs import options


def lacking(pipeline: str, python: str, ticked: tuple[str, ...], asks: bool) -> Missing | None:
    """What a run would fetch first; None where it needs nothing or cannot run. Blocks.

    With `asks` the hub is asked for the sizes; without, only the disk is looked at.
    """
    env = environment.for_worker(os.environ)
    try:
        found = missing(pipeline, options.asked(ticked, "", ""), choose(python or None, env), env)
    except (NoInterpreter, ValueError):
        return None  # the fields that are wrong say so themselves
    return sized(found, env) if found is not None and asks else found


def note(found: Missing) -> str:
    """It beside the pipeline."""
    names = ", ".join(clean(repo.id.rpartition("/")[2]) for repo in found.repos)
    if found.forbidden:
        return f"lacks {names}: {clean(found.forbidden, 80)}"
    size = f" {units.size(found.bytes)}" if found.bytes is not None else ""
    return f"fetches{size} first: {names}"


def question(found: Missing) -> str:
    """It before the start."""
    if found.forbidden:
        return f"{found.sentence}; {clean(found.forbidden)}. With auto the best that runs without it is taken."
    return f"{found.sentence}. Start again to fetch it now, or choose another pipeline."
