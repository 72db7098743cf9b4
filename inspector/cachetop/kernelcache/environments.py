"""Which Python environments on this machine have the packages that fill kernel caches, and which releases: found
from their files, nothing is run.

Looked at are the running and the active environment, conda's own list, the usual homes of virtual environments
(virtualenvwrapper, pyenv, uv, pipx, ~/venvs, /opt), the system's, and environments that cache entries name. The
release is in the name of a package's dist-info folder. An environment elsewhere is not found, which is why rules say
how many were looked at.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping

from cachetop.base.files import read_bounded
from cachetop.locations import home

PYTHON_OF_TORCH = "python of torch"
"""Not a package: the releases of Python (`3.11`) that have torch in an environment."""
_DIST = re.compile(
    r"(?:pytorch[_-])?(?P<name>triton|torch|numba|warp_lang|flashinfer_python|nvidia_cuda_nvrtc)(?:_cu\d{2})?"
    r"-(?P<release>\d[0-9A-Za-z.+!_]{0,60})\.dist-info\Z"
)
_PYTHON = re.compile(r"python(3\.\d{1,2})t?\Z")
_SHELVES = ("venvs", "envs", ".virtualenvs", ".venvs", ".pyenv/versions", ".local/share/uv/tools",
            ".local/share/pipx/venvs", ".local/pipx/venvs", "miniconda3/envs", "miniforge3/envs", "anaconda3/envs",
            "mambaforge/envs", ".conda/envs")  # fmt: skip
_SYSTEM = ("/opt", "/opt/conda/envs", "/usr/local")
_PREFIXES_MOST = 512
_KEPT = 30.0
_lock = threading.Lock()
Releases = Mapping[str, frozenset[str]]
"""Package (`triton`, `warp-lang`) -> its releases in one environment."""
_found: tuple[float, tuple[object, ...], dict[str, Releases]] | None = None


def installed(prefix: str) -> Releases:
    """The releases of each package that matters in the environment at `prefix`; empty when there is none, or it
    cannot be listed."""
    found: dict[str, set[str]] = {}
    for lib in ("lib", "lib64"):
        for python in _names(os.path.join(prefix, lib)):
            if release := _PYTHON.match(python):
                for packages in ("site-packages", "dist-packages"):
                    here = _packages(os.path.join(prefix, lib, python, packages), found)
                    if "torch" in here:
                        found.setdefault(PYTHON_OF_TORCH, set()).add(release[1])
    _packages(os.path.join(prefix, "lib", "python3", "dist-packages"), found)
    return {name: frozenset(releases) for name, releases in found.items()}


def _packages(folder: str, found: dict[str, set[str]]) -> set[str]:
    """Add the packages in one folder to `found`; returns their names."""
    here = set()
    for name in _names(folder):
        if name.endswith(".dist-info") and (hit := _DIST.match(name)):
            package = hit["name"].replace("_", "-")
            found.setdefault(package, set()).add(hit["release"].replace("_", "+"))
            here.add(package)
    return here


def find(env: Mapping[str, str] | None = None) -> dict[str, Releases]:
    """Every environment found that has one of the packages. Kept for half a minute for the same places."""
    global _found
    env = os.environ if env is None else env
    asked = (home(env), *(env.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "WORKON_HOME")))
    with _lock:
        if _found is not None and _found[1] == asked and time.monotonic() - _found[0] < _KEPT:
            return _found[2]
        here = {prefix: found for prefix in _prefixes(env) if (found := installed(prefix))}
        _found = (time.monotonic(), asked, here)
        return here


def _prefixes(env: Mapping[str, str]) -> list[str]:
    base = home(env)
    found = [sys.prefix, "/usr", "/usr/local", os.path.join(base, ".local"), "/opt/conda"]
    found += [env[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if env.get(name)]
    found += [os.path.join(base, name) for name in ("miniconda3", "miniforge3", "anaconda3", "mambaforge", ".venv")]
    shelves = [os.path.join(base, name) for name in _SHELVES]
    shelves += [env["WORKON_HOME"]] if env.get("WORKON_HOME") else []
    for shelf in (*shelves, *_SYSTEM):
        found += [os.path.join(shelf, name) for name in sorted(_names(shelf))[:_PREFIXES_MOST]]
    try:
        listed = read_bounded(os.path.join(base, ".conda", "environments.txt"), 1 << 16).decode("utf-8", "replace")
        found += [line for line in listed.splitlines() if line.startswith("/")]
    except (OSError, ValueError):
        pass
    return list(_unique(found))[:_PREFIXES_MOST]


def _unique(paths: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []
