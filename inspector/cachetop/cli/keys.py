"""`cachetop keys`: which chords this terminal sends, tried live, and what tmux and VS Code need to let more through.

Without a terminal it prints the snippets and the list of keys alone.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Mapping

from cachetop.cli.exits import DONE

_KITTY_ON, _KITTY_OFF = "\x1b[>1u", "\x1b[<u"
_MORE_ON, _MORE_OFF = "\x1b[>4;1m", "\x1b[>4m"
_ASK = "\x1b[?u\x1b[>q\x1b[c"
_PATIENCE = 0.4

TMUX = """# ~/.tmux.conf: let modified keys, colours, the clipboard and focus through
set -s extended-keys on
set -as terminal-features ',xterm*:extkeys:RGB'
set -g set-clipboard on
set -g focus-events on"""

VSCODE = """// settings.json: let cachetop have these keys in the integrated terminal
"terminal.integrated.commandsToSkipShell": [
  "-workbench.action.quickOpen",
  "-workbench.action.showCommands",
  "-workbench.action.togglePanel",
  "-workbench.action.toggleSidebarVisibility"
],
"terminal.integrated.sendKeybindingsToShell": true"""

SSH = """# ~/.ssh/config: tell the other side that this terminal shows all colours (its sshd must accept it)
SendEnv COLORTERM"""

_NAMED = {"\x1b": "Esc", "\r": "Enter", "\t": "Tab", "\x7f": "Backspace", " ": "Space", "\x00": "Ctrl+Space or Ctrl+`"}


def meaning(raw: str) -> str:
    """What the app does on a piece of input; the app replaces this, since the library does not know it."""
    return ""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser(
        "keys", help="which chords this terminal sends; snippets for tmux and VS Code", description=__doc__
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is known, then show each key as it arrives until Ctrl+C or q."""
    print("\n".join(about(os.environ)))
    if sys.stdin.isatty() and sys.stdout.isatty():
        _probe()
    return DONE


def about(env: Mapping[str, str]) -> list[str]:
    """What the environment says of the terminal, and the snippets that help in it."""
    inside = [name for name, there in (
        ("tmux", "TMUX" in env), ("screen", env.get("TERM", "").startswith("screen") and "TMUX" not in env),
        ("VS Code's terminal", env.get("TERM_PROGRAM") == "vscode"), ("SSH", "SSH_CONNECTION" in env),
    ) if there]  # fmt: skip
    out = [f"TERM={env.get('TERM', '')}  inside: {', '.join(inside) or 'nothing that takes keys away'}"]
    if "tmux" in inside or not inside:
        out += ["", TMUX]
    if "VS Code's terminal" in inside or not inside:
        out += ["", VSCODE]
    if "SSH" in inside or not inside:
        out += ["", SSH]
    out += ["", "In any of them the plain keys work, and Alt with a letter, F2 to F4, F7 to F9, F12.",
            'Only those: keymap = "safe" below [app] in config.toml.']  # fmt: skip
    return out


def describe(raw: str) -> str:
    """What a piece of input means, as people write keys; the bytes themselves where it is no key that is known."""
    if raw in _NAMED:
        return _NAMED[raw]
    if len(raw) == 1:
        code = ord(raw)
        return f"Ctrl+{chr(code + 96).upper()}" if 1 <= code <= 26 else f"Ctrl+{chr(code + 64)}" if code < 32 else raw
    if len(raw) == 2 and raw[0] == "\x1b" and raw[1].isprintable():
        return f"Alt+{raw[1]}"
    if raw.startswith("\x1b[27;") and raw.endswith("~"):
        parts = raw[5:-1].split(";")
        if len(parts) == 2 and all(part.isdigit() for part in parts):
            return _modified(int(parts[1]), int(parts[0]))
    if raw.startswith("\x1b[") and raw.endswith("u"):
        number, _, more = raw[2:-1].partition(";")
        first, modifier = number.partition(":")[0], more.partition(":")[0].partition(";")[0]
        if first.isdigit():
            return _modified(int(first), int(modifier) if modifier.isdigit() else 1)
    known = {"\x1bOP": "F1", "\x1bOQ": "F2", "\x1bOR": "F3", "\x1bOS": "F4", "\x1b[P": "F1", "\x1b[Q": "F2",
             "\x1b[S": "F4", "\x1b[15~": "F5", "\x1b[17~": "F6", "\x1b[18~": "F7", "\x1b[19~": "F8", "\x1b[20~": "F9",
             "\x1b[21~": "F10", "\x1b[23~": "F11", "\x1b[24~": "F12", "\x1b[A": "Up", "\x1b[B": "Down",
             "\x1b[C": "Right", "\x1b[D": "Left", "\x1b[3~": "Del", "\x1b[5~": "PgUp", "\x1b[6~": "PgDn",
             "\x1b[5;5~": "Ctrl+PgUp", "\x1b[6;5~": "Ctrl+PgDn", "\x1b[Z": "Shift+Tab"}  # fmt: skip
    return known.get(raw, "not a key that cachetop knows")


def _modified(code: int, modifier: int) -> str:
    bits = modifier - 1
    names = [name for bit, name in ((4, "Ctrl"), (2, "Alt"), (1, "Shift"), (8, "Super")) if bits & bit]
    char = chr(code) if 32 < code < 0x110000 else ""
    key = _NAMED.get(chr(code) if code < 0x110000 else "", char.upper() if char.isprintable() else "") or f"code {code}"
    return "+".join([*names, key])


def _probe() -> None:
    """Show each key as it arrives. The terminal is given back as it was, whatever happens."""
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setraw(handle)
        reply = _read(handle, _ASK, _PATIENCE)
        kitty = "\x1b[?" in reply and reply.partition("c")[0].find("u") > 0
        says = "speaks kitty's keyboard protocol: every chord arrives" if kitty else "does not speak kitty's protocol"
        _write(f"\r\nThis terminal {says}.\r\nPress keys to see what arrives; q or Ctrl+C leaves.\r\n")
        _write(_KITTY_ON if kitty else _MORE_ON)
        while True:
            raw = _read(handle, "", None)
            name = describe(raw)
            _write(f"  {name:<24} {raw.encode()!r:<20} {meaning(raw)}\r\n")
            if raw in ("q", "\x03", "") or name in ("Ctrl+C", "Q"):
                return
    finally:
        _write(_KITTY_OFF + _MORE_OFF)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _read(handle: int, ask: str, patience: float | None) -> str:
    """What arrives in one go; with `ask` everything that comes within `patience` seconds. Empty at the end of input."""
    _write(ask)
    got = b""
    until = time.monotonic() + (patience or 0)
    while True:
        left = None if patience is None else max(0.0, until - time.monotonic())
        if not select.select([handle], [], [], left)[0]:
            return got.decode(errors="replace")
        piece = os.read(handle, 1024)
        got += piece
        if not piece or patience is None:
            return got.decode(errors="replace")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
