"""The status bar: the last line of the screen, each item of which leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual import events

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpu, Gpus
from cachetop_tui import words
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.workbench.chrome import Painted

_KEYS = ("filter", "convert", "commands", "keys")
"""The hints of the commands whose keys stand at the right where there is no line of hints; the first go first."""
_APART = 2
"""More GPUs than these are said as one where there is no room for all."""
_ALWAYS = 3
"""So many of them stand there in any case, the last ones; in a narrow terminal one less."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status bar says."""

    host: str = ""
    gpus: Gpus | None = None
    models: int | None = None
    """Bytes of all models on disk, unfinished downloads among them, as the models pane counts."""
    kernels: int | None = None
    """Bytes of all kernel caches on disk."""
    problems: int = 0
    running: int = 0
    """Conversions that run or wait."""
    watch: tuple[str, str | None] | None = None
    read_only: bool = False
    paused: bool = False
    """Whether nothing is sent until this window has the focus again."""
    pane: str = "models"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing the status bar says: `put`'s pieces, where a click leads (an action of the app), what it means."""

    pieces: tuple[str, ...]
    action: str
    tip: str

    @property
    def text(self) -> str:
        """Its words."""
        return "".join(self.pieces[::2])

    @property
    def width(self) -> int:
        """The cells it takes."""
        return sum(width_of(text) for text in self.pieces[::2])


class Status(Painted):
    """Host, GPUs, what needs attention, totals, jobs, how changes are noticed, and the keys that lead everywhere.

    A click on an item goes there. Where there is nowhere to go it says what the item means, as its tooltip does.
    """

    DEFAULT_CSS = "Status { width: 1fr; height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="status")
        self._facts = Facts()
        self._places: list[tuple[int, int, Item]] = []

    @property
    def places(self) -> list[tuple[int, int, Item]]:
        """(first column, the one after the last, the item) of everything in sight."""
        return self._places

    def show(self, facts: Facts) -> None:
        """Show these facts."""
        if facts != self._facts:
            self._facts = facts
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draw it: the right side first, with as many keys as leave room for what the left side says."""
        wide, middling = canvas.width >= 150, canvas.width >= 110
        host = Item((f" {clean(self._facts.host, 24)} ", "b:onaccent"), "settings", "This machine; a click: settings")
        canvas.fill(0, host.width, 0, "accent")
        self._places = []
        x = self._put(canvas, 0, host)
        gap = 3 if middling else 2
        states = list(_states(self._facts, wide, middling))
        keys = [] if wide else list(_keys(self._facts))
        left = list(_left(self._facts, wide, middling))
        room = canvas.width - x - 2
        least = _ALWAYS if canvas.width >= 76 else _ALWAYS - 1
        keys = keys if canvas.width >= 76 else keys[-least:]
        if sum(gap + item.width for item in left) + _taken([*states, *keys[-least:]]) > room:
            left, gap = list(_left(self._facts, wide, middling, short=True)), 2
        needed = sum(gap + item.width for item in left)
        while len(keys) > least and needed + _taken([*states, *keys]) > room:
            keys.pop(0)
        right = [*states, *keys]
        start = canvas.width - 1
        for i, item in enumerate(reversed(right)):
            start -= item.width + (_gap(item) if i else 0)
            self._put(canvas, start, item)
        x += 2
        for item in left:
            if x + item.width + 2 > start:
                break
            x = self._put(canvas, x, item) + gap

    def _put(self, canvas: Canvas, x: int, item: Item) -> int:
        end = canvas.run(x, 0, *item.pieces)
        self._places.append((x, end, item))
        return end

    def at(self, x: int) -> Item | None:
        """The item at a column."""
        return next((item for start, end, item in self._places if start <= x < end), None)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say what the item under the pointer means."""
        item = self.at(event.x)
        tip = item.tip if item is not None else None
        if tip != self.tooltip:
            self.tooltip = tip

    async def on_click(self, event: events.Click) -> None:
        """Go where the item under the pointer leads."""
        item = self.at(event.x)
        if item is not None and item.action:
            await self.app.run_action(item.action)
        elif item is not None:
            self.app.notify(item.tip, markup=False)


def _gap(item: Item) -> int:
    return 2 if item.pieces[1] == "b:fg" else 3  # keys stand closer


def _taken(items: list[Item]) -> int:
    return sum(item.width for item in items) + sum(_gap(item) for item in items[:-1]) + 1


def _left(facts: Facts, wide: bool, middling: bool, short: bool = False) -> Iterator[Item]:
    to_gpus = "focus_pane('gpus')"
    whole = [gpu for gpu in (facts.gpus.gpus if facts.gpus is not None else ()) if gpu.mig is None]
    if short and len(whole) > _APART:
        yield Item(_together(whole), to_gpus, "VRAM of all GPUs; a click: by process and model")
    else:
        for gpu in whole:
            name = clean(gpu.name or gpu.label, 60)
            yield Item(_gpu(gpu, middling, wide, short), to_gpus, f"VRAM of {name}; a click: by process and model")
    if facts.gpus is not None and not facts.gpus.available:
        yield Item(("no GPU", "dim"), to_gpus, clean(facts.gpus.reason or "The driver reports no GPU.", 200))
    if facts.problems:
        said = f"▲ {words.count(facts.problems, 'problem')}" if middling and not short else f"▲ {facts.problems:,}"
        yield Item((said, "warn"), "focus_pane('problems')", "What needs attention, each with its fix")
    if middling and facts.models is not None:
        size = ("models ", "dim", units.size(facts.models), "fg")
        yield Item(size, "focus_pane('models')", "Models on disk, unfinished downloads among them")
    if middling and facts.kernels is not None:
        size = ("kernels ", "dim", units.size(facts.kernels), "fg")
        yield Item(size, "focus_pane('kernels')", "Kernel caches on disk")


def _states(facts: Facts, wide: bool, middling: bool) -> Iterator[Item]:
    if facts.paused:
        text = "paused: not in focus" if middling else "paused"
        yield Item((text, "warn"), "", "Nothing is sent while another window has the focus.")
    if facts.running:
        said = f"○ {words.count(facts.running, 'run')}"
        yield Item((said, "live"), "focus_pane('conversion')", "Conversions that run or wait")
    good = facts.watch is None or facts.watch[0] == "inotify"
    if facts.watch and (middling or not good):
        mode, why = clean(facts.watch[0], 12), facts.watch[1]
        told = (("watch ", "dim") if wide else ()) + (mode, "fg" if good else "warn")
        tip = clean(why, 400) if why else f"Changes of the caches are noticed by {mode}."
        yield Item(told, "" if good else "focus_pane('problems')", tip)
    if facts.read_only:
        tip = "Nothing is deleted or brought back: started with --read-only, or CACHETOP_READ_ONLY is set."
        yield Item(("read-only", "warn"), "", tip)


def _keys(facts: Facts) -> Iterator[Item]:
    offered = [one for one in COMMANDS if one.hint in _KEYS and one.enabled(facts.pane)]
    for command in sorted(offered, key=lambda one: _KEYS.index(one.hint)):
        yield Item((command.key, "b:fg", f" {command.hint}", "dim"), command.action, command.help)


def _together(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """So many GPUs that they would take the whole line, as one."""
    memories = [gpu.memory for gpu in gpus if gpu.memory is not None]
    lost = sum(bool(gpu.problem) for gpu in gpus)
    share = words.share(sum(one.used for one in memories), sum(one.total for one in memories)) if memories else "?"
    told = (f"{len(gpus)} GPUs ", "dim", share, "fg")
    return (*told, f"  {lost} lost", "err") if lost else told


def _gpu(gpu: Gpu, long: bool, wide: bool = False, short: bool = False) -> tuple[str, ...]:
    name = f"GPU {gpu.index} " if long else f"G{gpu.index} "
    if wide and gpu.sm:
        name += f"{clean(gpu.sm, 12)} "
    if gpu.problem:
        return (name, "dim", "no answer" if long else "lost", "err")
    if gpu.memory is None:
        of = f" of {units.memory(gpu.shared.total)} RAM" if gpu.shared and long else ""
        return (name, "dim", f"{units.memory(gpu.in_use)}{of}", "fg")
    share = words.share(gpu.memory.used, gpu.memory.total)
    return (name, "dim", f"{share} of {units.memory(gpu.memory.total)}" if long and not short else share, "fg")
