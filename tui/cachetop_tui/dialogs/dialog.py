"""What every dialog is: a screen above the others that can be left once."""

from __future__ import annotations

from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.await_complete import AwaitComplete
from textual.color import Color
from textual.css.styles import RulesMap
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.visual import RenderOptions, Visual

from cachetop_tui.steady import Steady


class Dimmed(Visual):
    """The screen behind a dialog, as Textual draws it: but each of its few styles is dimmed once, not for every word,
    and what is made of lines already is not put together and taken apart again."""

    def __init__(self, behind: BackgroundScreen) -> None:
        self._screen, self._color = behind.screen, behind.color

    def render_strips(self, width: int, height: int | None, style: VisualStyle, options: RenderOptions) -> list[Strip]:
        """See `Visual`."""
        made: dict[Style | None, Style | None] = {}
        strips = []
        for strip in self._screen._compositor.render_strips()[:height]:
            segments = []
            for text, look, control in strip:
                if look not in made:
                    made[look] = _dimmed(look, self._color)
                segments.append(Segment(text, made[look], control))
            strips.append(Strip(segments, strip.cell_length))
        return strips

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """See `Visual`."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """See `Visual`."""
        return self._screen.size.height


def _dimmed(look: Style | None, color: Color) -> Style | None:
    return next(iter(BackgroundScreen.process_segments([Segment("", look)], color))).style


class Dialog(ModalScreen[ScreenResultType], Steady[ScreenResultType]):
    """Is left by the first answer; a second one, of a double click or of two resizes in a row, means nothing."""

    _left = False

    def render(self) -> Any:
        """See `Screen`."""
        found = super().render()
        return Dimmed(found) if isinstance(found, BackgroundScreen) else found

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """See `Screen`."""
        if self._left:
            nothing: AwaitComplete = AwaitComplete.nothing()  # type: ignore[no-untyped-call]
            return nothing
        self._left = True
        return super().dismiss(result)
