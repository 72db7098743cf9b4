"""A clean world for every test: own home, no cache variable of the machine, no state left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHE_VARIABLES = (
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TRITON_HOME",
    "TORCHINDUCTOR_CACHE_DIR", "PYTORCH_KERNEL_CACHE_PATH", "CUDA_CACHE_PATH", "TORCH_EXTENSIONS_DIR",
    "CACHETOP_STATE_DIR", "CACHETOP_CONFIG", "CACHETOP_READ_ONLY", "CACHETOP_HUB_ROOTS", "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME", "XDG_CONFIG_HOME",
    "FLASHINFER_WORKSPACE_BASE", "VLLM_CACHE_ROOT", "KERNELS_CACHE", "WARP_CACHE_PATH", "NUMBA_CACHE_DIR",
    "JAX_COMPILATION_CACHE_DIR",
    "HF_TOKEN", "VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR", "SSH_CONNECTION", "TMUX",
)  # fmt: skip


@pytest.fixture(autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of this test's own, with every cache at its default place below it."""
    home = tmp_path_factory.mktemp("home")
    for name in CACHE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setenv("CACHETOP_STATE_DIR", str(home / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("TERM", "xterm-256color")
    (home / "run").mkdir(mode=0o700)
    os.makedirs(home / "state", mode=0o700)
    return home
