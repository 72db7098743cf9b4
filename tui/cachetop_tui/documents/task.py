"""A task on repos as a document: how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop_tui import words
from cachetop_tui.commands.registry import named
from cachetop_tui.cut import middle
from cachetop_tui.marks import Line, Pen, Thin, sentences
from cachetop_tui.model_tasks import TITLES, State, summary

_ROWS = 500
_BAR = 30


def lines(state: State, width: int, now: float) -> list[Line]:
    """The whole document, `width` cells wide."""
    out = [Line(), _text(width, 1, TITLES[state.kind], "b:hi")]
    out += [_text(width, 3, part, "dim") for part in sentences(_whom(state), width - 6)]
    out += [Line(), _progress(state, width), Line()]
    said = [*state.said, *((text, "fg") for text in summary(state))]
    for sentence, word in said:
        out += [_text(width, 3, part, word) for part in sentences(clean(sentence, 400), width - 6)]
    return out + list(_wrong(state, width))


def _text(width: int, x: int, text: str, word: str = "fg") -> Line:
    pen = Pen(width)
    pen.put(x, text, word)
    return pen.line()


def _whom(state: State) -> str:
    if len(state.repos) > 5:
        return f"{', '.join(state.repos[:4])} and {len(state.repos) - 4:,} more"
    return ", ".join(state.repos) or "no repo"


def _progress(state: State, width: int) -> Line:
    """Bar, bytes, rate and time left while it goes on; what it took when it is over."""
    pen = Pen(width)
    if not state.going:
        pen.put(3, f"ended after {units.duration(state.now - state.began)}", "dim")
        return pen.line()
    x = 3
    if state.total:
        bar = min(_BAR, width // 3)
        pen.add(Thin(x, bar, min(1.0, state.done / state.total) * bar, "live"))
        x += bar + 2
        x = pen.put(x, f"{units.size(state.done)} of {units.size(state.total)}", "live") + 2
        if state.rate:
            left = units.duration(max(0.0, state.total - state.done) / state.rate)
            x = pen.put(x, f"{units.size(state.rate)}/s  about {left} left", "dim") + 2
    else:
        x = pen.put(x, "looking …", "live") + 2
    key = named("models.cancel").key
    if key and x + len(key) + 9 < width:
        pen.put(pen.put(x, key, "b:fg"), " cancels", "dim")
    return pen.line()


def _wrong(state: State, width: int) -> Iterator[Line]:
    """What is damaged or could not be read, a row each with why and with what to run; as it is found."""
    wrong = state.wrong
    if wrong:
        yield Line()
        yield _text(width, 1, words.count(len(wrong), "file").upper(), "faint")
    for one in wrong[:_ROWS]:
        yield _text(width, 3, middle(f"{clean(one.repo)}  {clean(one.file or one.blob or '')}", width - 5), "err")
        for part in sentences(clean(one.message or one.state), width - 8):
            yield _text(width, 5, part, "dim")
        for part in sentences(clean(one.fix or ""), width - 8):
            yield _text(width, 5, part, "link")
    if len(wrong) > _ROWS:
        yield _text(width, 3, f"… and {len(wrong) - _ROWS:,} more", "faint")
