"""The names of keys: as Textual has them, as people write them, and what was meant by one that is neither."""

from __future__ import annotations

import difflib
from typing import Final

from textual.keys import Keys, _character_to_key, key_to_character

_SHOWN: Final = {
    "question_mark": "?", "colon": ":", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]",
    "escape": "Esc", "comma": ",", "greater_than_sign": ">", "less_than_sign": "<", "full_stop": ".",
    "pageup": "PgUp", "pagedown": "PgDn", "backspace": "Backspace",
    "enter": "Enter", "space": "Space", "tab": "Tab", "delete": "Del", "apostrophe": "'", "minus": "-", "plus": "+",
    "up": "Up", "down": "Down", "left": "Left", "right": "Right", "home": "Home", "end": "End", "menu": "Menu",
}  # fmt: skip
_WRITTEN: Final = {
    **{shown.casefold(): name for name, shown in _SHOWN.items() if len(shown) > 1},
    "return": "enter", "esc": "escape", "ins": "insert", "control": "ctrl", "cmd": "super", "option": "alt",
}  # fmt: skip
_MODIFIERS: Final = ("alt", "ctrl", "hyper", "meta", "shift", "super")
"""In the order in which Textual names them."""
_NAMES: Final = frozenset({key.value for key in Keys} | {"menu"})


def shown(key: str) -> str:
    """A Textual key name as people write it: `question_mark` is `?`, `ctrl+q` is `Ctrl+Q`, `f1` is `F1`."""
    if "+" in key:
        *heads, last = key.split("+")
        return "+".join([*(head.capitalize() for head in heads), last.upper() if len(last) == 1 else shown(last)])
    found = _SHOWN.get(key)
    if found is None and len(key) > 1 and key not in _NAMES:
        found = key_to_character(key)
    return found or (key.upper() if key[:1] == "f" and key[1:].isdigit() else key)


def canonical(written: str) -> str | None:
    """Textual's name of a key as a person wrote it: `Ctrl+Shift+P`, `?`, `Esc`, `question_mark`; None for no key."""
    plus = written == "+" or written.endswith("++")
    *heads, last = [*written[:-2].split("+"), "+"] if plus else written.split("+")
    held = {_WRITTEN.get(head.strip().casefold(), head.strip().casefold()) for head in heads if head.strip()}
    if not held <= set(_MODIFIERS):
        return None
    last = last.strip() or ("space" if last else "")
    if len(last) == 1:
        if not last.isprintable():
            return None
        if last.isalpha() and (held - {"shift"}):
            last = last.lower()
        elif last.isalpha() and held:
            held, last = set(), last.upper()
        elif not last.isalnum():
            last = _character_to_key(last)
    else:
        last = _WRITTEN.get(last.casefold(), last.casefold())
        if last not in _NAMES and (key_to_character(last) is None or "+" in last):
            return None
    return "+".join([*(one for one in _MODIFIERS if one in held), last]) if last else None


def meant(written: str) -> str:
    """The nearest name of a key, as people write it; empty where none is near."""
    head, _, last = written.rpartition("+")
    known = {shown(name).casefold(): shown(name) for name in (*_SHOWN, *(f"f{n}" for n in range(1, 13)))}
    held = difflib.get_close_matches(head.casefold(), ("ctrl", "alt", "shift", "ctrl+shift", "alt+shift"), 1)
    key = difflib.get_close_matches(last.casefold(), known, 1)
    if head and not held:
        return ""
    name = last.upper() if len(last) == 1 else known[key[0]] if key else ""
    parts = [*(part.capitalize() for part in held[0].split("+")), name] if held else [name]
    return "+".join(parts) if name else ""
