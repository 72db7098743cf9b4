"""Screens that end up in the size of the terminal, however fast that changes."""

from __future__ import annotations

from textual import events
from textual.screen import Screen, ScreenResultType


class Steady(Screen[ScreenResultType]):
    """Drops what tells of a size that the terminal has no more.

    Textual lays a screen out for the size in the event and then tells the screen its new size by another event: two
    different sizes in the queue would call each other up for ever. In a class with another screen it stands behind
    that one, whose styles Textual would not find otherwise.
    """

    async def on_event(self, event: events.Event) -> None:
        """See `MessagePump`."""
        if not isinstance(event, events.Resize) or event.size == self.app.size:
            await super().on_event(event)
