"""A terminal as far as the app needs one: what stands in which cell, and in which style, after some bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rich.cells import get_character_cell_size

_TOKEN = re.compile(
    r"\x1b\[(?P<private>[?><=]?)(?P<numbers>[0-9;]*)(?P<mid>[ $]?)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[P_^][^\x1b]*\x1b\\|\x1b[()][0-9A-B]|\x1b[=>78]|(?P<char>[^\x1b])",
    re.DOTALL,
)


@dataclass
class Terminal:
    """`feed` it text; `text` is what it shows. What it does not know raises ValueError."""

    width: int = 80
    height: int = 24
    x: int = 0
    y: int = 0
    style: str = ""
    title: str = ""
    cells: list[list[tuple[str, str]]] = field(default_factory=list)
    modes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cells = [[(" ", "")] * self.width for _ in range(self.height)]

    def feed(self, text: str) -> Terminal:
        """Take what was written; the sequences must be whole."""
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"not understood: {text[at : at + 30]!r}")
            at = found.end()
            if found["char"]:
                self._print(found["char"])
            elif found["final"]:
                self._control(found["private"], found["numbers"], found["mid"] + found["final"])
            elif (found["osc"] or "").startswith("0;"):
                self.title = found["osc"][2:]
        return self

    @property
    def text(self) -> str:
        """The characters on the screen."""
        return "\n".join("".join(char for char, _ in row) for row in self.cells)

    def _print(self, char: str) -> None:
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.y = min(self.height - 1, self.y + 1)
        elif char >= " ":
            width = get_character_cell_size(char)
            if width == 0:
                base, style = self.cells[self.y][self.x - 1]
                self.cells[self.y][self.x - 1] = (base + char, style)
                return
            for i, part in enumerate((char, "")[:width]):
                if self.x + i < self.width:
                    self.cells[self.y][self.x + i] = (part, self.style)
            self.x = min(self.width - 1, self.x + width)  # no autowrap: the app turns it off

    def _control(self, private: str, numbers: str, final: str) -> None:
        values = [int(part or 0) for part in numbers.split(";")] if numbers else []
        if private:
            if private == "?" and final in "hl":
                (self.modes.add if final == "h" else self.modes.discard)(numbers)
        elif final == "H":
            self.y = min(self.height, max(1, values[0] if values else 1)) - 1
            self.x = min(self.width, max(1, values[1] if len(values) > 1 else 1)) - 1
        elif final == "C":
            self.x = min(self.width - 1, self.x + max(1, values[0] if values else 1))
        elif final == "m":
            self.style = restyled(self.style, values or [0])
        elif final == "J":
            self.cells = [[(" ", self.style)] * self.width for _ in range(self.height)]


_ENDS = {22: (1, 2), 23: (3,), 24: (4,), 25: (5,), 27: (7,), 29: (9,)}


def restyled(style: str, values: list[int]) -> str:
    """A style after SGR `values`: attributes in order, then colour, then background; as text that can be compared."""
    attributes, front, back = (part for part in (style or "||").split("|"))
    on = {int(part) for part in attributes.split(",") if part}
    left = iter(values)
    for value in left:
        if value == 0:
            on, front, back = set(), "", ""
        elif value in (38, 48):
            kind = next(left)
            color = ",".join(map(str, [kind, *(next(left) for _ in range(3 if kind == 2 else 1))]))
            front, back = (color, back) if value == 38 else (front, color)
        elif value in _ENDS:
            on -= set(_ENDS[value])
        elif 30 <= value <= 39 or 90 <= value <= 97:
            front = "" if value == 39 else f"ansi{value}"
        elif 40 <= value <= 49 or 100 <= value <= 107:
            back = "" if value == 49 else f"ansi{value - 10}"
        else:
            on.add(value)
    made = f"{','.join(map(str, sorted(on)))}|{front}|{back}"
    return "" if made == "||" else made
