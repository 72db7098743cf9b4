"""What the terminal can show, and which keys will arrive."""

from __future__ import annotations

import locale
import sys
from collections.abc import Iterator, Mapping

from cachetop.base.hostile import show
from cachetop.doctor.records import Area, Finding

_AREA = Area("terminal")


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """Terminal type, colours, encoding, and what lies between keyboard and program."""
    yield _kind(env)
    yield _colours(env)
    yield _encoding()
    if env.get("TMUX"):
        reason = "chords such as Ctrl+Shift+P arrive only when tmux passes them on; F1 and the plain keys always do"
        yield _AREA.note("tmux", "yes", reason, "`set -s extended-keys always` in tmux.conf")
    if env.get("SSH_CONNECTION") or env.get("SSH_TTY"):
        yield _AREA.ok("SSH", "yes")
    if env.get("TERM_PROGRAM") == "vscode":
        reason = "VS Code keeps F1, Ctrl+P and Ctrl+Shift+P for itself: use the plain keys"
        yield _AREA.note("VS Code's terminal", "yes", reason)


def _kind(env: Mapping[str, str]) -> Finding:
    kind = show(env.get("TERM", "")) or "(not set)"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _AREA.note("TERM", kind, "input and output are no terminal: verbs print, and no app opens")
    if kind in ("dumb", "(not set)"):
        return _AREA.warning("TERM", kind, "this terminal cannot place text", "use another terminal")
    return _AREA.ok("TERM", kind)


def _colours(env: Mapping[str, str]) -> Finding:
    if env.get("NO_COLOR"):
        return _AREA.ok("colours", "none", "NO_COLOR is set")
    if env.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return _AREA.ok("colours", "16 million", "COLORTERM says so")
    if "256color" in env.get("TERM", ""):
        return _AREA.ok("colours", "256", "TERM says so")
    return _AREA.ok("colours", "16", "neither COLORTERM nor TERM promises more")


def _encoding() -> Finding:
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") == "utf8":
        return _AREA.ok("encoding", encoding)
    reason = "not UTF-8: lines and bars are drawn in ASCII"
    return _AREA.note("encoding", encoding, reason, "export LANG=C.UTF-8")
