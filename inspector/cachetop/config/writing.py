"""Changing one key of config.toml: everything else stays as it was written, comments included.

Every change is checked before it is written: the new text must read as the old one with that key changed, and
nothing else. Where that cannot be done, ConfigError says what to write by hand.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from cachetop.base.hostile import clean
from cachetop.config.places import Place, find, places
from cachetop.config.reading import ConfigError, parsed, read_text

_TRIES = 5
"""How often a change is made anew because another program wrote the file meanwhile."""


def put(path: Path, section: str, key: str, value: Any) -> None:
    """Write `section.key = value` into the file, which need not be there. Raises ConfigError, OSError."""
    _change(path, section, key, value, remove=False)


def reset(path: Path, section: str, key: str) -> None:
    """Let the default of `section.key` hold again: its line becomes a comment. Raises ConfigError, OSError."""
    _change(path, section, key, None, remove=True)


def edited(text: str, section: str, key: str, value: Any) -> str:
    """`text` with `section.key` set to `value`. Raises ValueError where it cannot be edited safely."""
    wanted = tomllib.loads(text)
    names = _names(wanted, section, key)
    table = wanted
    for name in names[:-1]:
        table = table.setdefault(name, {})
    table[names[-1]] = value
    written = f"{_quoted(key)} = {toml(value)}"
    place = find(text, names)
    end = "\r\n" if "\r\n" in text else "\n"
    if place is not None:
        new = text[: place.value] + toml(value) + text[place.end :]
    elif (header := find(text, (section,))) is not None and header.header:
        at = _end_of_table(text, header)
        new = f"{text[:at]}{'' if text[at - 1] == chr(10) else end}{written}{end}{text[at:]}"
    else:
        gap = "" if not text else end if text.endswith("\n") else end * 2
        new = f"{text}{gap}[{section}]{end}{written}{end}"
    return _checked(new, wanted)


def without(text: str, section: str, key: str) -> str:
    """`text` with `section.key` commented out. Raises ValueError where it cannot be edited safely."""
    wanted = tomllib.loads(text)
    names = _names(wanted, section, key)
    place = find(text, names)
    if place is None:
        if _at(wanted, names) is None:
            return text
        raise ValueError("it is written within something else")
    del _at(wanted, names[:-1])[names[-1]]
    lines = text[place.start : place.end].split("\n")
    new = text[: place.start] + "\n".join(f"# {line}" for line in lines) + text[place.end :]
    for length in range(len(names) - 1, 0, -1):  # a table that only this key made goes with it
        if not _at(wanted, names[:length]) and not _headed(text, names[:length]):
            del _at(wanted, names[: length - 1])[names[length - 1]]
    return _checked(new, wanted)


def toml(value: Any) -> str:
    """A flag, a text or a list of texts as it is written in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(toml(one) for one in value)}]"


def _change(path: Path, section: str, key: str, value: Any, *, remove: bool) -> None:
    for _ in range(_TRIES):
        text = read_text(path)
        new = _changed(path, text or "", section, key, value, remove=remove)
        if new == (text or ""):
            return
        if read_text(path) == text:  # nobody has written meanwhile
            _write(Path(os.path.realpath(path)), new)
            return
    raise ConfigError(f"{clean(path)} is being written by another program; try it again.")


def _changed(path: Path, text: str, section: str, key: str, value: Any, *, remove: bool) -> str:
    parsed(path, text)
    try:
        return without(text, section, key) if remove else edited(text, section, key, value)
    except ValueError:
        line = f"without the line of {section}.{key}" if remove else f"[{section}] {_quoted(key)} = {toml(value)}"
        raise ConfigError(
            f"{clean(path)} is written in a way that is not changed by itself; write by hand: {line}."
        ) from None


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, its mode and the mark in front of it kept; a link to it stays a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = False
    with contextlib.suppress(FileNotFoundError), path.open("rb") as old:
        marked = old.read(3) == codecs.BOM_UTF8
        if not os.fstat(old.fileno()).st_mode & 0o222 or not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".config-", suffix=".toml")
    try:
        with os.fdopen(number, "w", encoding="utf-8-sig" if marked else "utf-8", newline="") as file:
            file.write(text)
        with contextlib.suppress(FileNotFoundError):
            os.chmod(name, path.stat().st_mode & 0o777)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _end_of_table(text: str, header: Place) -> int:
    """After the last key of the table whose header this is."""
    end, inside = header.end, False
    for place in places(text):
        if place.header:
            inside = place == header
        elif inside:
            end = place.end
    stop = text.find("\n", end)
    return len(text) if stop < 0 else stop + 1


def _headed(text: str, table: tuple[str, ...]) -> bool:
    return any(place.header and place.path[: len(table)] == table for place in places(text))


def _names(told: dict[str, Any], section: str, key: str) -> tuple[str, ...]:
    """The names that lead to a key: `runs.new` without quotes is a table within the section."""
    dotted = (section, *key.split("."))
    return dotted if key not in told.get(section, {}) and _at(told, dotted) is not None else (section, key)


def _at(told: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if not isinstance(told, dict) or name not in told:
            return None
        told = told[name]
    return told


def _quoted(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else toml(key)


def _checked(new: str, wanted: dict[str, Any]) -> str:
    if tomllib.loads(new) != wanted:
        raise ValueError("the change would change something else")
    return new
