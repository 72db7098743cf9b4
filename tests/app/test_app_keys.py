"""The commands and their keys: three routes each, no clashes, the person's own, and the page in the docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cachetop import cli
from cachetop.cli import keyprobe
from cachetop_tui import settings
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands import registry, table
from cachetop_tui.commands.keymaps import KEYMAPS, ROUTES, clashes, merged
from cachetop_tui.commands.keynames import canonical, shown
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.lines import LineView
from cachetop_tui.panel.conversion import ConversionPanel
from cachetop_tui.panes import gpu, kernels, models
from cachetop_tui.panes.kernel_rows import View as KernelsView
from cachetop_tui.settings import clashes_of
from cachetop_tui.workbench.document import DocumentView
from cachetop_tui.workbench.glance import Glance
from cachetop_tui.workbench.overview import Overview
from cachetop_tui.workbench.side import SideBar
from support.opening import opened
from support.terminals import TERMINALS

DOCS = Path(__file__).parents[2] / "docs"
ESC = "\x1b["


def test_every_command_has_three_routes() -> None:
    for command in COMMANDS:
        routes = ROUTES[command.id]
        assert routes.plain and routes.safe and routes.chords, command.id
    assert set(ROUTES) <= {command.id for command in COMMANDS}


def test_there_is_no_action_that_no_command_runs() -> None:
    """Every `action_` of the app, its screen and the widgets on it; what dialogs do with their fields is their own."""
    named = {command.action.partition("(")[0].rpartition(".")[2] for command in COMMANDS}
    parts = (CachetopApp, Overview, LineView, DocumentView, ConversionPanel, SideBar, Glance)
    ours = {
        name.removeprefix("action_")
        for part in parts
        for one in part.__mro__
        if one.__module__.startswith("cachetop_tui")
        for name in vars(one)
        if name.startswith("action_")
    }
    assert ours - named == {"flip"}, "`flip` is what Enter and Space do where a row neither opens nor is marked"


async def test_no_key_runs_what_is_no_command() -> None:
    async with opened((120, 40)) as (app, pilot):
        for keys in ("4", "5", "b", "comma", "1"):
            await pilot.press(keys)
            await pilot.pause()
            bound = {one.binding.id for one in app.screen.active_bindings.values()}
            assert bound <= {command.id for command in COMMANDS}, app.overview.pane


@pytest.mark.parametrize("name", KEYMAPS)
def test_no_keymap_clashes(name: str) -> None:
    assert clashes_of(KEYMAPS[name]) == []


def test_a_clash_is_found_only_where_both_apply() -> None:
    here, there = frozenset({"models"}), frozenset({"gpus"})
    assert clashes([("a", ["x"], here), ("b", ["x"], there)]) == []
    (clash,) = clashes([("a", ["x"], here), ("b", ["x"], frozenset())])
    assert str(clash) == "x is wanted by a and by b"


def test_the_persons_own_keys_go_over_the_keymap() -> None:
    made = merged(KEYMAPS["safe"], {"runs.new": ["N"], "theme.next": []})
    assert made["runs.new"] == ("N",) and made["theme.next"] == ()
    assert made["app.quit"] == KEYMAPS["safe"]["app.quit"]
    assert [clash.key for clash in clashes_of(merged(KEYMAPS["safe"], {"runs.new": ["q"]}))] == ["q"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Ctrl+Shift+P", "ctrl+shift+p"), ("ctrl+P", "ctrl+p"), ("Alt+K", "alt+k"), ("?", "question_mark"),
        ("question_mark", "question_mark"), ("Ctrl+,", "ctrl+comma"), (",", "comma"), ("+", "plus"),
        ("Ctrl++", "ctrl+plus"),
        ("Shift+N", "N"), ("N", "N"), ("Esc", "escape"), ("PgUp", "pageup"), ("shift+F10", "shift+f10"), ("é", "é"),
        ("foo", None), ("ctrl+", None), ("", None), ("ctrl+shif+n", None), ("\x1b", None),
    ],
)  # fmt: skip
def test_keys_are_written_as_people_write_them(written: str, name: str | None) -> None:
    assert canonical(written) == name


def test_every_key_that_is_shown_can_be_written_so() -> None:
    for keys in KEYMAPS["vscode"].values():
        assert [canonical(shown(key)) for key in keys] == list(keys)


def test_own_keys_may_be_commas_and_what_is_no_key_is_said(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\n"settings.show" = ","\n"runs.new" = "Ctrl+N, Ctrl+,"\n"theme.next" = ["ctrl+shif+n"]\n')
    told = settings.read(file)
    made, warnings = settings.keymap(told)
    assert made["settings.show"] == ("comma",) and made["runs.new"] == ("ctrl+n", "ctrl+comma")
    assert made["theme.next"] == ()
    assert warnings == [f"{file}, line 4: keys.theme.next: 'ctrl+shif+n' is no key; did you mean Ctrl+Shift+N?"]


def test_the_page_in_the_docs_is_what_the_registry_says() -> None:
    page = (DOCS / "keys.md").read_text(encoding="utf-8")
    assert page == table.markdown(), "run python -m cachetop_tui.commands.table > docs/keys.md"


def test_the_probe_names_what_arrives() -> None:
    said = {
        "\x10": "Ctrl+P", ESC + "27;6;80~": "Ctrl+Shift+P", ESC + "112;6u": "Ctrl+Shift+P", "\x1bm": "Alt+M",
        "\x1bM": "Alt+Shift+M", ESC + "24~": "F12", ESC + "R": "F3", ESC + "13~": "F3", "\x1bOR": "F3",
        ESC + "1;2Q": "Shift+F2", ESC + "1;5D": "Ctrl+Left", ESC + "5;5~": "Ctrl+PgUp", ESC + "21;2~": "Shift+F10",
        ESC + "Z": "Shift+Tab", ESC + "27u": "Esc", ESC + "113;;113u": "q", ESC + "97;2;65u": "A",
        ESC + "47;2;63u": "?", ESC + "44;5u": "Ctrl+,", ESC + "9;5u": "Ctrl+Tab",
        ESC + "57363u": "Menu", ESC + "29~": "Menu",
        "q": "q", "\xeb": "\xeb, or Alt+K", ESC + "57441u": "", ESC + "27;2;65~": "A",
        ESC + "99;5u": "Ctrl+C", "\x03": "Ctrl+C",
    }  # fmt: skip
    assert {raw: keyprobe.describe(raw) for raw in said} == said
    for odd in (ESC + "?9999z", ESC + "200~", ESC + "<0;1;1M", "\x1b]52;c;aaa\x07", ESC + "9999999999;5u"):
        assert keyprobe.tokens(odd) == [odd]
        assert "not a key" in keyprobe.describe(odd) or "code" in keyprobe.describe(odd)


@pytest.mark.parametrize("terminal", TERMINALS)
def test_the_probe_names_every_key_that_a_terminal_sends(terminal: str) -> None:
    """Between the keys of a whole list in one read, too: what the app calls a key is what the probe writes."""
    wrong = {}
    for key in {key for keys in KEYMAPS["vscode"].values() for key in keys}:
        raw = TERMINALS[terminal](key)
        if raw is not None:
            said = [name for part in keyprobe.tokens(raw) if (name := keyprobe.describe(part))]
            if [canonical(name) for name in said] != [key]:
                wrong[key] = said
    assert wrong == {}


def test_without_a_terminal_keys_prints_snippets() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "keys"], capture_output=True, text=True, check=True, timeout=30
    )
    assert "extended-keys on" in done.stdout and "commandsToSkipShell" in done.stdout


def test_what_is_shown_follows_the_keymap_in_use() -> None:
    before = registry.in_use()
    try:
        registry.use(merged(before, {"runs.new": ["N"]}))
        assert ("N", "convert") in registry.hints("models")
    finally:
        registry.use(before)


def test_the_panes_are_titled_with_the_keys_that_lead_there() -> None:
    def titles() -> list[str]:
        made = (
            models.headers(None, 80, 10, models.View(), False), kernels.headers(None, 80, 10, KernelsView(), False),
            gpu.headers(None, 80, False),
        )  # fmt: skip
        return [" ".join(lines[0].text.split()[:2]) for lines in made]

    before = registry.in_use()
    assert titles() == ["1 MODELS", "2 KERNELS", "3 GPU"]
    try:
        registry.use(merged(before, {"models.focus": ["f4"], "kernels.focus": []}))
        assert titles() == ["F4 MODELS", "KERNELS scanning", "3 GPU"]
    finally:
        registry.use(before)


def test_the_options_of_the_app_are_in_the_help_and_work_in_front_of_a_verb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHETOP_READ_ONLY", "0")
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(option in told for option in ("--no-mouse", "--ascii", "--read-only"))
    assert cli.main(["--read-only", "--no-mouse", "prune", "kernels", "--all", "--yes"]) == 2
    assert "read-only" in capsys.readouterr().err
    assert cli.main(["kernels", "--no-mouse"]) == 2, "behind a verb only what that verb knows"
