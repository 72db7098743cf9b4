"""The bytes that terminals send for a key, by Textual's name for it; None for a key that does not arrive as itself.

Ctrl+Shift+P is Ctrl+P in a terminal that has no sequence of its own for it. The bytes were captured from the real
programs: `capture_terminals.py` says how, `terminals.json` which versions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

_CAPTURED = json.loads(Path(__file__).with_name("terminals.json").read_text())


def _own(sent: dict[str, str]) -> dict[str, str]:
    """The keys whose bytes are not those of a key with fewer modifiers, or of Ctrl with a letter (Ctrl+3 is Escape)."""
    taken: dict[str, str] = {}
    for key in sorted(sent, key=lambda key: key.count("+")):
        if not (key.startswith("ctrl+") and len(sent[key]) == 1 and not key[-1].isalpha()):
            taken.setdefault(sent[key], key)
    return {key: raw for raw, key in taken.items()}


TERMINALS: dict[str, Callable[[str], str | None]] = {
    name: _own(one["keys"]).get for name, one in _CAPTURED.items() if name != "how"
}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "kitty": {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"},
    "kitty's protocol": {"TERM": "foot"},
    "tmux": {"TERM": "tmux-256color", "TMUX": "x"},
    "tmux extended": {"TERM": "tmux-256color", "TMUX": "x"},
    "vscode": {"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"},
    "xterm": {"TERM": "xterm"},
}
"""What a program in each of them finds in its environment."""
