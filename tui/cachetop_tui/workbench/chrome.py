"""The lines around the panes: top strip, footer, and the rule between panes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cachetop_tui import themes
from cachetop_tui.commands.registry import PANES, Here, hints, named
from cachetop_tui.cut import middle
from cachetop_tui.paint import Canvas, width_of

NAMES = {
    "models": "Models", "kernels": "Kernels", "gpus": "GPU", "conversion": "Runs", "problems": "Problems",
    "settings": "Settings",
}  # fmt: skip
"""The activities: the panes, what needs attention, and the settings."""
QUICK_OPEN = "quick open"
"""What is picked in the first line where no activity is."""
_COMMANDS = {"conversion": "runs.focus", "settings": "settings.show"}


def key_of(activity: str) -> str:
    """The key that goes to an activity, as people write it."""
    return named(_COMMANDS.get(activity, f"{activity}.focus")).key


class Painted(Widget):
    """A widget that paints itself on a canvas and refreshes only the lines that changed."""

    BACKGROUND: ClassVar[str] = "side"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._look: object = None

    def paint(self, canvas: Canvas) -> None:
        """Draw everything."""
        raise NotImplementedError

    def repaint(self, quiet: bool = False) -> None:
        """Draw anew and send what changed; `quiet`: while the lines are being asked for anyway."""
        if self.size.width == 0 or not (quiet or self.is_mounted):
            return
        palette = themes.current(self.app)
        canvas = Canvas(*self.size, self.BACKGROUND, palette)
        self.paint(canvas)
        before, self._strips = self._strips, canvas.strips()
        changed = [
            Region(0, y, self.size.width, 1)
            for y, strip in enumerate(self._strips)
            if self._look is not palette or y >= len(before) or before[y] != strip
        ]
        self._look = palette
        if changed and not quiet:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """A finished line, as Textual asks for it; in the first frame before it tells the size."""
        if len(self._strips) != self.size.height or self._strips[0].cell_length != self.size.width:
            self.repaint(quiet=True)
        if y < len(self._strips) and self._strips[y].cell_length == self.size.width:
            return self._strips[y]
        return Strip.blank(self.size.width, themes.current(self.app).style("fg", self.BACKGROUND))

    def on_resize(self) -> None:
        """Lay out for the new width."""
        self.repaint()


class Divider(Painted):
    """The line between panes that stand side by side."""

    BACKGROUND = "bg"
    DEFAULT_CSS = "Divider { width: 1; height: 1fr; }"

    def paint(self, canvas: Canvas) -> None:
        """Draw it."""
        for y in range(canvas.height):
            canvas.put(0, y, "│", "line")


class TopStrip(Painted):
    """The first line. Where there is an activity bar: the breadcrumbs of the row under the cursor, each name whole, and
    the way to everything else. Elsewhere the activities by their keys, the one in focus marked, what runs or is wrong
    counted."""

    DEFAULT_CSS = "TopStrip { width: 1fr; height: 1; }"

    class Picked(Message):
        """An activity was clicked."""

        def __init__(self, activity: str) -> None:
            super().__init__()
            self.activity = activity

    def __init__(self) -> None:
        super().__init__(id="top")
        self._pane = PANES[0]
        self._counts: dict[str, int] = {}
        self._note = ""
        self._crumbs: Sequence[str] = ()
        self._places: list[tuple[int, int, str]] = []

    def show(self, pane: str, running: int, problems: int, note: str, crumbs: Sequence[str] = ()) -> None:
        """Mark `pane`; so many conversions and problems; `note` stands at the right, or its first word.

        With `crumbs` they stand there instead of the activities.
        """
        self._pane, self._note, self._crumbs = pane, note, crumbs
        self._counts = {"conversion": running, "problems": problems}
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it."""
        self._places = []
        if self._crumbs:
            self._paint_crumbs(canvas)
        else:
            self._paint_activities(canvas)

    def _paint_crumbs(self, canvas: Canvas) -> None:
        x = canvas.put(1, 0, "cachetop", "b:fg") + 3
        end = canvas.width - 1
        if self._note:
            end = canvas.right(end, 0, self._note, "warn") - 3
        key = named("open.quick").key
        said = (key, "b:fg", " go to  ", "dim", "@", "link", " repo  ", "dim", "#", "link", " kernel  ", "dim", "%",
                "link", " process", "dim")  # fmt: skip
        wide = sum(width_of(text) for text in said[::2])
        if end - wide > canvas.width // 2:
            start = canvas.right(end, 0, *said)
            self._places.append((start, end, QUICK_OPEN))
            end = start - 3
        last = len(self._crumbs) - 1
        for i, step in enumerate(self._crumbs):
            start = x
            x = canvas.put(x, 0, middle(step, end - x), "b:hi" if i == last else "dim")
            if i == 0:
                self._places.append((start, x, self._pane))
            if i == last or x + 6 > end:
                break
            x = canvas.put(x, 0, " › ", "faint")

    def _paint_activities(self, canvas: Canvas) -> None:
        """As many activities as there is room for, the panes in any case."""
        x = canvas.put(1, 0, "cachetop", "b:fg") + 2 if canvas.width >= 70 else 0
        short = self._note.partition(" ")[0].rstrip(",")
        limit = canvas.width - (width_of(short) + 2 if short else 0)
        taken = x + sum(len(name) + 5 for name in NAMES.values()) + 4  # and the counts
        gap = 3 if taken + 3 * len(NAMES) <= limit else 2 if canvas.width >= 70 else 1
        for activity, name in NAMES.items():
            on = activity == self._pane
            key = key_of(activity)
            number = self._counts.get(activity, 0)
            count = f" {number:,}" if number else ""
            end = x + 2 + len(key) + len(name) + len(count) + 1
            if end - 1 > limit and activity not in PANES:
                break
            if on:
                canvas.fill(x, end, 0, "bg")
                canvas.put(x, 0, "▎", "accent")
            at = canvas.run(x + 1, 0, key, "fg" if on else "faint", f" {name}", "b:hi" if on else "dim")
            canvas.put(at, 0, count, "warn" if activity == "problems" else "live")
            self._places.append((x, end, activity))
            x = end + gap - 1
        for note in (self._note, short):
            if note and x + width_of(note) + 2 < canvas.width:
                canvas.right(canvas.width - 1, 0, note, "warn")
                break

    def on_click(self, event: events.Click) -> None:
        """Tell which activity was clicked, or that somebody wants to go to something by its name."""
        for start, end, activity in self._places:
            if start <= event.x < end:
                self.post_message(self.Picked(activity))


class Hints(Painted):
    """The keys that work now, from the registry."""

    DEFAULT_CSS = "Hints { width: 1fr; height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="hints")
        self._keys: Sequence[tuple[str, str]] = ()

    def show(self, where: Here) -> None:
        """The keys that work here."""
        stages = where.pane == "document" and where.kernel
        ends = ("kernel.stage.1", "kernel.stage.7") if stages else ("models.focus", "problems.focus")
        first, last = (named(name).key for name in ends)
        span = (f"{first}-{last}", "stages" if stages else "panes")
        self._keys = [span, *hints(where)] if stages else [*hints(where), span]
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it."""
        x = 1
        for key, what in self._keys:
            if x + len(key) + len(what) + 2 > canvas.width:
                break
            x = canvas.put(x, 0, key, "b:fg")
            x = canvas.put(x + 1, 0, what, "dim") + 3
