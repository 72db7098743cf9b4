"""The sixteen-colour theme, with the colours that terminals give to the slots by default: can everything be read?"""

from __future__ import annotations

import pytest

from app.test_app_settings import contrast
from cachetop_tui.themes.tokens import ANSI

PALETTES = {
    "xterm": "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 "
    "7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff",
    "VS Code": "000000 cd3131 0dbc79 e5e510 2472c8 bc3fbc 11a8cd e5e5e5 "
    "666666 f14c4c 23d18b f5f543 3b8eea d670d6 29b8db e5e5e5",
    "Linux console": "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa "
    "555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff",
    "Tango": "2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf "
    "555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec",
}
"""Slots 0 to 15 as documented: xterm (XTerm-col.ad), VS Code (terminal.ansi*), Linux (vt.c), the Tango palette."""
FAINTER = {"VS Code": {"sel", "accent"}, "xterm": {"badge"}}
"""Grounds on which bold text holds 3.8 to 1. VS Code raises what is below 4.5 by itself (`minimumContrastRatio`)."""


@pytest.mark.parametrize("name", PALETTES)
def test_what_must_be_read_can_be_with_the_usual_slots(name: str) -> None:
    slots = [f"#{colour}" for colour in PALETTES[name].split()]
    texts = ["hi", "fg", "dim", "faint", "link", "live", "ok", "warn", "err", "p.export", "v.b"]
    pairs = [(text, "bg") for text in (*texts, *(token for token in ANSI if token.startswith("s.")))]
    pairs += [("onaccent", "accent"), ("hi", "sel"), ("hi", "badge")]
    pairs += [("ink", token) for token in ANSI if token.startswith(("p.", "v."))]
    least = 3.0 if name == "Tango" else 4.5  # its slot 0, the ground, is a grey: that the terminal decides
    poor = {}
    for text, ground in pairs:
        wanted = min(least, 3.8) if ground in FAINTER.get(name, ()) else least
        found = contrast(slots[ANSI[text]], slots[ANSI[ground]])
        if found < wanted:
            poor[f"{text} on {ground}"] = round(found, 2)
    assert poor == {}
