"""The lines around the panes: top strip, footer, status bar, and the rule between panes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpu, Gpus
from cachetop_tui import themes, words
from cachetop_tui.commands.registry import COMMANDS, PANES, Here, hints, named
from cachetop_tui.paint import Canvas, width_of

NAMES = {
    "models": "Models", "kernels": "Kernels", "gpus": "GPU", "conversion": "Runs", "problems": "Problems",
    "settings": "Settings",
}  # fmt: skip
"""The activities: the panes, what needs attention, and the settings."""
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
    """The name of the app and the activities by their keys, the one in focus marked, what runs or is wrong counted."""

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
        self._places: list[tuple[int, int, str]] = []

    def show(self, pane: str, running: int, problems: int, note: str) -> None:
        """Mark `pane`; so many conversions and problems; `note` stands at the right, or its first word."""
        self._pane, self._note = pane, note
        self._counts = {"conversion": running, "problems": problems}
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it: as many activities as there is room for, the panes in any case."""
        x = canvas.put(1, 0, "cachetop", "b:fg") + 2 if canvas.width >= 70 else 0
        short = self._note.partition(" ")[0]
        limit = canvas.width - (width_of(short) + 2 if short else 0)
        taken = x + sum(len(name) + 5 for name in NAMES.values()) + 4  # and the counts
        gap = 3 if taken + 3 * len(NAMES) <= limit else 2 if canvas.width >= 70 else 1
        self._places = []
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
        """Tell which activity was clicked."""
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status bar says."""

    host: str = ""
    gpus: Gpus | None = None
    weights: int | None = None
    """Bytes of all models on disk, unfinished downloads among them, as the models pane counts."""
    kernels: int | None = None
    """Bytes of all kernel caches on disk."""
    stale: int = 0
    running: int = 0
    """Conversions that run or wait."""
    watch: tuple[str, str | None] | None = None
    read_only: bool = False
    paused: bool = False
    """Whether nothing is sent until this window has the focus again."""
    pane: str = "models"


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing the status bar says: `put`'s pieces, and the app's action when it is clicked."""

    pieces: tuple[str, ...]
    action: str = ""

    @property
    def width(self) -> int:
        return sum(width_of(text) for text in self.pieces[::2])


class Status(Painted):
    """Host, GPUs, totals, how changes are noticed, jobs, and the keys that lead everywhere. A click goes there."""

    DEFAULT_CSS = "Status { width: 1fr; height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="status")
        self._facts = Facts()
        self._places: list[tuple[int, int, str]] = []

    def show(self, facts: Facts) -> None:
        """Show these facts."""
        if facts != self._facts:
            self._facts = facts
            self.tooltip = facts.watch[1] if facts.watch else None
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it: the right side first, then as much of the left as fits."""
        facts, wide, middling = self._facts, canvas.width >= 150, canvas.width >= 110
        host = f" {clean(facts.host, 24)} "
        x = width_of(host)
        canvas.fill(0, x, 0, "accent")
        canvas.put(0, 0, host, "b:onaccent")
        self._places = [(0, x, "settings")]
        right = self._right(wide, middling, canvas.width)
        start = canvas.width - 1
        for i, item in enumerate(reversed(right)):
            start -= item.width + (0 if i == 0 else 2 if item.pieces[1] == "b:fg" else 3)  # keys stand closer
            self._put(canvas, start, item)
        for item in self._left(wide, middling):
            if x + 2 + item.width + 1 > start:
                break
            x = self._put(canvas, x + 2, item) + (1 if middling else 0)

    def _put(self, canvas: Canvas, x: int, item: _Item) -> int:
        end = canvas.run(x, 0, *item.pieces)
        self._places.append((x, end, item.action))
        return end

    def _left(self, wide: bool, middling: bool) -> list[_Item]:
        facts = self._facts
        whole = [gpu for gpu in (facts.gpus.gpus if facts.gpus else ()) if gpu.mig is None]
        out = [_Item(_gpu(gpu, middling, wide), "focus_pane('gpus')") for gpu in whole]
        if facts.gpus is not None and not facts.gpus.available:
            out.append(_Item(("no GPU", "dim"), "focus_pane('gpus')"))
        if middling and facts.weights is not None:
            out.append(_Item(("weights ", "dim", units.size(facts.weights), "fg"), "focus_pane('models')"))
        if middling and facts.kernels is not None:
            out.append(_Item(("kernels ", "dim", units.size(facts.kernels), "fg"), "focus_pane('kernels')"))
        if facts.stale:
            stale = f"▲ {facts.stale:,}" + (" stale" if middling else "")
            out.append(_Item((stale, "warn"), "focus_pane('problems')"))
        return out

    def _right(self, wide: bool, middling: bool, width: int) -> list[_Item]:
        facts = self._facts
        out: list[_Item] = []
        if facts.paused:
            out.append(_Item(("paused: not in focus" if middling else "paused", "warn"), "settings"))
        if facts.running:
            out.append(_Item((f"○ {words.count(facts.running, 'run')}", "live"), "focus_pane('conversion')"))
        if facts.watch and middling:
            mode = facts.watch[0]
            said = (("watch ", "dim") if wide else ()) + (clean(mode, 12), "fg" if mode == "inotify" else "warn")
            out.append(_Item(said, "focus_pane('problems')"))
        if facts.read_only and middling:
            out.append(_Item(("read-only", "warn"), "settings"))
        if not wide:
            wanted = ("commands", "keys") if width < 76 else ("filter", "convert", "commands", "keys")
            for command in COMMANDS:
                if command.hint in wanted and command.enabled(facts.pane):
                    out.append(_Item((command.key, "b:fg", f" {command.hint}", "dim"), command.action))
        return out

    async def on_click(self, event: events.Click) -> None:
        """Go where the item under the pointer leads."""
        for start, end, action in self._places:
            if start <= event.x < end:
                await self.app.run_action(action)
                return


def _gpu(gpu: Gpu, long: bool, wide: bool = False) -> tuple[str, ...]:
    name = f"GPU {gpu.index} " if long else f"G{gpu.index} "
    if wide and gpu.sm:
        name += f"{clean(gpu.sm, 12)} "
    if gpu.problem:
        return (name, "dim", "no answer" if long else "lost", "err")
    if gpu.memory is None:
        of = f" of {units.memory(gpu.shared.total)} RAM" if gpu.shared and long else ""
        return (name, "dim", f"{units.memory(gpu.in_use)}{of}", "fg")
    share = words.share(gpu.memory.used, gpu.memory.total)
    return (name, "dim", f"{share} of {units.memory(gpu.memory.total)}" if long else share, "fg")
