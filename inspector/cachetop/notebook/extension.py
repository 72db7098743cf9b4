"""Loading into IPython and unloading: what is added is kept here, so that all of it can be taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from IPython.core.interactiveshell import InteractiveShell

from cachetop.notebook import kernels, reads
from cachetop.notebook.auto import Auto
from cachetop.notebook.awaited import awaiting
from cachetop.notebook.magics import CachetopMagics
from cachetop.notebook.matcher import matcher

_loaded: WeakKeyDictionary[InteractiveShell, tuple[CachetopMagics, Callable[..., Any]]] = WeakKeyDictionary()


def load(shell: InteractiveShell) -> None:
    """Add `%cachetop` and `%%cachetop` with their completion; loading again changes nothing."""
    if shell in _loaded:
        return
    magics = CachetopMagics(shell, Auto(shell))
    shell.register_magics(magics)
    completer: Any = shell.Completer
    completer.custom_matchers.append(matcher)
    awaited = awaiting(shell)
    shell.input_transformers_cleanup.append(awaited)
    _loaded[shell] = magics, awaited
    threading.Thread(target=_warm, name="cachetop-warm", daemon=True).start()


def unload(shell: InteractiveShell) -> None:
    """Take everything away again: the magics, the completion, the line after each cell, live views."""
    loaded = _loaded.pop(shell, None)
    if loaded is None:
        return
    magics, awaited = loaded
    magics.close()
    if awaited in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(awaited)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("cachetop", None)
    shell.magics_manager.registry.pop("CachetopMagics", None)
    completer: Any = shell.Completer
    if matcher in completer.custom_matchers:
        completer.custom_matchers.remove(matcher)


def _warm() -> None:
    """Read the caches in the background, so that the first report does not have to."""
    for look in (reads.warm, kernels.warm):
        try:
            look()
        except OSError:
            continue  # the report itself says what cannot be read
