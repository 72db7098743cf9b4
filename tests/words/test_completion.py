"""`cachetop completion` in a real bash, where no name on disk is run by it; and the man page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.cli import VERBS, manual
from support import hubcache, triton_cache

BIN = Path(sys.executable).parent
HOSTILE = "models--org--$(touch${IFS}pwned)"


@pytest.fixture(scope="module")
def script() -> str:
    return subprocess.run([BIN / "cachetop", "completion", "bash"], capture_output=True, text=True, check=True).stdout


def completed(script: str, line: str, folder: Path) -> list[str]:
    """What bash offers at the end of `line`."""
    words = line.split(" ")
    ask = f"COMP_WORDS=({' '.join(words)} )\n" if line.endswith(" ") else f"COMP_WORDS=({line})\n"
    ask += f"COMP_CWORD={len(words) - 1}\n_shtab_cachetop\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, cwd=folder, check=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    return done.stdout.split()


def test_bash_completes_verbs_options_repos_and_sms(script: str, world: Path, tmp_path: Path) -> None:
    hub = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(hub, "org/model")
    (hub / HOSTILE / "blobs").mkdir(parents=True)
    triton_cache.synthetic(world / ".triton" / "cache", 7)
    assert completed(script, "cachetop mod", tmp_path) == ["models"]
    assert completed(script, "cachetop prune kernels --st", tmp_path) == ["--stale"]
    assert completed(script, "cachetop convert --pipeline na", tmp_path) == ["native"]
    assert completed(script, "cachetop models show or", tmp_path) == ["org/model"]
    assert completed(script, "cachetop kernels --sm sm_1", tmp_path) == ["sm_100", "sm_120"]
    assert completed(script, "cachetop prune models ", tmp_path) == ["org/model"]
    assert not list(tmp_path.iterdir())


def test_zsh_can_read_its_script(tmp_path: Path) -> None:
    made = subprocess.run([BIN / "cachetop", "completion", "zsh"], capture_output=True, text=True, check=True).stdout
    assert made.startswith("#compdef cachetop") and "_cachetop_repos()" in made
    zsh = shutil.which("zsh")
    if zsh is not None:
        (tmp_path / "_cachetop").write_text(made)
        subprocess.run([zsh, "-n", tmp_path / "_cachetop"], check=True)


def test_the_man_page_has_every_verb_and_no_warning() -> None:
    page = manual.page("2026-01-01")
    assert all(f"cachetop {verb}\\fR" in page for verb in VERBS)
    groff = shutil.which("groff")
    if groff is not None:
        done = subprocess.run(
            [groff, "-man", "-Tascii", "-ww", "-Wbreak"], input=page, capture_output=True, text=True, check=True
        )
        assert done.stderr == "" and "interrupted" in done.stdout
