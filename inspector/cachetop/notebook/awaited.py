"""Cells under `%%cachetop` that `await`: a magic is a plain call, and a kernel's event loop is already running.

Such a cell is rewritten before it is compiled: it awaits the magic, in the loop in which any other cell awaits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

_MAGIC = "%%cachetop"


def awaiting(shell: InteractiveShell) -> Callable[[list[str]], list[str]]:
    """An input transformer for `shell`; it leaves every cell alone that is not `%%cachetop` with an `await`."""

    def transform(lines: list[str]) -> list[str]:
        head = lines[0].split() if lines else []
        if head[:1] != [_MAGIC]:
            return lines
        cell = "".join(lines[1:])
        try:
            asynchronous = shell.should_run_async(cell, transformed_cell=shell.transform_cell(cell))  # type: ignore[no-untyped-call]
        except Exception:  # running it says what is wrong
            return lines
        if not asynchronous:
            return lines
        line = lines[0].lstrip().removeprefix(_MAGIC).strip()
        registry = 'get_ipython().magics_manager.registry["CachetopMagics"]'
        return [f"await {registry}.awaited({line!r}, {cell!r})\n"]

    untyped: Any = transform
    untyped.has_side_effects = True  # IPython leaves it out where it only asks whether a cell is complete
    return transform
