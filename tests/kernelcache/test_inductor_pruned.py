"""Inductor after its Triton entries were thinned out: torch itself finds every kernel compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.pruning import allocated, carry_out, plan_kernels

_LISTENING = """
import runpy, sys, triton
hits = []
triton.knobs.compilation.listener = lambda *, cache_hit, **_: hits.append(cache_hit)
sys.argv = [sys.argv[1], "90"]
runpy.run_path(sys.argv[0], run_name="__main__")
print(hits)
"""


def _copied(tree: Path, to: Path) -> Path:
    """The tree of the session once more, with groups that name the copy, and not as if it were just being written."""
    root = to / "cache"
    shutil.copytree(tree, root)
    for group in root.glob("triton/*/*/__grp__*.json"):
        group.write_text(group.read_text().replace(str(tree), str(root)))
    for path in (root, *root.rglob("*")):
        os.utime(path, (1.7e9, 1.7e9), follow_symlinks=False)
    return root


def test_torch_loads_what_ir_only_leaves(inductor_tree: Path, tmp_path: Path) -> None:
    root = _copied(inductor_tree, tmp_path)
    kernels = list(root.glob("triton/*/*/*.cubin"))
    before = allocated(root)
    draft = plan_kernels(root, kind="inductor", ir_only=True)
    assert len(draft.plan.items) == len(kernels) > 0
    result = carry_out(draft)
    assert len(result.deleted) == len(kernels) and not result.failed
    assert result.freed == draft.plan.frees == before - allocated(root)
    assert {path.suffix for path in root.glob("triton/*/*/*")} == {".json", ".cubin"}
    shutil.rmtree(root / "fxgraph")  # or torch would not ask for the kernels one by one
    shutil.rmtree(root / "aotautograd", ignore_errors=True)
    env = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(root)}
    env.pop("TRITON_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", _LISTENING, str(Path(__file__).with_name("compile_for_fake_gpu.py"))],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{[True] * len(kernels)}\n"
    assert {path.suffix for path in root.glob("triton/*/*/*")} == {".json", ".cubin"}  # nothing was compiled again


def test_a_plan_says_which_half_of_a_kernel_stays(inductor_tree: Path, tmp_path: Path) -> None:
    root = _copied(inductor_tree, tmp_path)
    (said,) = plan_kernels(root, kind="inductor", filters=("part=triton",)).plan.notes
    assert "back from their graphs" in said
    (said,) = plan_kernels(root, kind="inductor", filters=("part=fxgraph",)).plan.notes
    assert "though the graphs that use" in said
    assert plan_kernels(root, kind="inductor", all=True).plan.notes == ()
    (said,) = plan_kernels(root, kind="inductor", ir_only=True).plan.notes
    assert "once more" in said
