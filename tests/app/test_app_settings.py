"""Settings: the file is taken over while the app runs, errors name the place; contrast of every theme."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cachetop_tui import settings, terminal
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.themes.tokens import CONTRAST, DARK, LIGHT
from support import pictures, runs
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
    fills = [token for token in tokens if token[:2] in ("p.", "v.") and token != "p.pages2"]  # letters stand on these
    pairs = [("ink", fill) for fill in fills]
    pairs += [(text, ground) for text in ("hi", "fg") for ground in ("badge", "sel2")]
    pairs += [(text, ground) for text in ("p.export", "v.b") for ground in GROUNDS]
    found |= {(text, ground): contrast(tokens[text], tokens[ground]) for text, ground in pairs}
    found |= {(code, "bg"): contrast(tokens[code], tokens["bg"]) for code in tokens if code.startswith("s.")}
    assert {pair: round(value, 2) for pair, value in found.items() if value < 4.5} == {}


@pytest.mark.parametrize("theme", ["dark", "light", "contrast"])
async def test_every_word_on_the_screen_can_be_read(theme: str) -> None:
    """What is really drawn, a running conversion, problems, a dialog and the settings among it."""
    run = runs.running()
    source = pictures.everything(jobs=runs.jobs(run, runs.done()), runs=(run, runs.done()))
    poor: dict[str, float] = {}
    async with opened((160, 45), source) as (app, pilot):
        app.action_use_theme(f"cachetop-{theme}")
        for keys in ("", "2 down down", "4 v", "5", "comma", "n"):
            await pilot.press(*keys.split())
            await pilot.pause()
            dialog = app.screen.children[0].region if app.screen is not app.overview else app.screen.region
            for strip in app.screen._compositor.render_strips()[dialog.y : dialog.bottom]:
                for text, style, _ in strip.crop(dialog.x, dialog.right):
                    if style and style.color and style.bgcolor and any(char.isalnum() for char in text):
                        colors = [colour.get_truecolor().hex for colour in (style.color, style.bgcolor)]
                        if contrast(*colors) < 4.5:
                            poor[f"{text.strip()} {colors}"] = round(contrast(*colors), 2)
    assert poor == {}


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


async def test_settings_are_changed_in_the_app_and_the_file_keeps_its_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# mine\n[app]\nbell = true  # please\n")
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    async with opened((80, 24)) as (app, pilot):
        await pilot.press("comma")
        await until(pilot, lambda: 'theme             "auto"' in screen(app))
        await pilot.press("enter")  # theme: auto, dark
        await until(pilot, lambda: file.read_text() == '# mine\n[app]\nbell = true  # please\ntheme = "dark"\n')
        await until(pilot, lambda: app.theme == "cachetop-dark")
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "cachetop-light")
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "cachetop-contrast")
        await until(pilot, lambda: '"contrast"' in screen(app) and "from the file" in screen(app))
        await pilot.press("delete")
        await until(pilot, lambda: '# theme = "contrast"' in file.read_text() and app.theme != "cachetop-contrast")
        await pilot.press(*["down"] * 5, "enter")
        await until(pilot, lambda: "bell = false  # please" in file.read_text())
        await until(pilot, lambda: app.told.value("bell", True) is False)


async def test_a_setting_is_asked_for_until_it_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    async with opened((100, 30)) as (app, pilot):
        await pilot.press("comma")
        await until(pilot, lambda: "keymap" in screen(app))
        await pilot.press(*["down"] * 10, "enter")
        await until(pilot, lambda: "prune.undo" in screen(app))
        await pilot.press(*["backspace"] * 3, *"soon", "enter")
        await until(pilot, lambda: "'soon' is not a length of time" in screen(app))
        await pilot.press(*["backspace"] * 4, *"2h", "enter")
        await until(pilot, lambda: file.exists() and 'undo = "2h"' in file.read_text())
        await pilot.press("end", "enter")
        await until(pilot, lambda: "Command" in screen(app) and "Save" in screen(app))
        await pilot.press(*"runs.neww", "enter")
        await until(pilot, lambda: "did you mean runs.new?" in screen(app))
        await pilot.press("backspace", "tab", *"N", "enter")
        await until(pilot, lambda: '"runs.new" = ["N"]' in file.read_text())
        assert tomllib.loads(file.read_text()) == {"prune": {"undo": "2h"}, "keys": {"runs.new": ["N"]}}
        await until(pilot, lambda: app.told.config is not None and "runs.new" in app.told.config.keys)
        await pilot.press("escape", "N")
        await until(pilot, lambda: isinstance(app.screen, StartDialog))


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    monkeypatch.setenv("CACHETOP_CONFIG", str(tmp_path / "folder" / "config.toml"))
    async with opened((80, 24)) as (app, pilot):
        await pilot.press("comma")
        await until(pilot, lambda: "theme" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: any("Not a directory" in one.message for one in app._notifications))


def test_own_keys_that_clash_or_name_nothing_are_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\n"runs.new" = "q"\n"no.such" = "x"\n')
    _, warnings = settings.keymap(settings.read(file))
    assert any("line 3: keys.no.such names no command" in one for one in warnings) and any(
        one.startswith("q is wanted") for one in warnings
    )


def test_where_the_app_can_be_drawn_and_what_it_asks_of_the_terminal() -> None:
    assert terminal.can_draw({"TERM": "xterm"}, True)
    assert not terminal.can_draw({"TERM": "dumb"}, True) and not terminal.can_draw({"TERM": "xterm"}, False)
    assert terminal.wants_more_keys({"TERM": "tmux-256color", "TMUX": "x"})
    assert not terminal.wants_more_keys({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"})
    opening = terminal.opening({"TERM": "xterm"})
    assert opening.endswith("\x1b[>4;2m") and "\x1b[>4m" in terminal.closing({"TERM": "xterm"})
