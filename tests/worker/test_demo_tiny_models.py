"""The tiny models are a cache as the hub's own client understands it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from huggingface_hub import scan_cache_dir

from cachetop.demo import tiny_models


def test_the_hub_client_finds_every_repo_whole(tiny_hub: Path) -> None:
    found = scan_cache_dir(tiny_hub / "hub")
    assert not found.warnings
    assert {repo.repo_id for repo in found.repos} == {told[0] for told in tiny_models.REPOS.values()}
    refs = {repo.repo_id: set(repo.refs) for repo in found.repos}
    assert refs["docling-project/docling-models"] == {"v2.3.0"}
    assert found.size_on_disk < 120_000_000


def test_large_blobs_are_named_by_their_sha256(tiny_hub: Path) -> None:
    weights = [path.resolve() for path in tiny_hub.rglob("*.safetensors")]
    assert len(weights) == 4 and len(set(weights)) == 3  # both table modes are one blob
    for blob in set(weights):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, tiny_models.__file__, str(tmp_path / "hf"), "--only", "giant"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "giant" in done.stderr
    assert not (tmp_path / "hf").exists()
