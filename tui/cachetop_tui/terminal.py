"""What the app asks of the terminal beyond Textual, and what it says where there is none to speak of."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping

_SAVE_TITLE, _RESTORE_TITLE = "\x1b[22;0t", "\x1b[23;0t"
_MORE_KEYS, _USUAL_KEYS = "\x1b[>4;2m", "\x1b[>4m"


def can_draw(env: Mapping[str, str], interactive: bool) -> bool:
    """Whether the app can be drawn here: a terminal at both ends, that can place its cursor."""
    return interactive and env.get("TERM", "") not in ("", "dumb", "unknown")


def wants_more_keys(env: Mapping[str, str]) -> bool:
    """Whether to ask for modified keys in xterm's way: tmux and xterm answer that, and know no other.

    All of them (modifyOtherKeys 2): with 1 xterm sends Ctrl+Shift+P as Ctrl+P, and Alt with a letter as the letter's
    accented neighbour. kitty's protocol, which Textual asks for itself, is better where there is one; VS Code's
    terminal has neither.
    """
    if env.get("TERM_PROGRAM") == "vscode" or "KITTY_WINDOW_ID" in env:
        return False
    return "TMUX" in env or env.get("TERM", "").startswith(("xterm", "tmux"))


def opening(env: Mapping[str, str]) -> str:
    """What is written when the app starts."""
    return _SAVE_TITLE + (_MORE_KEYS if wants_more_keys(env) else "")


def closing(env: Mapping[str, str]) -> str:
    """What takes `opening` back."""
    return (_USUAL_KEYS if wants_more_keys(env) else "") + _RESTORE_TITLE


def let_go() -> None:
    """Throw away what a terminal that has closed can take no more: Python would end with a code of its own for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def past_tmux(text: str) -> str:
    """What puts `text` on the clipboard of the terminal that tmux runs in, where tmux has `allow-passthrough on`."""
    copy = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    return "\x1bPtmux;" + copy.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def title(text: str) -> str:
    """What gives the terminal's window a title; `text` must be clean."""
    return f"\x1b]0;{text}\x07"
