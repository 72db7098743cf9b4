"""Which cache variables a process was started with: /proc/PID/environ, by whitelist.

That file is the environment at exec. Nothing of it is kept or shown but the variables named here.
"""

from __future__ import annotations

from cachetop.base.hostile import show
from cachetop.gpu import proc

CACHE_VARIABLES = (
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_CACHE",
    "TRITON_CACHE_DIR", "TRITON_HOME", "TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "PYTORCH_KERNEL_CACHE_PATH",
    "CUDA_CACHE_PATH", "CUDA_CACHE_DISABLE", "CUPY_CACHE_DIR", "NUMBA_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE",
    "VLLM_CACHE_ROOT", "TORCH_HOME", "DOCLING_ARTIFACTS_PATH", "XDG_CACHE_HOME", "VIRTUAL_ENV", "CONDA_PREFIX",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
)  # fmt: skip
"""Variables that decide where models and kernels are kept, and which GPUs a program sees."""
_LIMIT = 1 << 20
_ALLOWED = frozenset(name.encode() for name in CACHE_VARIABLES)


def cache_variables(pid: int) -> dict[str, str] | None:
    """The whitelisted variables of a process, safe to show; None when it may not be inspected or is gone."""
    try:
        raw = proc.read(f"/proc/{pid}/environ", _LIMIT)
    except OSError:
        return None
    found = {}
    for entry in raw.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and name in _ALLOWED:
            found[name.decode()] = show(value, 1024)
    return {name: found[name] for name in CACHE_VARIABLES if name in found}
