"""Keys as terminals send them: one name for each chord, and every key where the one before it leads.

xterm's modifyOtherKeys, tmux's CSI u and kitty's protocol say the same chord in three ways. Over a slow line several
keys come in one read. A terminal that knows none of the three sends Alt+X as Escape and X, so that Escape and a key
typed after it look like Alt with that key. And a key that is looked at before the one in front of it has opened or
closed a dialog would go to the wrong place.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers import linux_driver
from textual.keys import _character_to_key
from textual.message import Message
from textual.screen import Screen

from cachetop_tui import terminal

_ESC: Final = "\x1b"
_WORD_BACK: Final = "\x7f"
"""Alt+Backspace, which takes a word away while text is typed."""
_STARTS: Final = "[]OP_\\"
"""What after Escape is the start of a longer sequence: of a key, or of a terminal's answer."""
_MODIFIED: Final = re.compile(r"\x1b\[(?:27;(?P<held>\d+);(?P<code>\d+)~|(?P<code_u>\d+);(?P<held_u>\d+)u)")
"""A key with its modifiers as xterm's modifyOtherKeys and as CSI u say it, both counted from 1."""
_SHIFT: Final = 1
_MENU: Final = "\x1b[29~"
"""The menu key of xterm and what follows it."""
_NEXT: Final = events.Event()
"""Stands for the key that is about to be sent."""
_PATIENCE: Final = 0.3
"""Seconds after which a key is taken to have been dealt with, whatever became of it."""


class Parser(XTermParser):
    """Gives a chord one name, however it is said: `ctrl+shift+p`, `alt+shift+k`.

    Takes Escape and what is no letter for two keys: no command has Alt with a digit or a sign.

    Both that and Alt with a letter are told at once, without waiting whether more comes, and also when the next key
    came in the same read.
    """

    _escaped = False
    """Whether Escape came before this character in something that turned out to be no sequence."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if sequence == _ESC:  # Textual would make a `^` of it
            self._escaped = True
            return
        alt, self._escaped = alt or self._escaped, False
        said = _said(sequence)
        if isinstance(said, events.Key):
            yield said
            return
        sequence = said
        if len(sequence) != 2 or sequence[0] != _ESC:
            if alt and not sequence.isalpha():  # what could have been the start of more
                yield events.Key("escape", _ESC)
                alt = False
            yield from super()._sequence_to_key_events(sequence, alt)
            return
        sign = sequence[1]
        known = tuple(super()._sequence_to_key_events(sequence))
        if known and (sign.isalpha() or sign == _WORD_BACK):
            yield from known
        elif sign.isalpha() and sign not in _STARTS:
            yield from super()._sequence_to_key_events(sign, alt=True)
        elif known or sign not in _STARTS:
            yield events.Key("escape", _ESC)
            yield from super()._sequence_to_key_events(sign)


def _said(sequence: str) -> str | events.Key:
    """`sequence` in the one way that Textual understands whole, or the key where it has none."""
    if sequence == _MENU:
        return events.Key("menu", None)
    match = _MODIFIED.fullmatch(sequence)
    if match is None:
        return sequence
    code, held = int(match["code"] or match["code_u"]), int(match["held"] or match["held_u"])
    char = chr(code) if code < 0x110000 else ""
    if held - 1 == _SHIFT and char.isprintable():  # what is typed, not a chord
        return events.Key(char if char.isalnum() else _character_to_key(char), char)
    return f"{_ESC}[{ord(char.lower()) if char.isascii() else code};{held}u"


class TerminalDriver(linux_driver.LinuxDriver):
    """Asks the terminal for what the app wants beyond Textual whenever the app has it, and takes that back with it."""

    _asked = False
    _suspended = False

    def suspend_application_mode(self) -> None:
        """See `Driver`."""
        self._suspended = True
        super().suspend_application_mode()

    def resume_application_mode(self) -> None:
        """See `Driver`. A terminal that closes sends SIGCONT with its SIGHUP: then there is nothing to resume."""
        if self._suspended:
            super().resume_application_mode()
            self._suspended = not self._in_front()

    def start_application_mode(self) -> None:
        """See `Driver`; where it must wait for the foreground, nothing is asked for yet."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not self._asked and self._in_front():
            self._asked = True
            self.write(terminal.opening(os.environ))

    def stop_application_mode(self) -> None:
        """See `Driver`."""
        if self._asked:
            self._asked = False
            self.write(terminal.closing(os.environ))
        super().stop_application_mode()

    def _in_front(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:  # no terminal of this session
            return True


def install() -> None:
    """Let the terminal's driver parse with `Parser`."""
    linux_driver.XTermParser = Parser  # type: ignore[attr-defined]


def apart(event: events.Key) -> tuple[events.Key, events.Key] | None:
    """Escape and the letter, where Alt with it came as two bytes; None for any other key.

    kitty's protocol says Alt without such doubt, and then there is no character with it.
    """
    head, _, letter = event.key.rpartition("+")
    if head not in ("alt", "alt+shift") or event.character is None or len(letter) != 1:
        return None
    return events.Key("escape", _ESC), events.Key(_character_to_key(event.character), event.character)


class TypedAhead(App[None]):
    """An app that looks at a key only when the one before it has been dealt with, in the right screen.

    Until the app says `ready`, keys wait and clicks mean nothing.
    """

    def get_driver_class(self) -> type[Driver]:
        """The terminal's driver, where Textual would take its own for a terminal."""
        usual = super().get_driver_class()
        return TerminalDriver if usual is linux_driver.LinuxDriver else usual

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: deque[events.Key] = deque()
        self._under_way: events.Event | None = None
        self._sent_from: Screen[object] | None = None
        self._waiting = True

    def leaves(self, key: str) -> bool:
        """Whether a key need not wait, since it ends the app."""
        return False

    async def ready(self) -> None:
        """Everything that a key could be meant for is there."""
        self._waiting = False
        if self._held and self._under_way is None:
            await self._send()

    async def on_event(self, event: events.Event) -> None:
        """Hold keys back while one is under way; everything else takes its usual course."""
        if isinstance(event, events.MouseEvent) and self._waiting:
            return
        if not isinstance(event, events.Key):
            await super().on_event(event)
        elif event.is_forwarded:  # nobody wanted it; now the bindings have their turn
            await super().on_event(event)
            self._dealt_with(event)
        else:
            self._held.append(event)
            if self._under_way is None and not (self._waiting and (len(self._held) > 1 or not self.leaves(event.key))):
                await self._send()

    async def _send(self) -> None:
        event = self._held.popleft()
        two = apart(event)
        if two is not None and not self._bound(event.key):
            event = two[0]
            self._held.appendleft(two[1])
        self._under_way, self._sent_from = event, self.screen
        target = self.focused or self.screen
        await super().on_event(event)
        if not event.is_forwarded or not target.call_later(self._passed, event):
            self._dealt_with(event)
        asyncio.get_running_loop().call_later(_PATIENCE, self._dealt_with, event)

    def _bound(self, key: str) -> bool:
        return any(key in bindings.key_to_bindings for _, bindings in self.screen._modal_binding_chain)

    def _passed(self, event: events.Key) -> None:
        """What had the focus has seen `event`; unless it kept it, it is on its way up to the app."""
        if event._stop_propagation:
            self._dealt_with(event)

    def _dealt_with(self, event: Message) -> None:
        if event is not self._under_way:
            return
        if self._held and self.is_running and self.screen is not self._sent_from:
            self._sent_from = self.screen
            self.screen.call_after_refresh(partial(self._dealt_with, event))  # until it can take keys
        elif self._held and self.is_running:
            self._under_way = _NEXT  # so that nobody sends it a second time
            self.call_next(self._send)
        else:
            self._under_way = None
