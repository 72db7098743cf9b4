"""What the worker must be to run under any interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.workers import WORKER

FILES = sorted(WORKER.glob("*.py"))
RESIDENCY = WORKER.parent.parent / "base" / "residency.py"


@pytest.mark.parametrize("file", [*FILES, RESIDENCY], ids=lambda file: file.name)
def test_it_is_valid_python_3_10_and_never_imports_cachetop(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 10))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        assert not [name for name in names if name.split(".")[0] in ("cachetop", "cachetop_tui")]


def test_its_folder_is_not_on_the_path(tmp_path: Path) -> None:
    """A bare `import kernels`, which transformers tries, must not find the worker's module of that name."""
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import importlib.util, runpy, sys\n"
        f"sys.argv = [{str(WORKER)!r}, '/nonexistent']\n"
        "try:\n"
        f"    runpy.run_path({str(WORKER)!r}, run_name='probe')\n"
        "finally:\n"
        "    names = ('kernels', 'stages', 'record', 'job', 'device')\n"
        "    print([name for name in names if importlib.util.find_spec(name)])\n"
    )
    done = subprocess.run([sys.executable, str(probe)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_it_says_how_it_is_started() -> None:
    done = subprocess.run([sys.executable, str(WORKER)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "JOBDIR" in done.stderr


def test_starting_it_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(WORKER), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "cachetop_worker.control" in imported
    heavy = {"docling", "torch", "transformers", "huggingface_hub", "numpy", "onnxruntime", "pydantic"}
    assert not heavy & imported
