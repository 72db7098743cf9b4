"""What a piece of a terminal's input means to the app: `cachetop keys` says it beside each key."""

from __future__ import annotations

from textual.events import Key

from cachetop_tui import settings
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.keyboard import Parser


def meaning(raw: str) -> str:
    """The commands that the bytes of one key run with the person's keymap, where they are in focus; else empty."""
    parser = Parser()
    found = [*parser.feed(raw), *parser.feed("")]
    names = {event.key for event in found if isinstance(event, Key)}
    keys = settings.keymap(settings.read(settings.path()))[0]
    return ", ".join(one.title for one in COMMANDS if names & set(keys.get(one.id, ())))
