"""The bytes of real terminals, through a real pty, into the running app: every command is reached in each of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachetop_tui.commands.keymaps import KEYMAPS, ROUTES
from cachetop_tui.commands.registry import COMMANDS, Command
from support.terminals import ENVIRONMENTS, TERMINALS
from support.wire import TESTS, Wire

SCRIPT = TESTS / "support" / "keys_app.py"
GO_TO = {"models": "1", "kernels": "2", "gpus": "3", "conversion": "4", "document": ","}
"""What brings a pane into focus; what it is written down as ends in `.focus` or is `settings.show`."""


class Keys:
    """The app on a pty, and what it wrote down."""

    def __init__(self, wire: Wire, log: Path) -> None:
        self.wire, self._log = wire, log

    def written(self) -> list[str]:
        """The commands so far."""
        return self._log.read_text().split("\n")[1:-1] if self._log.exists() else []

    def send(self, keys: str, count: int) -> list[str]:
        """Type, all in one write, and wait until as many commands were reached; returns them."""
        before = len(self.written())
        self.wire.send(keys.encode())
        end = time.monotonic() + 20
        while len(self.written()) < before + count and time.monotonic() < end:
            self.wire.read(0.02)
        return self.written()[before:]


@pytest.fixture(params=TERMINALS)
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Keys]]:
    """The app in one terminal, ready for keys."""
    env = {
        "HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(TESTS),
        "CACHETOP_STATE_DIR": str(tmp_path / "state"), **ENVIRONMENTS[request.param],
    }  # fmt: skip
    log = tmp_path / "log"
    wire = Wire([sys.executable, str(SCRIPT), str(log)], env)
    try:
        end = time.monotonic() + 30
        while not log.exists():
            assert time.monotonic() < end, wire.seen[-400:]
            wire.read(0.05)
        yield request.param, Keys(wire, log)
    finally:
        wire.close()


def _by_pane() -> dict[str, list[Command]]:
    """The commands by a pane in which they work; those that work everywhere last, under an empty name."""
    out: dict[str, list[Command]] = {pane: [] for pane in (*GO_TO, "")}
    for command in COMMANDS:
        if KEYMAPS["vscode"].get(command.id):
            out[next((pane for pane in command.panes if pane in GO_TO), "")].append(command)
    return out


def test_every_command_is_reached(keys: tuple[str, Keys]) -> None:
    terminal, app = keys
    reached: set[str] = set()
    for pane, commands in _by_pane().items():
        if pane:
            (there,) = app.send(GO_TO[pane], 1)
            assert there.endswith(".focus") or there == "settings.show"
        else:  # out of the document, where a kernel has the digits
            leave = TERMINALS[terminal]("alt+m")
            assert leave is not None and app.send(leave, 1) == ["models.focus"]
        sent = [
            (command.id, key, raw)
            for command in commands
            for key in KEYMAPS["vscode"][command.id]
            if (raw := TERMINALS[terminal](key)) is not None
        ]
        sent.sort(key=lambda one: one[2] == "\x1b")  # Escape alone is told from more only by what does not come
        wanted = [name for name, _, _ in sent]
        got = app.send("".join(raw for _, _, raw in sent), len(sent))
        wrong = [(*one, there) for one, there in zip(sent, got, strict=False) if one[0] != there]
        assert got == wanted, f"in {pane or 'any pane'}: (command, key, bytes, what was reached) {wrong[:3]}"
        reached |= set(got)
    every = {command.id for command in COMMANDS if KEYMAPS["vscode"].get(command.id)}
    assert every - reached == set()


@pytest.mark.parametrize("terminal", TERMINALS)
def test_the_plain_and_the_safe_key_of_each_command_arrive_in_every_terminal(terminal: str) -> None:
    """`safe` is what survives tmux as it comes and VS Code's terminal; a plain key arrives everywhere."""
    lost = [
        (name, tier)
        for name, routes in ROUTES.items()
        for tier in ("plain", "safe")
        if not all(TERMINALS[terminal](key) for key in getattr(routes, tier))
    ]
    assert lost == []


@pytest.mark.parametrize("name", ROUTES)
def test_the_chord_of_each_command_arrives_where_chords_do(name: str) -> None:
    assert all(TERMINALS["kitty's protocol"](key) and TERMINALS["xterm"](key) for key in ROUTES[name].chords)
