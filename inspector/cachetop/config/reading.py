"""Reading config.toml: checked against the schema, with errors that say where and what was meant."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.config.places import line_of
from cachetop.config.schema import APP, RULE, SETTINGS, Setting

_MOST = 1 << 20


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the line and what to write."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says, or the defaults. `undo` in seconds."""

    path: Path
    undo: float = units.parse_span(SETTINGS["prune"]["undo"].default)
    keep: tuple[str, ...] = ()
    policy: tuple[dict[str, Any], ...] = field(default=())
    """Each rule's selectors as they are written, checked for their names and types."""
    hub_roots: tuple[str, ...] = ()
    """Hub caches besides huggingface_hub's own, as they are written."""
    vram_budget: int | None = None
    """Bytes; None for no limit."""
    app: dict[str, Any] = field(default_factory=lambda: {name: one.default for name, one in APP.items()})
    """Every setting of `APP` with its value."""
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Command ids with the keys that the person wants for them."""
    key_lines: dict[str, int] = field(default_factory=dict)
    """Where in the file each of `keys` stands."""
    values: dict[str, Any] = field(default_factory=dict)
    """The file as TOML reads it: section, key, value."""

    def names(self, section: str, key: str) -> bool:
        """Whether the file says something about a setting."""
        return key in self.values.get(section, {})

    def value(self, section: str, key: str) -> Any:
        """A setting as it is written, or its default."""
        return self.values.get(section, {}).get(key, SETTINGS[section][key].default)


def load(path: Path) -> Config:
    """Read a configuration; a file that is not there is an empty one. Raises ConfigError."""
    text = read_text(path)
    if text is None:
        return Config(path)
    return checked(path, text)


def read_text(path: Path) -> str | None:
    """The text of the file without the mark that some editors put in front, None without a file. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"The configuration {clean(path)} could not be read: {error.strerror}.") from None
    if len(raw) > _MOST:
        raise ConfigError(f"The configuration {clean(path)} is larger than 1 MB; that cannot be meant.")
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{clean(path)} is not TOML: {clean(str(error))}.") from None


def parsed(path: Path, text: str) -> dict[str, Any]:
    """`text` as TOML reads it. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{clean(path)} is not TOML: {clean(str(error))}.") from None


def checked(path: Path, text: str) -> Config:
    """The configuration that `text`, read from `path`, says. Raises ConfigError."""
    told = parsed(path, text)
    reader = _Reader(path, text)
    reader.names(told, (*SETTINGS, "keys"), ())
    for section in (*SETTINGS, "keys"):
        if not isinstance(told.get(section, {}), dict):
            raise reader.error((section,), f"{section} must be a table: [{section}]")
    for section, settings in SETTINGS.items():
        reader.values(told.get(section, {}), settings, (section,))
    prune, models, conversion, app = (told.get(name, {}) for name in ("prune", "models", "convert", "app"))
    for i, rule in enumerate(prune.get("policy", ())):
        reader.rule(rule, ("prune", "policy", i))
    return Config(
        path,
        undo=units.parse_span(prune["undo"]) if "undo" in prune else Config(path).undo,
        keep=tuple(prune.get("keep", ())),
        policy=tuple(prune.get("policy", ())),
        hub_roots=tuple(models.get("roots", ())),
        vram_budget=units.parse_size(conversion["vram-budget"]) if "vram-budget" in conversion else None,
        app={name: one.default for name, one in APP.items()} | app,
        keys=reader.bindings(told.get("keys", {}), ("keys",)),
        key_lines=reader.key_lines,
        values=told,
    )


def split_keys(text: str) -> tuple[str, ...]:
    """The keys in a text with commas between them; the comma itself is one alone, and after a `+`."""
    if text.strip() == ",":
        return (",",)
    return tuple(part.strip() for part in re.split(r"(?<!\+),", text) if part.strip())


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self.key_lines: dict[str, int] = {}

    def names(self, table: Mapping[str, Any], known: Iterable[str], path: tuple[str | int, ...]) -> None:
        """Check the names in a table."""
        prefix = "".join(f"{name}." for name in path if isinstance(name, str))
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {prefix}{near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
                raise self.error((*path, key), f"{prefix}{clean(key)!r} is no key{hint}")

    def values(self, table: Mapping[str, Any], known: Mapping[str, Setting], path: tuple[str | int, ...]) -> None:
        """Check names and values of a table's keys."""
        self.names(table, known, path)
        prefix = "".join(f"{name}." for name in path if isinstance(name, str))
        for key, value in table.items():
            wrong = known[key].check(value)
            if wrong:
                choices = known[key].choices
                near = difflib.get_close_matches(value, choices, 1) if isinstance(value, str) else []
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self.error((*path, key), f"{prefix}{key} {wrong}{hint}")

    def bindings(self, table: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, tuple[str, ...]]:
        """Check `[keys]`: a key or a list of keys for each command."""
        out: dict[str, tuple[str, ...]] = {}
        for key, value in table.items():
            here = (*path, key)
            if isinstance(value, dict):  # runs.new = ... without quotes is a table of TOML
                out |= {f"{key}.{name}": keys for name, keys in self.bindings(value, here).items()}
                continue
            listed = [value] if isinstance(value, str) else value
            if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
                raise self.error(here, f"keys.{clean(key)} must be a key or a list of keys")
            line = line_of(self._text, here)
            if line:
                self.key_lines[".".join(str(name) for name in here[1:])] = line
            out[key] = tuple(name for one in listed for name in split_keys(one))
        return out

    def rule(self, rule: Any, path: tuple[str | int, ...]) -> None:
        """One rule of the policy."""
        if not isinstance(rule, dict):
            raise self.error(path, "prune.policy must be tables: [[prune.policy]]")
        if rule.get("what") not in RULE["what"].choices:
            raise self.error((*path, "what"), 'each prune.policy needs what = "kernels" or what = "models"')
        self.values(rule, RULE, path)
        if not any(value for key, value in rule.items() if key not in ("what", "assume-sm")):
            raise self.error(path, "a prune.policy without a selector would mean everything; name one")

    def error(self, path: tuple[str | int, ...], sentence: str) -> ConfigError:
        """The sentence with the place in front."""
        line = line_of(self._text, path)
        place = f"{clean(self._path)}, line {line}" if line else clean(self._path)
        return ConfigError(f"{place}: {sentence}{'' if sentence.endswith('?') else '.'}")
