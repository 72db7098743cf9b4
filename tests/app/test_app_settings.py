"""Settings: the file is taken over while the app runs, errors name the place; contrast of every theme."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachetop.config import APP
from cachetop_tui import settings, terminal
from cachetop_tui.themes.tokens import CONTRAST, DARK, LIGHT
from support.opening import opened, screen, until

TEXT = ("hi", "fg", "dim", "faint", "link", "live", "ok", "warn", "err")
GROUNDS = ("bg", "side", "head")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("tokens", [DARK, LIGHT, CONTRAST], ids=["dark", "light", "contrast"])
def test_every_text_token_can_be_read(tokens: dict[str, str]) -> None:
    found = {(text, ground): contrast(tokens[text], tokens[ground]) for text in TEXT for ground in GROUNDS}
    found[("onaccent", "accent")] = contrast(tokens["onaccent"], tokens["accent"])
    found |= {(text, "sel"): contrast(tokens[text], tokens["sel"]) for text in ("hi", "fg")}
    found |= {(code, "bg"): contrast(tokens[code], tokens["bg"]) for code in tokens if code.startswith("s.")}
    assert {pair: round(value, 2) for pair, value in found.items() if value < 4.5} == {}


async def test_a_change_of_the_file_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    async with opened((120, 30)) as (app, pilot):
        file.write_text('[app]\ntheme = "contrast"\n[keys]\n"runs.new" = "N"\n')
        await app._reconfigure()
        assert app.theme == "cachetop-contrast"
        await until(pilot, lambda: "N convert" in screen(app))
        await pilot.press("comma")
        await until(pilot, lambda: "from the file" in screen(app))
        file.write_text('[app]\nthem = "dark"\n')
        await app._reconfigure()
        await until(pilot, lambda: "did you mean app.theme" in app.told.problem)
        assert "line 2" in app.told.problem and app.theme == "cachetop-contrast"
        file.unlink()
        await app._reconfigure()
        assert app.theme != "cachetop-contrast"


def test_own_keys_that_clash_or_name_nothing_are_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\n"runs.new" = "q"\n"no.such" = "x"\n')
    _, warnings = settings.keymap(settings.read(file))
    assert any("names no command" in one for one in warnings) and any(one.startswith("q is wanted") for one in warnings)


def test_every_setting_has_help_and_a_default_that_it_allows() -> None:
    for name, setting in APP.items():
        assert setting.help and isinstance(setting.default, setting.kind), name
        assert not setting.choices or setting.default in setting.choices


def test_where_the_app_can_be_drawn_and_what_it_asks_of_the_terminal() -> None:
    assert terminal.can_draw({"TERM": "xterm"}, True)
    assert not terminal.can_draw({"TERM": "dumb"}, True) and not terminal.can_draw({"TERM": "xterm"}, False)
    assert terminal.wants_more_keys({"TERM": "tmux-256color", "TMUX": "x"})
    assert not terminal.wants_more_keys({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"})
    opening = terminal.opening({"TERM": "xterm"})
    assert opening.endswith("\x1b[>4;1m") and "\x1b[>4m" in terminal.closing({"TERM": "xterm"})
