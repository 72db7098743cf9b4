"""The bytes that terminals send for a key, by Textual's name for it; None for a key that does not arrive.

kitty: its keyboard protocol with the flags that Textual asks for. xterm: modifyOtherKeys 1, which the app asks for.
tmux: extended-keys on, format csi-u, prefix Ctrl+B. vscode: xterm.js, which has the old sequences alone, in an editor
whose default `commandsToSkipShell` takes keys away.
"""

from __future__ import annotations

from collections.abc import Callable

ESC, CSI = "\x1b", "\x1b["
_SIGNS = {
    "slash": "/", "colon": ":", "comma": ",", "question_mark": "?", "apostrophe": "'", "minus": "-", "space": " ",
    "greater_than_sign": ">", "less_than_sign": "<", "left_square_bracket": "[", "right_square_bracket": "]",
    "enter": "\r", "tab": "\t", "full_stop": ".", "semicolon": ";", "equals_sign": "=", "plus": "+",
}  # fmt: skip
_LETTERED = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F",
             "f1": "P", "f2": "Q", "f3": "R", "f4": "S"}  # fmt: skip
_NUMBERED = {"delete": 3, "insert": 2, "pageup": 5, "pagedown": 6, "f5": 15, "f6": 17, "f7": 18, "f8": 19, "f9": 20,
             "f10": 21, "f11": 23, "f12": 24}  # fmt: skip
_BITS = {"shift": 1, "alt": 2, "ctrl": 4}
_EATEN_BY_VSCODE = {
    "ctrl+p", "ctrl+j", "ctrl+k", "ctrl+m", "ctrl+f", "f1", "f5", "f6", "f10", "f11", "shift+f5", "shift+f6",
    "ctrl+pageup", "ctrl+pagedown", "ctrl+f4",
}  # fmt: skip


def _split(key: str) -> tuple[int, str]:
    *heads, last = key.split("+")
    return sum(_BITS[head] for head in heads), last


def _functional(bits: int, last: str, plain: Callable[[str], str]) -> str | None:
    if last in _LETTERED:
        return f"{CSI}1;{bits + 1}{_LETTERED[last]}" if bits else plain(_LETTERED[last])
    if last in _NUMBERED:
        return f"{CSI}{_NUMBERED[last]};{bits + 1}~" if bits else f"{CSI}{_NUMBERED[last]}~"
    return None


def _typed(bits: int, last: str) -> str | None:
    if bits and last.isupper():  # another of Textual's names for a key with Shift
        return None
    return _SIGNS.get(last) or (last if len(last) == 1 else None)


def kitty(key: str) -> str | None:
    """kitty, Ghostty, foot and others with its protocol; every key is reported, with the text it types (flags 25)."""
    bits, last = _split(key)
    codes = {"escape": 27, "menu": 57363, "enter": 13, "tab": 9}
    if last in codes:
        return f"{CSI}{codes[last]};{bits + 1}u" if bits else f"{CSI}{codes[last]}u"
    if last == "f3":
        return f"{CSI}13;{bits + 1}~" if bits else f"{CSI}13~"
    found = _functional(bits, last, lambda letter: CSI + letter)
    char = _typed(bits, last)
    if found is not None or char is None:
        return found
    if bits:
        return f"{CSI}{ord(char.lower())};{bits + 1}u"
    return f"{CSI}{ord(char.lower())};{'2' if char.isupper() or char in '?:<>' else ''};{ord(char)}u"


def _legacy(bits: int, last: str) -> str | None:
    """What every terminal has sent for forty years."""
    found = _functional(bits, last, lambda letter: f"{ESC}O{letter}" if letter in "PQRS" else CSI + letter)
    if found is not None:
        return found
    if (bits, last) == (1, "tab"):
        return f"{CSI}Z"
    if last == "escape":
        return ESC if not bits else None
    char = _typed(bits, last)
    if char is None or (not char.isalpha() and bits):
        return None
    if bits == _BITS["ctrl"]:
        return chr(ord(char.lower()) & 31)
    typed = char.upper() if bits & 1 else char
    return ESC + typed if bits & 2 else typed if not bits else None


def _extended(key: str, form: str) -> str | None:
    bits, last = _split(key)
    found = _legacy(bits, last)
    char = _typed(bits, last)
    if found is not None or char is None or not bits & 4:
        return found
    code = ord(char.upper() if bits & 1 and char.isalpha() else char)
    return CSI + form.format(modifier=bits + 1, code=code)


def xterm(key: str) -> str | None:
    """xterm with modifyOtherKeys; Ctrl with 2 to 8 keeps its old meaning there."""
    if key in {f"ctrl+{digit}" for digit in "2345678"}:
        return None
    return _extended(key, "27;{modifier};{code}~")


def tmux(key: str) -> str | None:
    """tmux with csi-u; its prefix never arrives."""
    return None if key == "ctrl+b" else _extended(key, "{code};{modifier}u")


def vscode(key: str) -> str | None:
    """VS Code's integrated terminal."""
    bits, last = _split(key)
    if key in _EATEN_BY_VSCODE or (bits & 5 == 5 and len(last) == 1):  # Ctrl+Shift+X is Ctrl+X, or the editor's
        return None
    return _legacy(bits, last)


TERMINALS = {"kitty": kitty, "xterm": xterm, "tmux": tmux, "vscode": vscode}
