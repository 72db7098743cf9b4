"""Every root at the place its own program would use, with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop import locations

CASES: list[dict[str, str]] = [
    {},
    {"HF_HOME": "/data/hf"},
    {"HF_HOME": ""},
    {"HF_HOME": "~/my hf"},
    {"HF_HUB_CACHE": "$HOME/hub", "HF_HOME": "/data/hf"},
    {"HUGGINGFACE_HUB_CACHE": "/old/hub"},
    {"HUGGINGFACE_HUB_CACHE": "/old/hub", "HF_HUB_CACHE": "/new/hub"},
    {"XDG_CACHE_HOME": "/xdg"},
    {"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/data/hf"},
    {"TRANSFORMERS_CACHE": "/ignored"},
]


@pytest.mark.parametrize("variables", CASES, ids=lambda v: ",".join(f"{k}={x}" for k, x in v.items()) or "nothing set")
def test_the_hub_is_where_huggingface_hub_says(variables: dict[str, str], world: Path) -> None:
    env = {"HOME": str(world), "PATH": os.environ["PATH"], **variables}
    script = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    ours = locations.hub(env)
    assert ours.path == theirs.stdout.rstrip("\n")
    assert ours.variable is None or ours.variable in variables
    assert ours.reason


@pytest.mark.parametrize(
    "variables",
    [{}, {"TRITON_CACHE_DIR": "/t"}, {"TRITON_HOME": "/th"}, {"TRITON_CACHE_DIR": "/t", "TRITON_HOME": "/th"}],
    ids=str,
)
def test_triton_is_where_triton_says(variables: dict[str, str], world: Path) -> None:
    env = {"HOME": str(world), "PATH": os.environ["PATH"], **variables}
    script = "from triton import knobs; print(knobs.cache.dir)"
    theirs = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    triton = next(root for root in locations.kernel_roots(env) if root.kind == "triton")
    assert triton.path == theirs.stdout.rstrip("\n")


def test_both_inductor_places_are_looked_at(world: Path) -> None:
    env = {"HOME": str(world), "TORCHINDUCTOR_CACHE_DIR": "/set/here", "TMPDIR": str(world)}
    roots = [root for root in locations.kernel_roots(env) if root.kind == "inductor"]
    assert next(root.path for root in roots) == "/set/here"
    assert roots[1].path.startswith(str(world / "torchinductor_"))
    assert "precompiled headers" in roots[1].reason
    unset = [root for root in locations.kernel_roots({"HOME": str(world)}) if root.kind == "inductor"]
    assert len(unset) == 1


def test_every_kind_has_a_reason_and_nothing_is_created(world: Path) -> None:
    roots = locations.kernel_roots({"HOME": str(world)})
    read = {"triton", "inductor", "nvrtc", "cuda-driver", "torch-extensions", "flashinfer", "vllm", "hf-kernels"}
    assert read <= {root.kind for root in roots}
    assert all(root.reason for root in roots)
    assert not (world / ".cache").exists()
    assert not (world / ".triton").exists()


def test_the_others_follow_their_variables(world: Path) -> None:
    env = {
        "HOME": str(world),
        "PYTORCH_KERNEL_CACHE_PATH": "/k",
        "CUDA_CACHE_PATH": "/c",
        "TORCH_EXTENSIONS_DIR": "/e",
    }
    paths = {root.kind: (root.path, root.variable) for root in locations.kernel_roots(env)}
    assert paths["nvrtc"] == ("/k", "PYTORCH_KERNEL_CACHE_PATH")
    assert paths["cuda-driver"] == ("/c", "CUDA_CACHE_PATH")
    assert paths["torch-extensions"] == ("/e", "TORCH_EXTENSIONS_DIR")
