"""Pruning in a loop while real programs work in the cache: huggingface_hub downloads, Triton compiles. None fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cachetop.prune import inuse
from support.boundaries import happening
from support.hubcache import COMMIT as COMMIT_OF_ONE
from support.hubcache import OTHER, RepoFolder, repo, settle
from support.pruning import allocated, carry_out, plan_kernels, plan_models, state, trash_of
from support.slow_hub import COMMIT, FILES, slow_hub
from support.triton_cache import backdate, start_compile, synthetic

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


@pytest.mark.parametrize("what", ["org/one", f"org/one@{OTHER}"], ids=["repo", "revision"])
def test_a_download_that_begins_at_any_moment_loses_nothing(
    place: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a downloader has put into a repo, before whichever call of the pruner, is there afterwards and complete."""
    monkeypatch.setattr(inuse, "look", lambda *_: inuse.InUse())
    hub, number = place / "hub", 0
    came = ["first"]
    while came:
        number += 1
        for folder in (hub, state()):
            shutil.rmtree(folder, ignore_errors=True)
        one = repo(hub, "org/one")
        one.file("a.bin", b"a" * 5000)
        one.ref()
        blob = one.file("b.bin", b"b" * 5000, commit=OTHER)
        settle(hub)
        draft = plan_models(hub, what)
        put: list[Path] = []

        def download(one: RepoFolder = one, blob: Path = blob, put: list[Path] = put) -> None:
            """A blob that is there is linked to; a new one is begun in its temporary file."""
            with suppress(FileNotFoundError):
                (one.path / "blobs" / "new.incomplete").write_bytes(b"half")
                put.append(one.path / "blobs" / "new.incomplete")
            if blob.exists():
                with suppress(FileNotFoundError):
                    link = one.path / "snapshots" / COMMIT_OF_ONE / "again.bin"
                    link.symlink_to(f"../../blobs/{blob.name}")
                    put.append(link)

        with happening(number, download) as came:
            assert not carry_out(draft).failed
        assert all(path.exists() for path in put), f"before call {number}, {came}"
    assert number > 40


def test_two_prunes_at_once_delete_each_entry_once(world: Path) -> None:
    root = synthetic(world / ".triton" / "cache", 400)
    backdate(root, 60)
    before = allocated(root)
    words = [sys.executable, "-m", "cachetop", "prune", "kernels", "--all", "--yes", "--now", "--json"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = []
    for one in both:
        output, errors = one.communicate()
        results.append(json.loads(output or "{}"))
        assert results[-1].get("failed") == [], output + errors
    deleted = [path for one in results for path in one["deleted"]]
    assert len(deleted) == len(set(deleted)) == 400
    assert sum(one["freed"] for one in results) == before and not list(root.iterdir())
