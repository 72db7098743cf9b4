"""Interpreters: found and described from files alone, chosen with care."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cachetop.conversion import interpreters
from cachetop.conversion.interpreters import NoInterpreter, candidates, choose, inspect, remember


def make_venv(prefix: Path, *packages: str, version: str = "3.12.4", cuda: str | None = None) -> str:
    """An environment whose interpreter leaves a mark when it is run."""
    (prefix / "bin").mkdir(parents=True)
    python = prefix / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {prefix}/EXECUTED\n")
    python.chmod(0o755)
    short = ".".join(version.split(".")[:2])
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n")
    library = prefix / "lib" / f"python{short}" / "site-packages"
    library.mkdir(parents=True)
    for package in packages:
        (library / f"{package}.dist-info").mkdir()
    if cuda:
        (library / "torch").mkdir()
        (library / "torch" / "version.py").write_text(
            f"__version__ = '2.9'\ncuda: Optional[str] = '{cuda}'\nhip = None\n"
        )
    return str(python)


def test_this_interpreter_is_first_and_its_versions_are_the_installed_ones() -> None:
    from importlib.metadata import version

    one = candidates()[0]
    assert one.path == sys.executable and one.origin == "this one"
    assert one.docling == version("docling") and one.torch == version("torch")
    assert one.python == ".".join(map(str, sys.version_info[:3]))
    assert not one.slim


def test_an_environment_is_described_without_running_it(tmp_path: Path) -> None:
    packages = (
        "docling-2.143.0",
        "Docling_Slim-2.143.0",
        "torch-2.9.0+cu130",
        "transformers-5.1",
        "onnxruntime_gpu-1.2",
    )
    python = make_venv(tmp_path / "env", *packages, cuda="13.0")
    one = inspect(python, "here", False)
    assert (one.python, one.docling, one.slim, one.torch, one.cuda) == (
        "3.12.4",
        "2.143.0",
        False,
        "2.9.0+cu130",
        "13.0",
    )
    assert one.transformers == "5.1" and one.onnxruntime is None
    slim = inspect(make_venv(tmp_path / "slim", "docling_slim-2.142.1"), "here", False)
    assert slim.slim and slim.docling == "2.142.1" and slim.torch is None and slim.cuda is None
    assert not list(tmp_path.rglob("EXECUTED"))


def test_one_in_the_current_folder_is_listed_but_never_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_venv(tmp_path / ".venv", "docling-2.143.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", make_venv(tmp_path / "mine", "textual-8.2"))
    listed = {one.path: one for one in candidates()}
    assert listed[here].from_here and not listed[sys.executable].from_here
    with pytest.raises(NoInterpreter, match=r"cachetop\[native\]") as refused:
        choose()
    assert sys.executable in str(refused.value) and f"--python {here}" in str(refused.value)
    assert choose(here).path == here  # named: picked by the person
    assert choose(str(tmp_path / ".venv")).path == here
    assert not list(tmp_path.rglob("EXECUTED"))


def test_the_one_named_last_in_a_folder_is_remembered_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = make_venv(tmp_path / "env", "docling-2.143.0")
    monkeypatch.setattr(sys, "executable", make_venv(tmp_path / "mine"))
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()
    remember(work, named)
    assert choose(cwd=work).path == named
    with pytest.raises(NoInterpreter):
        choose(cwd=other)
    active = make_venv(tmp_path / "active", "docling_slim-2.142.1")
    assert choose(env={"VIRTUAL_ENV": str(tmp_path / "active"), "HOME": "/nowhere"}, cwd=other).path == active


@pytest.mark.parametrize(
    ("packages", "version", "words"),
    [(("torch-2.9",), "3.12.1", "docling is not installed"), (("docling-2.143",), "3.9.18", "3.10 or newer")],
)
def test_a_named_one_that_cannot_convert_is_refused(
    tmp_path: Path, packages: tuple[str, ...], version: str, words: str
) -> None:
    with pytest.raises(NoInterpreter, match=words):
        choose(make_venv(tmp_path / "env", *packages, version=version))


def test_a_bare_name_is_looked_up_on_the_path(tmp_path: Path) -> None:
    python = make_venv(tmp_path / "env", "docling-2.143.0")
    assert choose("python", env={"PATH": str(tmp_path / "env" / "bin"), "HOME": "/nowhere"}).path == python


def test_what_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoInterpreter, match="no Python interpreter"):
        choose(str(tmp_path / "none"))


def test_two_environments_of_one_python_are_two(tmp_path: Path) -> None:
    real = tmp_path / "base" / "bin" / "python3.12"
    real.parent.mkdir(parents=True)
    real.write_text("")
    real.chmod(0o755)
    for name in ("one", "two"):
        make_venv(tmp_path / name)
        (tmp_path / name / "bin" / "python").unlink()
        (tmp_path / name / "bin" / "python").symlink_to(real)
        (tmp_path / name / "bin" / "python3").symlink_to("python")
    one, two = (str(tmp_path / name / "bin" / "python") for name in ("one", "two"))
    assert interpreters.same(one, str(tmp_path / "one" / "bin" / "python3"))
    assert not interpreters.same(one, two)


def test_hostile_environments_do_not_stop_the_listing(tmp_path: Path, world: Path) -> None:
    versions = world / ".pyenv" / "versions"
    good = make_venv(versions / "3.12.4")
    loop = versions / "loop"
    loop.symlink_to(loop)
    python = Path(make_venv(versions / "odd\x1b[31m", "docling-2\x1b[31m"))
    (python.parent.parent / "pyvenv.cfg").unlink()
    os.mkfifo(python.parent.parent / "pyvenv.cfg")
    library = python.parent.parent / "lib" / "python3.12" / "site-packages"
    (library / "a.pth").write_bytes(b"import os; os.system('touch EXECUTED')\n\xff\n/\n" * 10)
    listed = candidates({"HOME": str(world)}, tmp_path)
    assert good in [one.path for one in listed]
    odd = next(one for one in listed if one.path == str(python))
    assert odd.docling is not None and "\x1b" not in odd.docling + odd.origin
    assert not list(world.rglob("EXECUTED"))
