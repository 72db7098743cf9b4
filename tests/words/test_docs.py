"""The hand-written pages name what there is, and nothing else."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachetop.cli import VERBS, exits, parser

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text(encoding="utf-8")
CODE = REPO / "inspector" / "cachetop"


def test_the_readme_shows_every_verb_and_no_other() -> None:
    named = re.findall(r"^\| `cachetop (\w+)", README, re.MULTILINE)
    assert sorted(named) == sorted(VERBS)


def test_the_readme_is_right_about_json() -> None:
    without = [verb for verb in VERBS if "--json" not in _help(verb)]
    assert sorted(without) == ["completion", "demo", "explain", "keys"]


def test_the_readmes_options_exist() -> None:
    for verb, text in re.findall(r"^\| `cachetop (\w+)(.*)$", README, re.MULTILINE):
        for option in re.findall(r"`(--[a-z-]+)", text):
            assert option in _help(verb), f"{verb} {option}"


def _help(verb: str) -> str:
    """The help of a verb and of everything below it."""
    return "\n".join(_helps(_below(parser(whole=True))[verb]))


def _helps(one: argparse.ArgumentParser) -> Iterator[str]:
    yield one.format_help()
    for below in _below(one).values():
        yield from _helps(below)


def _below(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action.choices for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


def test_the_command_for_the_tests_is_the_one_that_continuous_integration_runs() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert len(commands) == 2
    assert commands[1] == (REPO / ".ci" / "run").read_text().splitlines()[-1]


def test_the_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for group in re.findall(r"'\.\[([a-z,]+)\]'", README):
        assert set(group.split(",")) <= set(extras)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (REPO / "docs").glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    path = REPO / page
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_every_event_that_is_written_is_described_and_the_other_way_round() -> None:
    page = (REPO / "docs" / "events.md").read_text(encoding="utf-8")
    described = {
        name for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", row)
    }
    written = {name for path in CODE.rglob("*.py") for name in _events(ast.parse(path.read_text(encoding="utf-8")))}
    assert described == written


def _events(tree: ast.Module) -> Iterator[str]:
    """First arguments of calls named emit, what a name `event` is set to, and values under the key "event"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("emit", "_emit", "_entry", "_repo"):
                yield from _constants(node.args[0])
        elif isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "event" for name in node.targets):
            yield from _constants(node.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "event":
                    yield from _constants(value)


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def test_the_readme_names_every_exit_code() -> None:
    said = re.search(r"Exit codes: ([^.]*)\.", README)
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert said is not None and {int(code) for code in re.findall(r"(?:^|, )(\d+) ", said[1])} == codes


def _verbs(within: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    yield path, {option for action in within._actions for option in action.option_strings}
    for action in within._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                yield from _verbs(verb, (*path, name))


def test_every_flag_in_a_command_of_the_pages_is_one_of_its_verb() -> None:
    verbs = dict(_verbs(parser(whole=True)))
    wrong = []
    for page in (REPO / "README.md", *(REPO / "docs").glob("*.md")):
        for match in re.finditer(r"`(cachetop [^`\n]*)`|^(?:\$ )?(cachetop [^#\n]*)", page.read_text("utf-8"), re.M):
            words = (match[1] or match[2]).split()
            path: tuple[str, ...] = ()
            while len(words) > len(path) + 1 and (*path, words[len(path) + 1]) in verbs:
                path = (*path, words[len(path) + 1])
            flags = {flag for word in words for flag in re.findall(r"^\[?(--[a-z-]+)", word)}
            if flags - verbs[path] - verbs[()]:
                wrong.append((page.name, match[0], path))
    assert wrong == []
