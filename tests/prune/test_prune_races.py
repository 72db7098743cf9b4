"""Pruning in a loop while real programs work in the cache: huggingface_hub downloads, Triton compiles. None fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from support.pruning import carry_out, plan_kernels, plan_models, trash_of
from support.slow_hub import COMMIT, FILES, slow_hub
from support.triton_cache import start_compile, synthetic

_DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download("org/slow", cache_dir=sys.argv[1], max_workers=2, etag_timeout=30))
"""


def _download(hub: Path, endpoint: str) -> subprocess.Popen[str]:
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", _DOWNLOAD, str(hub)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_download_survives_every_prune_and_loses_nothing(hub: Path) -> None:
    rounds = blocked = 0
    with slow_hub() as endpoint, _download(hub, endpoint) as download:
        while download.poll() is None:
            for chosen in ("incomplete", "detached"):
                result = carry_out(plan_models(hub, incomplete=chosen == "incomplete", detached=chosen == "detached"))
                assert not result.failed and not result.deleted
                rounds += 1
            blocked += len(plan_models(hub, "org/slow").plan.blocked)
            time.sleep(0.02)
        output, errors = download.communicate()
        assert download.returncode == 0, errors
    assert rounds > 5 and blocked > 1
    for name, data in FILES.items():
        assert (Path(output.strip()) / name).read_bytes() == data


def test_a_download_of_what_is_being_deleted_does_not_fail(hub: Path) -> None:
    with slow_hub() as endpoint:
        for _ in range(2):
            with _download(hub, endpoint) as download:
                while download.poll() is None:
                    assert not carry_out(plan_models(hub, "org/slow")).failed
                    time.sleep(0.01)
                _, errors = download.communicate()
                assert download.returncode == 0, errors
    assert not trash_of(hub)


def test_a_half_finished_download_can_go_once_its_process_is_dead(hub: Path) -> None:
    with slow_hub(rate=100_000) as endpoint, _download(hub, endpoint) as download:
        blobs = hub / "models--org--slow" / "blobs"
        deadline = time.time() + 30
        while not list(blobs.glob("*.incomplete")) and time.time() < deadline:
            time.sleep(0.02)
        assert not plan_models(hub, incomplete=True).plan.items
        download.kill()
        download.communicate()
    draft = plan_models(hub, incomplete=True)
    assert draft.plan.items
    result = carry_out(draft)
    assert len(result.deleted) == len(draft.plan.items) and not list(blobs.glob("*.incomplete"))
    assert not (hub / "models--org--slow" / "snapshots" / COMMIT / "part9").exists()


def test_compiles_survive_a_prune_of_everything_in_a_loop(tmp_path: Path) -> None:
    root = synthetic(tmp_path / "cache", 3)
    rounds = deleted = 0
    while rounds < 4 or not deleted:  # what was compiled has gone, so the next program compiles it anew
        with start_compile(root, tmp_path / "work", "add_kernel,softmax_kernel", "75,80,90") as compiling:
            while compiling.poll() is None:
                result = carry_out(plan_kernels(root, all=True))
                assert not result.failed
                deleted += len(result.deleted)
                rounds += 1
            output, errors = compiling.communicate()
            assert compiling.returncode == 0, output + errors
    assert not trash_of(root)


def test_compiles_lose_nothing_to_a_prune_of_what_is_incomplete(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    with start_compile(root, tmp_path / "work", "add_kernel", "75,80,90") as compiling:
        while compiling.poll() is None:
            result = carry_out(plan_kernels(root, incomplete=True))
            assert not result.failed and not result.deleted
        output, errors = compiling.communicate()
        assert compiling.returncode == 0, output + errors
    assert len([item for item in plan_kernels(root, all=True).plan.items if item.name == "add_kernel"]) == 3
