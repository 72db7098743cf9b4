"""`cachetop keys`: which chords this terminal sends, tried live, and what tmux and VS Code need to let more through.

Without a terminal it prints the snippets and the list of keys alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

from cachetop.cli.exits import DONE

TMUX = """# ~/.tmux.conf: let modified keys, colours, the clipboard and focus through
set -s extended-keys on
set -as terminal-features ',xterm*:extkeys:RGB'
set -g set-clipboard on
set -g focus-events on
# Ctrl+, and Ctrl+1 come through then; Ctrl+Shift with a letter stays Ctrl with that letter in tmux 3.3."""

VSCODE = """// settings.json: let cachetop have these keys in the integrated terminal
"terminal.integrated.commandsToSkipShell": [
  "-workbench.action.quickOpen",
  "-workbench.action.showCommands",
  "-workbench.action.togglePanel",
  "-workbench.action.terminal.focusFind",
  "-workbench.action.terminal.findNext",
  "-workbench.action.terminal.goToRecentDirectory",
  "-workbench.action.nextEditor",
  "-workbench.action.previousEditor",
  "-workbench.action.terminal.focusNext",
  "-workbench.action.terminal.focusPrevious",
  "-workbench.action.focusNextPart",
  "-workbench.action.focusPreviousPart",
  "-workbench.action.toggleFullScreen"
],
// or all that a terminal can say: "terminal.integrated.sendKeybindingsToShell": true

// keybindings.json: for a chord that no terminal of VS Code can say, such as Ctrl+Shift+P
{ "key": "ctrl+shift+p", "command": "workbench.action.terminal.sendSequence", "when": "terminalFocus",
  "args": { "text": "\\u001b[112;6u" } }"""

XTERM = """! ~/.Xresources: Alt sends Escape in xterm, also to what runs in tmux
XTerm*metaSendsEscape: true"""

SSH = """# ~/.ssh/config: tell the other side that this terminal shows all colours (its sshd must accept it)
SendEnv COLORTERM"""


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
        from cachetop.cli.keyprobe import probe

        probe(meaning)
    return DONE


def about(env: Mapping[str, str]) -> list[str]:
    """What the environment says of the terminal, and the snippets that help in it."""
    inside = [name for name, there in (
        ("tmux", "TMUX" in env), ("screen", env.get("TERM", "").startswith("screen") and "TMUX" not in env),
        ("VS Code's terminal", env.get("TERM_PROGRAM") == "vscode"), ("SSH", "SSH_CONNECTION" in env),
    ) if there]  # fmt: skip
    out = [f"TERM={env.get('TERM', '')}  inside: {', '.join(inside) or 'nothing that takes keys away'}"]
    if "tmux" in inside or not inside:
        out += ["", TMUX, "", XTERM]
    if "VS Code's terminal" in inside or not inside:
        out += ["", VSCODE]
    if "SSH" in inside or not inside:
        out += ["", SSH]
    out += ["", "In any of them the plain keys work, and Alt with a letter, F2, F4, F7 to F9 and F12, also with Shift.",
            'Only those: keymap = "safe" below [app] in config.toml.']  # fmt: skip
    return out
