"""What documents share: a section's heading, a labelled value, a paragraph."""

from __future__ import annotations

from cachetop_tui.marks import Line, Pen, sentences
from cachetop_tui.paint import width_of

MARGIN = 2
LABEL = 16


def heading(text: str, width: int, note: str = "") -> list[Line]:
    """An empty line, then a section's name in bold capitals, `note` at its right."""
    pen = Pen(width)
    end = pen.put(MARGIN, text.upper(), "b:fg")
    if note and end + width_of(note) + 4 < width:
        pen.right(width - 2, note, "dim")
    return [Line(), pen.line()]


def fact(label: str, value: str, width: int, word: str = "fg", note: str = "") -> list[Line]:
    """A label and its value, wrapped below each other where the value is long; `note` after a short one."""
    out: list[Line] = []
    room = width - MARGIN - LABEL - 2
    for i, part in enumerate(sentences(value, room) or [""]):
        pen = Pen(width)
        if i == 0:
            pen.put(MARGIN, label, "dim")
        end = pen.put(MARGIN + LABEL, part, word)
        if i == 0 and note and end + 2 + width_of(note) < width:
            pen.put(end + 2, note, "faint")
        out.append(pen.line())
    return out


def paragraph(text: str, width: int, word: str = "fg") -> list[Line]:
    """`text` wrapped at the margin."""
    out = []
    for part in sentences(text, width - 2 * MARGIN):
        pen = Pen(width)
        pen.put(MARGIN, part, word)
        out.append(pen.line())
    return out
