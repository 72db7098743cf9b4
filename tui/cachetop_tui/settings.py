"""The person's configuration as the app uses it: read, watched for changes, and turned into keys and colours."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachetop.base.hostile import clean
from cachetop_tui.commands.keymaps import KEYMAPS, Clash, Keymap, clashes, merged
from cachetop_tui.commands.keynames import canonical, meant
from cachetop_tui.commands.registry import COMMANDS, named

if TYPE_CHECKING:
    from cachetop.config import Config

Mark = tuple[int, int, int] | None
"""What tells one state of the file from another; None without a file."""


@dataclass(frozen=True)
class Told:
    """What the file said when it was last looked at. `problem`: why it could not be used."""

    path: Path
    mark: Mark
    config: Config | None = None
    problem: str = ""

    def value(self, name: str, default: Any) -> Any:
        """A setting of `[app]`."""
        return default if self.config is None else self.config.app.get(name, default)

    def written(self, section: str, key: str) -> Any:
        """A setting as it is written, or its default."""
        from cachetop.config import SETTINGS

        return SETTINGS[section][key].default if self.config is None else self.config.value(section, key)

    def names(self, section: str, key: str) -> bool:
        """Whether the file says something about a setting."""
        return self.config is not None and self.config.names(section, key)


def path() -> Path:
    """Where the configuration lies."""
    from cachetop import locations

    return locations.config_file()


def mark(place: Path) -> Mark:
    """The state of the file now."""
    try:
        found = os.stat(place)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read(place: Path) -> Told:
    """Read the file. Costs nothing but a look where there is none."""
    now = mark(place)
    if now is None:
        return Told(place, None)
    from cachetop.config import ConfigError, load

    try:
        return Told(place, now, load(place))
    except ConfigError as error:
        return Told(place, now, problem=str(error))


def lite(told: Told, env: Mapping[str, str]) -> bool:
    """Whether to save bytes: as the configuration says, by itself over SSH."""
    wanted = told.value("profile", "auto")
    return wanted == "lite" or (wanted == "auto" and bool(env.get("SSH_CONNECTION") or env.get("SSH_TTY")))


def keymap(told: Told) -> tuple[Keymap, list[str]]:
    """The keys to use, and a sentence for each of the person's own that cannot be meant."""
    base = KEYMAPS[told.value("keymap", "vscode")]
    own = told.config.keys if told.config is not None else {}
    known = {command.id for command in COMMANDS}
    made = merged(base, {name: keys for name, keys in own.items() if name in known})
    said = [_unknown(told, name, known) for name in own if name not in known]
    said += [
        f"{_place(told, name)}keys.{clean(name)}: {no_key(key)}"
        for name, keys in own.items()
        for key in keys
        if canonical(key) is None
    ]
    return made, said + [str(clash) for clash in clashes_of(made)]


def no_key(written: str) -> str:
    """Why what a person wrote cannot be a key, and which one was meant."""
    near = meant(written)
    return f"{clean(written, 40)!r} is no key" + (f"; did you mean {near}?" if near else "")


def _unknown(told: Told, name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; {named('keys.show').key} lists them"
    return f"{_place(told, name)}keys.{clean(name)} names no command{hint}"


def _place(told: Told, name: str) -> str:
    line = told.config.key_lines.get(name) if told.config is not None else None
    return f"{clean(told.path)}, line {line}: " if line else ""


def clashes_of(keys: Keymap) -> list[Clash]:
    """Keys that two commands, or a command and a list, want in the same place."""
    covers = {(command.covers, command.id) for command in COMMANDS if command.covers}
    found = clashes((command.id, keys.get(command.id, ()), frozenset(command.panes)) for command in COMMANDS)
    return [one for one in found if (one.first, one.second) not in covers]
