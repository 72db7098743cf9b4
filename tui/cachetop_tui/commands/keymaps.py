"""Which keys run which command: data, by command id, in three routes.

`plain` are single keys that arrive in every terminal while no text is typed; `safe` chords survive tmux's prefix and
VS Code's own terminal: function keys 2, 4, 7 to 9 and 12, also with Shift, and Alt with a letter other than b and f;
`chords` are what VS Code users' fingers know, where the terminal sends them. The first plain key is the one shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cachetop_tui.commands.keynames import canonical

Keymap = Mapping[str, tuple[str, ...]]
"""Command id to Textual key names, the one to show first."""


@dataclass(frozen=True)
class Routes:
    """The keys of one command, by where they arrive. A key that arrives everywhere may stand in all three."""

    plain: tuple[str, ...]
    safe: tuple[str, ...]
    chords: tuple[str, ...]


ROUTES: Final[dict[str, Routes]] = {
    "models.focus": Routes(("1",), ("alt+m",), ("ctrl+1",)),
    "kernels.focus": Routes(("2",), ("alt+k",), ("ctrl+2",)),
    "gpus.focus": Routes(("3",), ("alt+g",), ("ctrl+3",)),
    "runs.focus": Routes(("4",), ("alt+r",), ("ctrl+4",)),
    "problems.focus": Routes(("5",), ("alt+p",), ("ctrl+shift+m", "ctrl+5")),
    "pane.next": Routes(("tab",), ("alt+n",), ("f6",)),
    "pane.previous": Routes(("shift+tab",), ("alt+u",), ("shift+f6",)),
    "view.side": Routes(("b",), ("f9",), ("ctrl+b",)),
    "view.glance": Routes(("B",), ("alt+shift+g",), ("ctrl+shift+g",)),
    "view.jump": Routes(("g",), ("alt+shift+l",), ("ctrl+g",)),
    "view.panel": Routes(("o",), ("f8",), ("ctrl+j",)),
    "pane.maximise": Routes(("z",), ("alt+z",), ("f11",)),
    "tab.next": Routes(("greater_than_sign",), ("alt+l",), ("ctrl+pagedown",)),
    "tab.previous": Routes(("less_than_sign",), ("alt+h",), ("ctrl+pageup",)),
    "tab.close": Routes(("w",), ("alt+w",), ("ctrl+w", "ctrl+f4")),
    "process.signal": Routes(("s",), ("alt+i",), ("ctrl+shift+k",)),
    "runs.new": Routes(("n", "c"), ("alt+c",), ("ctrl+n",)),
    "list.filter": Routes(("f",), ("alt+s",), ("ctrl+f",)),
    "plan.marked": Routes(("delete", "d"), ("alt+d",), ("ctrl+d",)),
    "kernels.stale": Routes(("P",), ("alt+e",), ("ctrl+shift+x",)),
    "models.warm": Routes(("W",), ("alt+shift+w",), ("alt+shift+w",)),
    "models.drop": Routes(("D",), ("alt+shift+d",), ("alt+shift+d",)),
    "models.verify": Routes(("C",), ("alt+shift+k",), ("alt+shift+k",)),
    "models.verify.all": Routes(("A",), ("alt+shift+a",), ("alt+shift+a",)),
    "models.cancel": Routes(("X",), ("alt+shift+q",), ("alt+shift+q",)),
    "models.preset": Routes(("p",), ("alt+shift+p",), ("alt+shift+p",)),
    "preset.biggest": Routes(("6",), ("shift+f4",), ("shift+f4",)),
    "preset.unused": Routes(("7",), ("shift+f7",), ("shift+f7",)),
    "preset.superseded": Routes(("8",), ("shift+f8",), ("shift+f8",)),
    "preset.partials": Routes(("9",), ("shift+f9",), ("shift+f9",)),
    "preset.all": Routes(("0",), ("shift+f12",), ("shift+f12",)),
    "models.superseded": Routes(("S",), ("alt+shift+s",), ("ctrl+shift+s",)),
    "prune.undo": Routes(("U",), ("shift+f2",), ("ctrl+z",)),
    "prune.trash": Routes(("T",), ("alt+shift+t",), ("alt+shift+t",)),
    "prune.cancel": Routes(("K",), ("alt+shift+z",), ("alt+shift+z",)),
    "copy": Routes(("y",), ("alt+y",), ("ctrl+shift+c",)),
    "menu.show": Routes(("m",), ("alt+a",), ("shift+f10", "menu")),
    "list.find": Routes(("apostrophe",), ("alt+j",), ("ctrl+shift+f",)),
    "list.up": Routes(("up", "k"), ("up",), ("up",)),
    "list.down": Routes(("down", "j"), ("down",), ("down",)),
    "list.pageup": Routes(("pageup",), ("pageup",), ("pageup",)),
    "list.pagedown": Routes(("pagedown",), ("pagedown",), ("pagedown",)),
    "list.home": Routes(("home",), ("home",), ("home",)),
    "list.end": Routes(("end",), ("end",), ("end",)),
    "list.unfold": Routes(("right", "l"), ("right",), ("right",)),
    "list.fold": Routes(("left", "h"), ("left",), ("left",)),
    "list.fold.all": Routes(("minus",), ("alt+shift+h",), ("ctrl+left",)),
    "list.open": Routes(("enter",), ("enter",), ("enter",)),
    "list.mark": Routes(("space",), ("space",), ("space",)),
    "document.leave": Routes(("escape",), ("escape",), ("escape",)),
    "document.find": Routes(("f",), ("alt+s",), ("ctrl+f",)),
    "document.pin": Routes(("enter",), ("enter",), ("enter",)),
    "kernel.stage": Routes(("v",), ("alt+v",), ("ctrl+tab",)),
    **{f"kernel.stage.{n}": Routes((str(n),), (str(n),), (str(n),)) for n in range(1, 8)},
    "kernel.diff": Routes(("x",), ("alt+shift+f",), ("ctrl+shift+d",)),
    "runs.earlier": Routes(("left_square_bracket", "left", "h"), ("left",), ("alt+left",)),
    "runs.later": Routes(("right_square_bracket", "right", "l"), ("right",), ("alt+right",)),
    "runs.tab": Routes(("v",), ("alt+v",), ("ctrl+tab",)),
    "runs.tab.back": Routes(("V",), ("alt+shift+v",), ("ctrl+shift+tab",)),
    "runs.up": Routes(("up", "k"), ("up",), ("up",)),
    "runs.down": Routes(("down", "j"), ("down",), ("down",)),
    "runs.pageup": Routes(("pageup",), ("pageup",), ("pageup",)),
    "runs.pagedown": Routes(("pagedown",), ("pagedown",), ("pagedown",)),
    "runs.open": Routes(("enter",), ("enter",), ("enter",)),
    "runs.result": Routes(("e",), ("alt+shift+e",), ("ctrl+shift+v",)),
    "runs.tree": Routes(("J",), ("alt+shift+j",), ("ctrl+shift+j",)),
    "runs.folder": Routes(("O",), ("alt+shift+o",), ("ctrl+shift+r",)),
    "runs.copy": Routes(("Y",), ("alt+shift+y",), ("ctrl+shift+y",)),
    "runs.cold": Routes(("C",), ("alt+shift+x",), ("ctrl+shift+f5",)),
    "runs.cancel": Routes(("x",), ("alt+shift+c",), ("shift+f5",)),
    "runs.unload": Routes(("u",), ("alt+shift+u",), ("ctrl+u",)),
    "scan.again": Routes(("r",), ("f7",), ("f5", "ctrl+r")),
    "theme.next": Routes(("t",), ("f12",), ("ctrl+t",)),
    "theme.dark": Routes(("N",), ("alt+shift+n",), ("alt+shift+n",)),
    "theme.light": Routes(("L",), ("alt+shift+m",), ("alt+shift+m",)),
    "theme.contrast": Routes(("H",), ("alt+shift+r",), ("alt+shift+r",)),
    "theme.ansi": Routes(("I",), ("alt+shift+i",), ("alt+shift+i",)),
    "open.quick": Routes(("slash",), ("alt+o",), ("ctrl+p",)),
    "commands.show": Routes(("colon",), ("alt+x",), ("f1", "ctrl+shift+p")),
    "settings.show": Routes(("comma",), ("f2",), ("ctrl+comma",)),
    "settings.reset": Routes(("delete", "backspace"), ("alt+d",), ("ctrl+d",)),
    "settings.edit": Routes(("E",), ("alt+t",), ("ctrl+shift+e",)),
    "keys.show": Routes(("question_mark",), ("f4",), ("ctrl+k",)),
    "quit.how": Routes(("ctrl+c",), ("ctrl+c",), ("ctrl+c",)),
    "app.quit": Routes(("q",), ("alt+q",), ("ctrl+q",)),
}


KEYMAPS: Final[dict[str, Keymap]] = {
    "vscode": {name: tuple(dict.fromkeys((*one.plain, *one.safe, *one.chords))) for name, one in ROUTES.items()},
    "safe": {name: tuple(dict.fromkeys((*one.plain, *one.safe))) for name, one in ROUTES.items()},
}
"""The keymaps that come with cachetop; `vscode` is the default."""


@dataclass(frozen=True)
class Clash:
    """One key that two bindings want in the same place."""

    key: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.key} is wanted by {self.first} and by {self.second}"


def merged(base: Keymap, own: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """`base` with a person's own keys over it: a command named there has those keys alone, none for an empty list.

    Keys are taken as people write them; what is no key is left out.
    """
    return {**base, **{name: _known(keys) for name, keys in own.items()}}


def _known(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for key in keys if (name := canonical(key)) is not None))


def clashes(
    bindings: Iterable[tuple[str, Iterable[str], frozenset[str]]],
) -> list[Clash]:
    """Keys bound twice where both apply. A binding is (id, keys, the panes in which it holds; empty: all)."""
    seen: dict[str, list[tuple[str, frozenset[str]]]] = {}
    out: list[Clash] = []
    for name, keys, panes in bindings:
        for key in keys:
            for other, where in seen.get(key, ()):
                if other != name and (not panes or not where or panes & where):
                    out.append(Clash(key, other, name))
            seen.setdefault(key, []).append((name, panes))
    return out
