"""Real caches, made once per run: Triton's for seven SMs, Inductor's for one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.triton_cache import compile_kernels

SMS = (75, 80, 86, 89, 90, 100, 120)
Look = Callable[..., Kernels]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Triton cache with two kernels for each of SMS. Shared by all tests: copy it before changing it."""
    folder = tmp_path_factory.mktemp("compiled")
    return compile_kernels(folder / "cache", folder / "work", "add_kernel,softmax_kernel", ",".join(map(str, SMS)))


@pytest.fixture(scope="session")
def inductor_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Inductor cache for sm_90 that torch itself wrote. Shared by all tests: copy it before changing it."""
    folder = tmp_path_factory.mktemp("inductor")
    program = Path(__file__).with_name("compile_for_fake_gpu.py")
    env = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}
    env.pop("TRITON_CACHE_DIR", None)
    done = subprocess.run([sys.executable, str(program), "90"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "cache"


@pytest.fixture
def cache(compiled: Path, tmp_path: Path) -> Path:
    """A copy of the compiled cache that says of itself that it lies here."""
    root = tmp_path / "triton"
    shutil.copytree(compiled, root)
    for group in root.glob("*/__grp__*.json"):
        about = group.stat()
        group.write_text(group.read_text().replace(str(compiled), str(root)))
        os.utime(group, ns=(about.st_atime_ns, about.st_mtime_ns))
    return root


@pytest.fixture
def look() -> Look:
    """Scan one root with the second pass: look(path, kind="triton", sms=None)."""

    def at(path: Path, kind: str = "triton", sms: Sequence[str] | None = None) -> Kernels:
        scanner = Scanner([Location(kind, str(path), "the test says so")])
        return with_detail(scanner.scan(), scanner, sms)

    return at
