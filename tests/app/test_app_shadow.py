"""Only differences are sent, and the terminal shows the same as if everything had been."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from cachetop_tui.wire import Shadow, change
from support.vt import Terminal, restyled

WIDTH, HEIGHT = 24, 3
STYLES = st.sampled_from([
    "", "bold", "italic", "bold reverse", "red", "bold red on blue", "#123456 on #abcdef", "underline on #abcdef",
    "color(99) on color(3)", "dim",
])  # fmt: skip
TEXTS = st.one_of(
    st.text("ab ●│█ü", min_size=1, max_size=10), st.sampled_from(["漢字", "e\u0301x", "🙂!", "\x1b[31m", "👨\u200d👩"])
)
PIECES = st.tuples(
    st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.lists(st.tuples(TEXTS, STYLES), min_size=1, max_size=4)
)


def strip(parts: list[tuple[str, str]]) -> Strip:
    return Strip([Segment(text, Style.parse(style)) for text, style in parts])


def whole(parts: list[tuple[str, str]]) -> list[tuple[int, int, tuple[Strip, ...]]]:
    """Every row full of blanks, so that both terminals start from the same picture."""
    return [(y, 0, (strip([(" " * WIDTH, "")]),)) for y in range(HEIGHT)]


@settings(max_examples=150)
@given(st.lists(st.lists(PIECES, min_size=1, max_size=3), max_size=5))
def test_differences_lead_to_the_same_picture(frames: list[list[tuple[int, int, list[tuple[str, str]]]]]) -> None:
    known, one = Shadow(), Terminal(WIDTH, HEIGHT)
    one.feed(known.sequence(whole([]), WIDTH, HEIGHT, ColorSystem.TRUECOLOR))
    other = Terminal(WIDTH, HEIGHT)
    other.feed(Shadow().sequence(whole([]), WIDTH, HEIGHT, ColorSystem.TRUECOLOR))
    for frame in frames:
        pieces = [(y, x, (strip(parts),)) for y, x, parts in frame]
        one.feed(known.sequence(pieces, WIDTH, HEIGHT, ColorSystem.TRUECOLOR))
        for piece in pieces:  # each by itself, by somebody who knows nothing of what is there already
            other.feed(Shadow().sequence([piece], WIDTH, HEIGHT, ColorSystem.TRUECOLOR))
        assert known.sequence(pieces, WIDTH, HEIGHT, ColorSystem.TRUECOLOR) == "" or len(frame) > 1
    if all(wide_apart(frame) for frame in frames):
        assert one.cells == other.cells


def wide_apart(frame: list[tuple[int, int, list[tuple[str, str]]]]) -> bool:
    """Whether no wide character can be cut in half, which terminals show differently."""
    return all(all(char in "ab ●│█ü" for char in text) for _, _, parts in frame for text, _ in parts)


@given(STYLES, STYLES)
def test_a_change_of_style_is_the_style(old: str, new: str) -> None:
    before, after = (Strip.render_ansi(Style.parse(one), ColorSystem.TRUECOLOR) for one in (old, new))
    reached = restyled(restyled("", numbers(f"\x1b[{before}m")), numbers(change(before, after)))
    assert reached == restyled("", numbers(f"\x1b[{after}m"))


def numbers(sequence: str) -> list[int]:
    return [int(part or 0) for part in sequence[2:-1].split(";")] if sequence else []


def test_one_letter_costs_a_few_bytes_and_what_stays_nothing() -> None:
    shadow = Shadow()
    rows = [(0, 0, (strip([("GPU 1  61 % busy", "red on blue")]),))]
    shadow.sequence(rows, 80, 2, ColorSystem.STANDARD)
    assert shadow.sequence(rows, 80, 2, ColorSystem.STANDARD) == ""
    changed = [(0, 0, (strip([("GPU 1  62 % busy", "red on blue")]),))]
    assert shadow.sequence(changed, 80, 2, ColorSystem.STANDARD) == "\x1b[1;9H\x1b[31;44m2\x1b[m"


def test_what_a_terminal_may_count_otherwise_is_sent_with_its_place() -> None:
    shadow = Shadow()
    shadow.sequence([(0, 0, (strip([("漢 ab", "")]),))], 8, 1, ColorSystem.STANDARD)
    sent = shadow.sequence([(0, 0, (strip([("漢 ac", "")]),))], 8, 1, ColorSystem.STANDARD)
    assert sent == "\x1b[1H漢\x1b[1;3H ac"


def test_after_another_size_everything_is_sent() -> None:
    shadow = Shadow()
    rows = [(0, 0, (strip([("abc", "")]),))]
    first = shadow.sequence(rows, 8, 1, ColorSystem.STANDARD)
    assert shadow.sequence(rows, 9, 1, ColorSystem.STANDARD) == first
    shadow.forget()
    assert shadow.sequence(rows, 9, 1, ColorSystem.STANDARD) == first
