"""What a list says in its rows instead of a list."""

from __future__ import annotations

from cachetop.base.hostile import show
from cachetop_tui.marks import Row, sentences


def notes(text: str, width: int, word: str) -> list[Row]:
    """A sentence as rows the cursor steps over."""
    return [
        Row(f"note\0{text}\0{i}", "note", (line, word), fixed=True)
        for i, line in enumerate(sentences(show(text), width - 6))
    ]
