"""The configuration file: config.toml, read with types, and errors that say where and what was meant.

| key | value | meaning |
|---|---|---|
| `prune.undo` | `"15m"` | how long deleted items can be brought back; `"0s"` keeps nothing |
| `prune.keep` | `["org/*", "triton/attn_*"]` | globs of repos and kernel entries that never go |
| `prune.policy` | tables of selectors | what `cachetop prune --policy` removes |
| `convert.vram-budget` | `"8GB"` | how much VRAM a conversion's worker may hold while it waits for the next job |
| `app.*` | see `APP` | how the app looks and listens |
| `keys.*` | `"ctrl+n"` or `["n", "ctrl+n"]` | a command's own keys, by its id, instead of the keymap's |
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cachetop.base import units
from cachetop.base.hostile import clean

_MOST = 1 << 20
RULE_KEYS: dict[str, type] = {
    "what": str, "names": list, "stale": bool, "sm": str, "assume-sm": list, "cache": str, "older-than": str,
    "incomplete": bool, "detached": bool, "superseded": bool, "max-size": str, "ir-only": bool, "filter": list,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of `[app]`: what it may be, what it is without the file, and what it does."""

    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()


APP: dict[str, Setting] = {
    "theme": Setting(str, "auto", "The colours; auto looks at what the terminal can show",
                     ("auto", "dark", "light", "contrast", "ansi")),
    "keymap": Setting(str, "vscode", "Which keys there are; safe leaves out what tmux and VS Code take",
                      ("vscode", "safe")),
    "mouse": Setting(bool, True, "Whether the mouse is listened to (from the next start on)"),
    "ascii": Setting(bool, False, "Draw with ASCII only (from the next start on)"),
    "side-bar": Setting(bool, True, "Show the side bar where there is room for it"),
    "bell": Setting(bool, True, "Ring when a conversion ends"),
    "title": Setting(bool, True, "Say in the window's title what runs"),
    "profile": Setting(str, "auto", "How much moves; lite saves bytes, auto is lite over SSH and full elsewhere",
                       ("auto", "full", "lite")),
    "pause-unfocused": Setting(bool, True, "Send nothing while another window has the focus"),
}  # fmt: skip
"""The settings of the app: one table for checking the file, the settings document, the JSON Schema and the docs."""

_TOP: dict[str, dict[str, type]] = {
    "prune": {"undo": str, "keep": list, "policy": list},
    "convert": {"vram-budget": str},
    "app": {name: setting.kind for name, setting in APP.items()},
}
_NAMES = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the line and what to write."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says, or the defaults. `undo` in seconds."""

    path: Path
    undo: float = 15 * 60.0
    keep: tuple[str, ...] = ()
    policy: tuple[dict[str, Any], ...] = field(default=())
    """Each rule's selectors as they are written, checked for their names and types."""
    vram_budget: int | None = None
    """Bytes; None for no limit."""
    app: dict[str, Any] = field(default_factory=lambda: {name: one.default for name, one in APP.items()})
    """Every setting of `APP` with its value."""
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Command ids with the keys that the person wants for them."""
    told: frozenset[str] = frozenset()
    """Which settings of `[app]` the file names."""


def load(path: Path) -> Config:
    """Read a configuration; a file that is not there is an empty one. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST + 1)
    except FileNotFoundError:
        return Config(path)
    except OSError as error:
        raise ConfigError(f"The configuration {clean(path)} could not be read: {error.strerror}.") from None
    if len(raw) > _MOST:
        raise ConfigError(f"The configuration {clean(path)} is larger than 1 MB; that cannot be meant.")
    try:
        text = raw.decode()
        told = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{clean(path)} is not TOML: {clean(str(error))}.") from None
    reader = _Reader(path, text)
    reader.keys(told, dict.fromkeys((*_TOP, "keys"), dict), "")
    prune = told.get("prune", {})
    reader.keys(prune, _TOP["prune"], "prune.")
    reader.texts(prune.get("keep", []), "keep")
    conversion = told.get("convert", {})
    reader.keys(conversion, _TOP["convert"], "convert.")
    return Config(
        path,
        undo=reader.span(prune["undo"], "undo") if "undo" in prune else Config(path).undo,
        keep=tuple(prune.get("keep", ())),
        policy=tuple(reader.rule(rule) for rule in prune.get("policy", ())),
        vram_budget=reader.size(conversion["vram-budget"], "vram-budget") if "vram-budget" in conversion else None,
        app={name: one.default for name, one in APP.items()} | reader.app(told.get("app", {})),
        keys=reader.bindings(told.get("keys", {})),
        told=frozenset(told.get("app", {})),
    )


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def keys(self, table: dict[str, Any], known: dict[str, type], prefix: str) -> None:
        """Check names and types of a table's keys."""
        for key, value in table.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {prefix}{near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
                raise self._error(key, f"{prefix}{clean(key)!r} is no key{hint}")
            if not isinstance(value, known[key]):
                raise self._error(key, f"{prefix}{key} must be {_NAMES[known[key]]}")

    def app(self, table: dict[str, Any]) -> dict[str, Any]:
        """Check `[app]`."""
        self.keys(table, _TOP["app"], "app.")
        for key, value in table.items():
            choices = APP[key].choices
            if choices and value not in choices:
                raise self._error(key, f"app.{key} must be one of {', '.join(choices)}")
        return table

    def bindings(self, table: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        """Check `[keys]`: a key or a list of keys for each command."""
        out: dict[str, tuple[str, ...]] = {}
        for key, value in table.items():
            if isinstance(value, dict):  # runs.new = ... without quotes is a table of TOML
                out |= {f"{key}.{name}": keys for name, keys in self.bindings(value).items()}
                continue
            listed = [value] if isinstance(value, str) else value
            if not isinstance(listed, list):
                raise self._error(key, f"keys.{clean(key)} must be a key or a list of keys")
            self.texts(listed, key)
            out[key] = tuple(part.strip() for one in listed for part in one.split(",") if part.strip())
        return out

    def texts(self, values: list[Any], key: str) -> None:
        """Check that a list holds texts."""
        if not all(isinstance(value, str) for value in values):
            raise self._error(key, f"{key} must be a list of texts")

    def span(self, value: str, key: str) -> float:
        """A length of time."""
        try:
            return units.parse_span(value)
        except ValueError as error:
            raise self._error(key, str(error)) from None

    def size(self, value: str, key: str) -> int:
        """An amount of bytes."""
        try:
            return units.parse_size(value)
        except ValueError as error:
            raise self._error(key, str(error)) from None

    def rule(self, rule: Any) -> dict[str, Any]:
        """One rule of the policy."""
        if not isinstance(rule, dict):
            raise self._error("policy", "prune.policy must be tables: [[prune.policy]]")
        self.keys(rule, RULE_KEYS, "prune.policy.")
        if rule.get("what") not in ("kernels", "models"):
            raise self._error("what", 'each prune.policy needs what = "kernels" or what = "models"')
        for key in ("names", "filter", "assume-sm"):
            self.texts(rule.get(key, []), key)
        if not any(value for key, value in rule.items() if key not in ("what", "assume-sm")):
            raise self._error("what", "a prune.policy without a selector would mean everything; name one")
        return rule

    def _error(self, key: str, sentence: str) -> ConfigError:
        shape = re.compile(
            rf"""\s*(?:["']?{re.escape(key)}["']?\s*=|\[\[?\s*{re.escape(key)}\b|\[\[?\s*prune\.{re.escape(key)}\b)"""
        )
        line = next((number for number, text in enumerate(self._lines, 1) if shape.match(text)), None)
        place = f"{clean(self._path)}, line {line}" if line else clean(self._path)
        return ConfigError(f"{place}: {sentence}.")
