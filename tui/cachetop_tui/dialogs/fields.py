"""One-line form fields, painted like the rest of the app: a choice among words, and ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cachetop.base.hostile import clean
from cachetop_tui import themes
from cachetop_tui.cut import head, middle
from cachetop_tui.paint import Canvas

LABEL_WIDTH = 12
BACKGROUND = "head"


@dataclass(frozen=True)
class Option:
    """One value of a choice: what it is, how it is written, what it means, and the style word of that."""

    value: str
    text: str
    note: str = ""
    word: str = "dim"


class Field(Widget, can_focus=True):
    """A painted line with a label; up and down go to the neighbouring fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "previous field", show=False),
        Binding("down", "app.focus_next", "next field", show=False),
        Binding("enter", "enter", "start", show=False),
    ]
    DEFAULT_CSS = "Field { height: 1; width: 1fr; }"

    class Changed(Message):
        """The person chose another value."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

        @property
        def control(self) -> Field:
            """The field."""
            return self.field

    class Entered(Message):
        """Enter was pressed on a field that has no use for it itself."""

    def action_enter(self) -> None:
        """Tell the form."""
        self.post_message(self.Entered())

    def __init__(self, label: str, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.label = label
        self._marks: list[tuple[int, int]] = []

    def render_line(self, y: int) -> Strip:
        """The line, as Textual asks for it."""
        canvas = Canvas(self.size.width, 1, BACKGROUND, themes.current(self.app))
        if self.has_focus:
            canvas.put(0, 0, "▎", "accent")
        canvas.put(2, 0, self.label, "fg" if self.has_focus else "dim")
        self.paint(canvas)
        return canvas.strips()[0]

    def paint(self, canvas: Canvas) -> None:
        """Draw what stands after the label."""
        raise NotImplementedError

    def on_focus(self) -> None:
        """Show the focus mark."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the focus mark."""
        self.refresh()


class Choice(Field):
    """One of several values; left and right, or a click, go through them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "previous value", show=False),
        Binding("right,space", "turn(1)", "next value", show=False),
    ]

    def __init__(self, label: str, options: Sequence[Option], *, id: str) -> None:  # noqa: A002
        super().__init__(label, id=id)
        self.options = tuple(options)
        self.index = 0
        self._remark: tuple[str, str] | None = None

    def remark(self, text: str, word: str) -> None:
        """Say this of the chosen value instead of its own note, until another is chosen."""
        self._remark = text, word
        self.refresh()

    @property
    def option(self) -> Option:
        """The chosen option."""
        return self.options[self.index]

    @property
    def value(self) -> str:
        """The chosen value."""
        return self.option.value

    def choose(self, value: str) -> None:
        """Choose the option with that value, if there is one."""
        self.index = next((i for i, one in enumerate(self.options) if one.value == value), self.index)
        self.refresh()

    def offer(self, options: Sequence[Option]) -> None:
        """Replace the options, keeping the chosen value where it is still among them."""
        value = self.value
        self.options, self.index = tuple(options), 0
        self.choose(value)

    def action_turn(self, by: int) -> None:
        """The next value (1) or the one before (-1)."""
        self.index = (self.index + by) % len(self.options)
        self._remark = None
        self.refresh()
        self.post_message(self.Changed(self))

    def paint(self, canvas: Canvas) -> None:
        """The value between its arrows, then what it means."""
        option = self.option
        note, word = self._remark or (option.note, option.word)
        room = canvas.width - LABEL_WIDTH - 6
        text = middle(clean(option.text), max(8, room if not note else int(room * 0.55)), tail=0.6)
        arrows = "link" if self.has_focus else "faint"
        x = canvas.run(LABEL_WIDTH, 0, "‹ " if not canvas.palette.ascii_only else "< ", arrows, text, "b:hi")
        x = canvas.put(x, 0, " ›", arrows)
        self._marks = [(LABEL_WIDTH, x)]
        canvas.put(x + 2, 0, head(clean(note), canvas.width - x - 3), word)

    def on_click(self, event: events.Click) -> None:
        """The left arrow goes back, anything else forward."""
        self.action_turn(-1 if event.x <= LABEL_WIDTH + 1 else 1)


class Ticks(Field):
    """Any of several words; left and right move, Space ticks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "go(-1)", "the one before", show=False),
        Binding("right", "go(1)", "the next one", show=False),
        Binding("space", "tick", "tick", show=False),
    ]

    def __init__(
        self,
        label: str,
        words: Sequence[str],
        chosen: Sequence[str],
        *,
        id: str,  # noqa: A002
        least: int = 1,
    ) -> None:
        """`least` ticks always stay."""
        super().__init__(label, id=id)
        self.least = least
        self.words = tuple(words)
        self.chosen = set(chosen)
        self.at = 0
        self._first = 0

    def _begin(self, room: int) -> int:
        """The first word to show, so that the one at hand is in sight."""
        first = 0
        while self.has_focus and first < self.at and sum(len(w) + 5 for w in self.words[first : self.at + 1]) > room:
            first += 1
        return first

    @property
    def values(self) -> tuple[str, ...]:
        """The ticked words, in their order."""
        return tuple(word for word in self.words if word in self.chosen)

    def action_go(self, by: int) -> None:
        """Move among the words."""
        self.at = (self.at + by) % len(self.words)
        self.refresh()

    def action_tick(self) -> None:
        """Tick the word or take its tick away; the last tick stays."""
        word = self.words[self.at]
        if word not in self.chosen:
            self.chosen.add(word)
        elif len(self.chosen) > self.least:
            self.chosen.discard(word)
        self.refresh()
        self.post_message(self.Changed(self))

    def paint(self, canvas: Canvas) -> None:
        """The words, each with its tick; where there is no room for all, those around the one at hand."""
        x = LABEL_WIDTH
        self._marks = []
        self._first = first = self._begin(canvas.width - x - 2)
        if first:
            canvas.put(x - 2, 0, "<" if canvas.palette.ascii_only else "‹", "link")
        for number, word in enumerate(self.words[first:], first):
            start = x
            if x + len(word) + 3 > canvas.width:
                canvas.put(canvas.width - 1, 0, "›", "link" if self.has_focus else "faint")
                break
            on = word in self.chosen
            here = self.has_focus and number == self.at
            x = canvas.put(x, 0, "✓ " if on else "· ", "ok" if on else "faint")
            x = canvas.put(x, 0, word, ("bu:" if here else "b:" if on else "") + ("hi" if on or here else "dim"))
            self._marks.append((start, x))
            x += 3
        if self.has_focus and x + 12 < canvas.width:
            canvas.put(x, 0, "Space ticks", "faint")

    def on_click(self, event: events.Click) -> None:
        """Tick the word that was clicked."""
        for number, (start, end) in enumerate(self._marks, self._first):
            if start <= event.x < end:
                self.at = number
                self.action_tick()


class Press(Field):
    """A button of one line. Enter, Space or a click presses it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "press", show=False),
        Binding("left", "app.focus_previous", "previous field", show=False),
        Binding("right", "app.focus_next", "next field", show=False),
    ]
    DEFAULT_CSS = "Press { width: 14; margin: 0 1; }"

    class Pressed(Message):
        """The button was pressed."""

        def __init__(self, button: Press) -> None:
            super().__init__()
            self.button = button

        @property
        def control(self) -> Press:
            """The button."""
            return self.button

    def __init__(self, label: str, *, id: str, default: bool = False) -> None:  # noqa: A002
        super().__init__(label, id=id)
        self.default = default
        """Whether it is the one to press if in doubt: it stands out while no button has the focus."""

    def render_line(self, y: int) -> Strip:
        """The button: filled while it has the focus, in brackets where colour cannot be relied on."""
        palette = themes.current(self.app)
        canvas = Canvas(self.size.width, 1, BACKGROUND, palette)
        word = "b:onaccent@accent" if self.has_focus else "b:hi@badge" if self.default else "fg@input"
        text = f"[{self.label}]" if palette.ascii_only or palette.flat else self.label
        canvas.put(0, 0, text.center(canvas.width), word)
        return canvas.strips()[0]

    def paint(self, canvas: Canvas) -> None:
        """The label says it all."""

    def action_press(self) -> None:
        """Press it."""
        self.post_message(self.Pressed(self))

    def on_click(self) -> None:
        """Press it."""
        self.action_press()


class Sentence(Widget):
    """A line of plain text in a style word; no markup."""

    DEFAULT_CSS = "Sentence { height: 1; width: 1fr; }"

    def __init__(self, text: str = "", word: str = "dim", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.text, self.word = text, word
        self.marked = False
        """Whether the field it labels has the focus."""

    def mark(self, on: bool) -> None:
        """Show or hide the mark of the focus."""
        if on != self.marked:
            self.marked = on
            self.refresh()

    def say(self, text: str, word: str = "dim") -> None:
        """Show another sentence."""
        self.text, self.word = clean(text), word
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line, as Textual asks for it."""
        canvas = Canvas(self.size.width, 1, BACKGROUND, themes.current(self.app))
        if self.marked:
            canvas.put(0, 0, "▎", "accent")
        canvas.put(2, 0, head(self.text, canvas.width - 2), "fg" if self.marked else self.word)
        return canvas.strips()[0]
