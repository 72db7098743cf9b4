"""The canvas: what is written stands where it was put, whatever it is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop_tui import themes
from cachetop_tui.paint import Canvas, cells, fold, width_of
from cachetop_tui.themes.palette import MODES
from cachetop_tui.themes.tokens import ANSI, DARK, LIGHT

WORDS = st.sampled_from(["fg", "b:hi", "dim@sel", "ink@v.a", "i:faint", "link"])


@given(st.lists(st.tuples(st.integers(-4, 30), st.text(max_size=12), WORDS), max_size=8), st.booleans())
def test_a_row_is_always_exactly_as_wide_as_the_canvas(writes: list[tuple[int, str, str]], ascii_only: bool) -> None:
    canvas = Canvas(24, 1, palette=themes.palette("dark", ascii_only))
    for x, text, word in writes:
        canvas.put(x, 0, text, word)
    row = canvas.text()[0]
    assert width_of(row) == 24
    assert canvas.strips()[0].cell_length == 24
    assert sum(width for _, width in cells(row)) == 24
    if ascii_only:
        assert row.isascii()


@given(st.text(max_size=30))
def test_folding_to_ascii_keeps_the_width(text: str) -> None:
    folded = fold("".join(char for char, _ in cells(text)))
    assert folded.isascii()
    assert len(folded) == width_of(text)


def test_overwriting_half_of_a_wide_character_leaves_no_half() -> None:
    canvas = Canvas(6, 1)
    canvas.put(0, 0, "漢字x")
    canvas.put(1, 0, "a")
    assert canvas.text() == [" a字x "]


def test_text_keeps_the_background_it_is_written_on() -> None:
    canvas = Canvas(4, 1)
    canvas.fill(0, 4, 0, "sel")
    canvas.put(1, 0, "ab", "fg")
    background = {
        segment.style.bgcolor.name for segment in canvas.strips()[0] if segment.style and segment.style.bgcolor
    }
    assert background == {DARK["sel"].lower()}


def test_a_bar_ends_on_an_eighth_of_a_cell() -> None:
    canvas = Canvas(10, 1)
    canvas.bar(0, 0, 10, [(4.5, "v.a")], 10)
    assert canvas.text()[0] == "████▌     "


def test_a_bar_of_nothing_is_its_track() -> None:
    canvas = Canvas(4, 1, palette=themes.palette("dark", True))
    canvas.bar(0, 0, 4, [(1, "v.a")], 0)
    assert canvas.text() == ["...."]


def test_a_bar_in_ascii_has_letters_and_dots() -> None:
    canvas = Canvas(8, 1, palette=themes.palette("ansi", True))
    canvas.bar(0, 0, 8, [(3, "v.a"), (2, "v.b")], 8)
    assert canvas.text() == ["aaabb..."]


def test_a_thin_bar_shows_half_cells() -> None:
    canvas = Canvas(4, 1)
    canvas.thin(0, 0, 4, [(0, 1.5, "live")], track=None)
    assert canvas.text() == ["━╸  "]


def test_a_history_line_ends_at_the_right_edge() -> None:
    canvas = Canvas(6, 1)
    canvas.braille(0, 0, 6, 1, [0.0, 1.0])
    assert canvas.text()[0].rstrip("⠀")[:5].strip() == ""
    assert canvas.text()[0][5] != " "


def test_every_token_exists_in_every_table() -> None:
    assert set(DARK) == set(LIGHT) == set(ANSI)


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_token_is_an_error_in_every_mode(mode: str) -> None:
    with pytest.raises(KeyError):
        themes.palette(mode).style("nosuch")


def test_without_colour_there_is_none_and_a_selection_is_reversed() -> None:
    palette = themes.palette("plain")
    for token in DARK:
        style = palette.style(f"fg@{token}")
        assert style.color is None and style.bgcolor is None
    assert palette.style("fg@sel").reverse
    assert not palette.style("fg@head").reverse


def test_sixteen_colours_are_slots_of_the_terminal() -> None:
    palette = themes.palette("ansi")
    for token in ANSI:
        color = palette.style(token).color
        assert color is not None and color.number is not None and color.number < 16


@pytest.mark.parametrize("table", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("ground", ["bg", "side", "head"])
@pytest.mark.parametrize("token", ["hi", "fg", "dim", "faint", "link", "live", "ok", "warn", "err", "p.export", "v.b"])
def test_text_can_be_read(table: dict[str, str], ground: str, token: str) -> None:
    def light(value: str) -> float:
        parts = [int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(table[token]), light(table[ground])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("env", "theme"),
    [
        ({"TERM": "xterm-256color"}, "cachetop-dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "cachetop-dark"),
        ({"TERM": "linux"}, "cachetop-ansi"),
        ({"TERM": "screen"}, "cachetop-ansi"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "cachetop-ansi"),
        ({"TERM": "linux", "TEXTUAL_THEME": "cachetop-light"}, "cachetop-light"),
    ],
)
def test_the_theme_fits_the_terminal(env: dict[str, str], theme: str) -> None:
    assert themes.preferred(env) == theme


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.ISO-8859-1"}, True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C.utf8"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({}, False),
        ({"LANG": "de_DE.UTF-8@euro"}, False),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
        ({"LANG": "en_US.UTF-8", "CACHETOP_ASCII": "1"}, True),
        ({"LC_ALL": "C", "CACHETOP_ASCII": "0"}, False),
    ],
)
def test_ascii_where_the_terminal_knows_no_more(env: dict[str, str], wanted: bool) -> None:
    assert themes.wants_ascii(env) is wanted
