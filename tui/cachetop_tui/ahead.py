"""What a key may need next, imported before somebody presses it: on the event loop that would hold everything up."""

from __future__ import annotations

from time import sleep
from typing import Final

AFTER: Final = 2.0
"""Seconds after the caches were first looked at: nobody waits for anything any more."""
_PAUSE: Final = 0.01
"""Seconds in which the others go on, after each module and what that brings with it."""


def load() -> None:
    """Import the dialogs and documents that are not there yet. Takes a while: not for the event loop."""
    from cachetop.conversion import death, folder, interpreters, launch, missing, options  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.dialogs import fields, folders, models, picker  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.dialogs import start  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.commands import palette, quick  # noqa: F401
    from cachetop_tui.dialogs import confirm, jump, keys, menu, setting, signal  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.documents import diff, file, repo, task  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.documents import kernel_page  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.documents import process, report, result, tree  # noqa: F401

    sleep(_PAUSE)
    from cachetop_tui.prune import opening, review  # noqa: F401
    from cachetop_tui.workbench import glance, plan  # noqa: F401
