"""The documents that are open: which tabs there are, which one is in front, and the strip that shows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.message import Message

from cachetop_tui import garbage
from cachetop_tui.cut import middle
from cachetop_tui.finding import Place
from cachetop_tui.marks import Line, Row
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.workbench.chrome import Painted

OVERVIEW = "Overview"
_TITLE = 24


@dataclass(frozen=True)
class Document:
    """Something that can be read in the editor area.

    `load` fetches what it shows, off the event loop, and may raise OSError, ValueError or LookupError with a sentence;
    `lines` lays that out for a width at a time.
    """

    key: str
    title: str
    trail: tuple[str, ...]
    """Where it belongs, from the whole to the part: the breadcrumbs."""
    load: Callable[[], Any]
    lines: Callable[[Any, int, float], list[Line]]
    act: Callable[[Any], Awaitable[None]] | None = None
    """What Enter does with the target of a `Link` among its lines."""
    head: Callable[[Any, int], list[Line]] | None = None
    """Its first lines, which stay in sight while the others scroll."""
    rows: Callable[[Any, Mapping[str, bool], int], list[Row]] | None = None
    """Instead of lines: rows that fold, given which the person folded or unfolded; each one's subject is its line."""
    places: Callable[[Any], Iterator[Place]] | None = None
    """Of rows that fold: everything that can be found by unfolding them."""
    slow: bool = False
    """Laying out its lines may take longer than the event loop may be held: it is done beside it, once for a width."""


@dataclass
class Tab:
    """An open document; a preview gives way to the next one, a pinned tab stays until it is closed."""

    document: Document
    pinned: bool = False
    record: Any = None
    problem: str = ""
    laid: tuple[Any, int, list[Row]] | None = None
    """Of a `slow` document: what was laid out last, for which width, and the rows that it gave."""


class Tabs:
    """The open documents in order. `front` is the index of the one that is seen, -1 for the overview."""

    def __init__(self) -> None:
        self.tabs: list[Tab] = []
        self.front = -1

    @property
    def current(self) -> Tab | None:
        """The tab in front, None for the overview."""
        return self.tabs[self.front] if 0 <= self.front < len(self.tabs) else None

    def open(self, document: Document) -> Tab:
        """Bring a document to the front: as a preview the first time, pinned if it was in front already."""
        for i, tab in enumerate(self.tabs):
            if tab.document.key == document.key:
                tab.pinned = tab.pinned or i == self.front
                self.front = i
                return tab
        fresh = Tab(document)
        preview = next((i for i, tab in enumerate(self.tabs) if not tab.pinned), None)
        if preview is None:
            self.tabs.append(fresh)
            self.front = len(self.tabs) - 1
        else:
            _let_go(self.tabs[preview])
            self.tabs[preview] = fresh
            self.front = preview
        return fresh

    def close(self) -> None:
        """Close the tab in front; the one before it, or the overview, comes to the front."""
        if self.current is not None:
            _let_go(self.tabs.pop(self.front))
            self.front -= 1

    def step(self, by: int) -> None:
        """The next tab (1) or the one before (-1), the overview among them."""
        self.front = (self.front + 1 + by) % (len(self.tabs) + 1) - 1


def _let_go(tab: Tab) -> None:
    """Give up what a closed tab has laid out, which may be very many lines."""
    if tab.laid is not None:
        garbage.let_go(tab.laid[2])
        tab.laid = None


class TabStrip(Painted):
    """The overview and the open documents; a preview in italics, the one in front on the editor's ground."""

    DEFAULT_CSS = "TabStrip { width: 1fr; height: 1; display: none; }"

    class Picked(Message):
        """A tab was clicked; -1 is the overview."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, tabs: Tabs) -> None:
        super().__init__(id="tabs")
        self._tabs = tabs
        self._places: list[tuple[int, int, int]] = []

    @property
    def places(self) -> list[tuple[int, int, int]]:
        """(first column, the one after the last, index of the tab) of every title in sight."""
        return self._places

    def paint(self, canvas: Canvas) -> None:
        """Draw it; when there is no room for all, from the one in front backwards."""
        titles = [OVERVIEW, *(middle(tab.document.title, _TITLE) for tab in self._tabs.tabs)]
        front = self._tabs.front + 1
        first = 0
        while first < front and sum(width_of(title) + 3 for title in titles[first : front + 1]) > canvas.width:
            first += 1
        x = 0
        self._places = []
        for number in range(first, len(titles)):
            end = x + width_of(titles[number]) + 3
            if end > canvas.width and number != front:
                break
            preview = number > 0 and not self._tabs.tabs[number - 1].pinned
            if number == front:
                canvas.fill(x, end, 0, "bg")
                canvas.put(x, 0, "▎", "accent")
            flags = ("b" if number == front else "") + ("i" if preview else "")
            canvas.put(x + 1, 0, titles[number], f"{flags}:{'hi' if number == front else 'dim'}")
            self._places.append((x, end, number - 1))
            x = end
        if x + 2 < canvas.width and len(titles) > first + len(self._places):
            canvas.put(x, 0, "…", "dim")

    def on_click(self, event: events.Click) -> None:
        """Tell which tab was clicked."""
        for start, end, index in self._places:
            if start <= event.x < end:
                self.post_message(self.Picked(index))
