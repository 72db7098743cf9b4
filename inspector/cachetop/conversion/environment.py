"""The environment a worker is given: the caller's, less what would let the wrong code in."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cachetop.locations import kernel_roots

_DROPPED = ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONHOME", "__PYVENV_LAUNCHER__", "FAKE_NVML")
_PATHS = (
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TRITON_HOME",
    "TORCHINDUCTOR_CACHE_DIR", "PYTORCH_KERNEL_CACHE_PATH", "CUDA_CACHE_PATH", "TORCH_EXTENSIONS_DIR", "TMPDIR",
    "DOCLING_ARTIFACTS_PATH", "DOCLING_CACHE_DIR", "HF_TOKEN_PATH", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
)  # fmt: skip


def for_worker(env: Mapping[str, str]) -> dict[str, str]:
    """What the worker process gets.

    The worker runs in its job's folder, so paths of caches that are relative are made absolute first, and
    the entries of PYTHONPATH that mean the current folder, where a cloned repository may lie, are dropped.
    """
    given = {name: value for name, value in env.items() if name not in _DROPPED}
    for name in _PATHS:
        if given.get(name) and not given[name].startswith(("~", "$")):
            given[name] = os.path.abspath(given[name])
    entries = [entry for entry in given.pop("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    if entries:
        given["PYTHONPATH"] = os.pathsep.join(entries)
    given.setdefault("PYTHONFAULTHANDLER", "1")  # a crash in a library leaves its place in stderr.log
    return given


def watched_roots(env: Mapping[str, str]) -> dict[str, str]:
    """Cache id -> folder of every kernel cache, named as `cachetop kernels` names them."""
    roots: dict[str, str] = {}
    for location in kernel_roots(env):
        number = sum(name.partition(":")[0] == location.kind for name in roots) + 1
        roots[location.kind if number == 1 else f"{location.kind}:{number}"] = os.path.abspath(location.path)
    return roots
