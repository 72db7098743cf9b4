"""The texts of one language, by dotted key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any

LANGUAGES = ("en", "es")


class Words:
    """The texts of one language. `words("title")` gives one, its placeholders filled in."""

    def __init__(self, language: str, tree: Mapping[str, Any]) -> None:
        self.language = language
        self._tree = tree

    def __call__(self, key: str, /, **values: str) -> str:
        """The text under a dotted key. Raises KeyError for an unknown key or a missing placeholder."""
        text = self._at(key)
        if not isinstance(text, str):
            raise KeyError(key)
        return text.format_map(values)

    def below(self, key: str) -> list[str]:
        """The names directly under a dotted key, in the order of the file."""
        return list(self._at(key))

    def keys(self) -> dict[str, frozenset[str]]:
        """Every dotted key with the placeholders of its text."""
        return {key: frozenset(name for _, name, _, _ in Formatter().parse(text) if name) for key, text in self.texts()}

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every dotted key with its raw text."""
        yield from _walk(self._tree, "")

    def _at(self, key: str) -> Any:
        node: Any = self._tree
        for part in key.split("."):
            node = node[part]
        return node


def _walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, str):
            yield prefix + name, value
        else:
            yield from _walk(value, f"{prefix}{name}.")


@cache
def load(language: str) -> Words:
    """The words of `en` or `es`. Raises ValueError for another language."""
    if language not in LANGUAGES:
        raise ValueError(f"there is no text in {language!r}; there is {' and '.join(LANGUAGES)}")
    text = resources.files(__package__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return Words(language, tomllib.loads(text))


def language_of(env: Mapping[str, str]) -> str:
    """`es` where the locale asks for Spanish, else `en`: the first of LC_ALL, LC_MESSAGES, LANG that is set."""
    chosen = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    language = chosen.partition(".")[0].partition("_")[0].lower()
    return "es" if language == "es" else "en"
