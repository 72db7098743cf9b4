"""The live half of `cachetop keys`: what a terminal sends for each key, in the words in which people write keys.

Sequences: xterm's ctlseqs (CSI 1;M X, CSI N;M ~, SS3 X, modifyOtherKeys CSI 27;M;C ~) and kitty's keyboard protocol
(CSI C;M u). M counts from 1: Shift 1, Alt 2, Ctrl 4, Super 8.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

_KITTY_ON, _KITTY_OFF = "\x1b[>25u", "\x1b[<u"
_MORE_ON, _MORE_OFF = "\x1b[>4;2m", "\x1b[>4m"
_ASK = "\x1b[?u\x1b[c"
"""kitty's flags, and what every terminal answers."""
_ANSWERED = re.compile(rb"\x1b\[\?[\d;]*c")
_KITTY = re.compile(rb"\x1b\[\?\d+u")
_PATIENCE = 2.0
"""Seconds to wait for the answer of a terminal far away."""
_TOKENS = re.compile(
    r"\x1b\[[0-9:;<=>?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\)|\x1b[^\x1b]|.", re.DOTALL
)
_NAMED = {"\x1b": "Esc", "\r": "Enter", "\t": "Tab", "\x7f": "Backspace", " ": "Space", "\x00": "Ctrl+Space or Ctrl+2"}
_LETTERED = {"A": "Up", "B": "Down", "C": "Right", "D": "Left", "H": "Home", "F": "End",
             "P": "F1", "Q": "F2", "R": "F3", "S": "F4"}  # fmt: skip
_NUMBERED = {1: "Home", 4: "End", 2: "Ins", 3: "Del", 5: "PgUp", 6: "PgDn", 13: "F3", 15: "F5", 17: "F6", 18: "F7",
             19: "F8", 20: "F9", 21: "F10", 23: "F11", 24: "F12", 29: "Menu"}  # fmt: skip
_CODED = {**{ord(char): name for char, name in _NAMED.items() if char}, 57363: "Menu"}
_MODIFIER_KEYS = range(57441, 57455)
_UNKNOWN = "not a key that cachetop knows"


def tokens(raw: str) -> list[str]:
    """The keys in what came in one read, each with its whole sequence."""
    return _TOKENS.findall(raw)


def describe(raw: str) -> str:
    """What one sequence means, as people write keys; empty for a modifier alone, which kitty's protocol tells."""
    if raw in _NAMED:
        return _NAMED[raw]
    if len(raw) == 1:
        return _typed(raw)
    if raw == "\x1b[Z":
        return "Shift+Tab"
    if len(raw) == 2 and raw[0] == "\x1b" and raw[1].isprintable():
        return f"Alt+{'Shift+' if raw[1].isupper() else ''}{raw[1].upper()}"
    match = re.fullmatch(r"\x1b(?:\[(?:1(?:;(\d+))?)?|O)([A-FHPQRS])", raw)
    if match and match[2] in _LETTERED:
        return _held(int(match[1] or 1), _LETTERED[match[2]])
    match = re.fullmatch(r"\x1b\[27;(\d+);(\d+)~", raw)
    if match:
        return _chord(int(match[2]), int(match[1]))
    match = re.fullmatch(r"\x1b\[(\d+)(?:;(\d+))?~", raw)
    if match:
        return _held(int(match[2] or 1), _NUMBERED[int(match[1])]) if int(match[1]) in _NUMBERED else _UNKNOWN
    match = re.fullmatch(r"\x1b\[(\d+)[:\d]*(?:;(\d*)[:\d]*)?(?:;(\d+)[:\d]*)?u", raw)
    if match:
        code = int(match[1])
        return "" if code in _MODIFIER_KEYS else _chord(code, int(match[2] or 1), match[3])
    return _UNKNOWN


def _typed(char: str) -> str:
    code = ord(char)
    if code < 32:
        return f"Ctrl+{chr(code + 64)}"
    if 0xC1 <= code <= 0xDA or 0xE1 <= code <= 0xFA:  # xterm's Alt, unless metaSendsEscape is true
        return f"{char}, or Alt+{'Shift+' if code < 0xE0 else ''}{chr(code & 0x7F).upper()}"
    return char if char.isprintable() else _UNKNOWN


def _chord(code: int, modifier: int, text: str | None = None) -> str:
    if text and modifier <= 2 and int(text) < 0x110000:
        return _NAMED.get(chr(int(text)), chr(int(text)))
    char = chr(code) if code < 0x110000 else ""
    name = _CODED.get(code) or (char.upper() if char.isprintable() and char.strip() else f"code {code}")
    return char if modifier == 2 and char.isupper() else char if modifier == 1 and len(name) == 1 else _held(
        modifier, name
    )  # fmt: skip


def _held(modifier: int, name: str) -> str:
    bits = modifier - 1
    held = [one for bit, one in ((4, "Ctrl"), (2, "Alt"), (1, "Shift"), (8, "Super")) if bits & bit]
    return "+".join([*held, name])


def probe(meaning: Callable[[str], str]) -> None:
    """Show each key as it arrives until q or Ctrl+C. The terminal is given back as it was, whatever happens."""
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    off = ""
    usual = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(handle)
        kitty = _KITTY.search(_answer(handle)) is not None
        says = "speaks kitty's keyboard protocol: what it does not keep for itself arrives" if kitty else (
            "does not speak kitty's protocol"
        )  # fmt: skip
        _write(f"\r\nThis terminal {says}.\r\nPress keys to see what arrives; q or Ctrl+C leaves.\r\n")
        on, off = (_KITTY_ON, _KITTY_OFF) if kitty else (_MORE_ON, _MORE_OFF)
        _write(on)
        for raw in _keys(handle):
            name = describe(raw)
            if name:
                _write(f"  {name:<24} {ascii(raw)[1:-1]:<20} {meaning(raw) if name != _UNKNOWN else ''}\r\n")
            if name in ("q", "Ctrl+C"):
                return
    finally:
        with contextlib.suppress(OSError, termios.error):  # the terminal has closed
            _write(off)
            termios.tcsetattr(handle, termios.TCSADRAIN, before)
        for number, handler in usual.items():
            signal.signal(number, handler)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _answer(handle: int) -> bytes:
    """What the terminal says of itself; what else came by then was typed too early and is dropped."""
    _write(_ASK)
    got, until = b"", time.monotonic() + _PATIENCE
    while not _ANSWERED.search(got) and (left := until - time.monotonic()) > 0:
        if select.select([handle], [], [], left)[0]:
            piece = os.read(handle, 1024)
            if not piece:
                break
            got += piece
    return got


def _keys(handle: int) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while piece := os.read(handle, 1024):
        yield from tokens(decode(piece))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
