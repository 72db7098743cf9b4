"""A newcomer's first minutes: the README's first command in a fresh environment ends in a converted document."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.demo.paper import write_pdf

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new environment with `.[native]` installed from a copy of the sources."""
    base = tmp_path_factory.mktemp("fresh")
    source = base / "checkout"
    wanted = ("inspector", "tui", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md")
    source.mkdir()
    for name in wanted:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True)
    install = [str(base / "env" / "bin" / "pip"), "install", "-q", f"{source}[native]"]
    done = subprocess.run(install, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(base)})
    assert done.returncode == 0, done.stderr[-2000:]
    return base / "env" / "bin"


def test_the_readme_names_the_commands_that_are_tested() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "python3 -m venv .venv && .venv/bin/pip install '.[native]' && .venv/bin/cachetop demo" in readme
    ci = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert ci in readme


def test_it_converts_a_pdf_without_torch(fresh: Path, tmp_path: Path) -> None:
    paper = tmp_path / "paper.pdf"
    write_pdf(paper, 3, title="Fresh paper")
    listed = subprocess.run([fresh / "pip", "list"], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" not in listed
    done = subprocess.run(
        [fresh / "cachetop", "convert", paper, "--output", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fresh paper" in (tmp_path / "out" / "paper.md").read_text()


def test_the_man_page_comes_with_it(fresh: Path) -> None:
    page = (fresh.parent / "share" / "man" / "man1" / "cachetop.1").read_text()
    from cachetop.cli import VERBS

    assert all(f"cachetop {verb}\\fR" in page for verb in VERBS)
    assert ".SH EXIT STATUS" in page and "\\-\\-read\\-only" in page


def test_every_verb_answers(fresh: Path) -> None:
    for verb in ("status", "models", "kernels", "gpus", "jobs", "explain", "doctor"):
        done = subprocess.run([fresh / "cachetop", verb], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (verb, done.stderr)
        assert (done.stdout + done.stderr).strip()
    assert subprocess.run([fresh / "python", "-m", "cachetop", "--version"], check=False).returncode == 0
