"""The house keeps its own rules: lint, types, the direction of imports, and what a start may load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("textual", "torch", "docling", "IPython", "huggingface_hub", "watchdog", "pynvml", "msgspec", "psutil")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": os.path.expanduser("~")}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=env, check=False)


@pytest.mark.parametrize("verb", [["check", "."], ["format", "--check", "."]], ids=["lint", "format"])
def test_ruff(verb: list[str]) -> None:
    done = _run(sys.executable, "-m", "ruff", *verb)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_strict_and_right() -> None:
    done = _run(sys.executable, "-m", "mypy", "-p", "cachetop", "-p", "cachetop_tui")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_of_the_tests() -> None:
    done = _run(sys.executable, "-m", "mypy", "tests")
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_point_one_way() -> None:
    done = _run(str(Path(sys.executable).parent / "lint-imports"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import cachetop", HEAVY),
        ("import cachetop.cli; cachetop.cli.main(['--version'])", HEAVY),
        ("import cachetop; cachetop.status()", ("textual", "torch", "docling", "IPython")),
        ("import cachetop.inventory", ("textual", "torch", "docling", "IPython")),
        ("import cachetop_tui.app", ("torch", "docling", "IPython")),
        ("import cachetop.conversion.launch", ("textual", "torch", "docling", "IPython")),
    ],
)
def test_a_start_loads_no_more_than_it_needs(code: str, banned: tuple[str, ...]) -> None:
    script = f"{code}\nimport sys\nprint([m for m in {banned!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_file_outgrew_its_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("inspector", "tui")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := path.read_text().count("\n")) > 400
    }
    assert not long


def test_the_short_help_says_what_the_verbs_say() -> None:
    from cachetop.cli import parser

    assert parser().format_help() == parser(whole=True).format_help()


def test_no_module_bears_the_name_of_a_public_function() -> None:
    import cachetop

    modules = {path.stem for path in (ROOT / "inspector" / "cachetop").iterdir()}
    assert not modules & set(cachetop.__all__), "importing it would put the module in the function's place"


def test_the_map_of_the_rooms_is_that_of_the_contracts() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawn, app = (
        [re.findall(r"`(\w+)`", line.split("|")[1]) for line in page.split(head)[1].split("\n## ")[0].splitlines()
         if line.startswith("| `")]
        for head in ("## The rooms of the library", "## The rooms of the app")
    )  # fmt: skip
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    assert [sorted(row) for row in drawn] == [sorted(re.findall(r"cachetop\.(\w+)", layer)) for layer in layers]
    rooms = {folder.parent.name for folder in (ROOT / "tui" / "cachetop_tui").glob("*/__init__.py")}
    assert {name for row in app for name in row} == rooms
