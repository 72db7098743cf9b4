"""The person's own editor in the terminal, while the app stands aside."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from cachetop.base.hostile import clean, show


class EditorMissing(Exception):
    """No editor could be opened; the message says why and what to do."""


def open_editor(app: App[Any], path: Path) -> None:
    """Open `path` in $VISUAL, $EDITOR, or nano or vi, and wait for its end. Raises EditorMissing."""
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR") or shutil.which("nano") or shutil.which("vi") or ""
    try:
        words = shlex.split(wanted)
    except ValueError:
        words = []
    if not words:
        raise EditorMissing(f"No editor is known: set EDITOR, or open {clean(path)} yourself.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with app.suspend():
            subprocess.run([*words, str(path)], check=False)
    except SuspendNotSupported:
        raise EditorMissing(f"This terminal cannot be lent to an editor: open {clean(path)} yourself.") from None
    except OSError as error:
        raise EditorMissing(f"{show(words[0], 60)} could not be started: {error.strerror}.") from None
