"""The scan says what huggingface_hub itself says, wherever that can say anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.hub.records import Models
from cachetop.hub.scan import scan
from cachetop.locations import Location
from support import hubcache
from support.hub_theirs import facts

NEEDS = {1: ("huggingface_hub>=1,<2", "httpx"), 2: ("huggingface_hub>=2,<3", "httpx2", "httpcore2", "truststore")}
"""What the other generation of huggingface_hub needs besides what is installed with this one."""


def ours(models: Models) -> dict[str, Any]:
    repos = {}
    for repo in models.repos:
        revisions = [
            [
                revision.commit,
                sorted(revision.refs),
                revision.size,
                sorted([file.name, file.size, file.blob or ""] for file in revision.files),
            ]
            for revision in repo.revisions
        ]
        partials = sorted([partial.blob, partial.bytes] for partial in repo.partials)
        repos[f"{repo.type}/{repo.id}"] = [repo.size, repo.last_modified, sorted(revisions), partials]
    return {"size": models.size, "repos": repos}


def scanned(cache: Path) -> dict[str, Any]:
    return ours(scan([Location("hub", str(cache), "test")]))


def assert_equal(cache: Path) -> None:
    assert scanned(cache) == facts(cache)


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest) -> Path:
    """The generation of huggingface_hub that is not installed, in a folder of its own that later runs find again."""
    mine = int(version("huggingface_hub").partition(".")[0])
    wanted = NEEDS[2 if mine == 1 else 1]
    target = request.config.cache.mkdir(f"huggingface-hub-{2 if mine == 1 else 1}")
    if not (target / "whole").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
        try:
            done = subprocess.run([*command, *wanted], capture_output=True, text=True, timeout=120)
            reason = done.stderr[-300:] if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if reason and not os.environ.get("CI"):
            pytest.skip(f"it cannot be installed here: {reason}")
        assert not reason
        (target / "whole").touch()
    return target


def test_the_other_generation_of_huggingface_hub_says_the_same(world: Path, other: Path) -> None:
    caches = []
    for build in (many_kinds, shared_store, without_symlinks, odd_but_healthy, absolute_links):
        cache = world / build.__name__
        cache.mkdir()
        build(cache)
        caches.append(cache)
    env = {**os.environ, "PYTHONPATH": f"{other}{os.pathsep}{Path(__file__).parents[1]}"}
    command = [sys.executable, "-m", "support.hub_theirs", *map(str, caches)]
    found = json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert found["version"].partition(".")[0] != version("huggingface_hub").partition(".")[0]
    assert found["caches"] == [json.loads(json.dumps(scanned(cache))) for cache in caches]


def many_kinds(cache: Path) -> None:
    for kind in hubcache.PREFIXES:
        hubcache.healthy(cache, "org/same-name", kind)
    several = hubcache.healthy(cache, "gpt2")
    several.file("config.json", b"new", commit=hubcache.OTHER)
    several.link("onnx/model.onnx", f"../../../blobs/{hubcache.etag_of(b'')}", commit="c" * 40)
    several.blob(b"")
    several.ref("refs/pr/1", hubcache.OTHER)
    several.ref("v1.0")
    several.partial("d" * 64, b"x" * 5000)


def test_an_ordinary_cache(cache: Path) -> None:
    many_kinds(cache)
    assert_equal(cache)


def shared_store(cache: Path) -> None:
    for name in ("org/one", "org/two"):
        made = hubcache.repo(cache, name)
        made.stored("model.safetensors", b"w" * 200_000)
        made.ref()
    unused = cache / "blobs" / "ab" / ("ab" + "0" * 62)
    unused.parent.mkdir(exist_ok=True)
    unused.write_bytes(b"nobody names me")


def test_a_shared_store_counts_once_in_the_whole(cache: Path) -> None:
    shared_store(cache)
    assert_equal(cache)


def without_symlinks(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.real("config.json", b"{}")
    made.real("deep/er/model.bin", b"w" * 10_000)
    made.real("config.json", b"{} ", commit=hubcache.OTHER)
    made.ref()
    (made.path / "blobs").mkdir()


def test_a_cache_without_symlinks(cache: Path) -> None:
    without_symlinks(cache)
    assert_equal(cache)


def odd_but_healthy(cache: Path) -> None:
    made = hubcache.healthy(cache)
    (made.path / "snapshots" / hubcache.OTHER).mkdir()
    (made.path / "snapshots" / ".DS_Store").write_bytes(b"mac")
    (made.path / ".no_exist" / hubcache.COMMIT).mkdir(parents=True)
    (made.path / ".no_exist" / hubcache.COMMIT / "adapter_config.json").touch()
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")


def test_an_empty_revision_and_what_the_system_drops(cache: Path) -> None:
    odd_but_healthy(cache)
    assert_equal(cache)


def absolute_links(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.link("model.bin", str(made.blob(b"weights")))
    made.ref()


def test_links_spelled_absolutely(cache: Path) -> None:
    absolute_links(cache)
    assert_equal(cache)


NAMES = st.sampled_from(["config.json", "a/b/c.bin", "a/model.safetensors", "vocab.txt", "modèle.bin", "x y"])
COMMITS = st.sampled_from([hubcache.COMMIT, hubcache.OTHER, "c" * 40])
CONTENTS = st.binary(max_size=6) | st.integers(0, 20_000).map(lambda size: b"\1" * size)
FILES = st.lists(
    st.tuples(COMMITS, NAMES, CONTENTS, st.sampled_from(["blob", "stored", "real"])), unique_by=lambda f: (f[0], f[1])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.tuples(st.sampled_from(["model", "dataset"]), st.sampled_from(["a/b", "c", "a/d-e"])), FILES))
def test_any_cache(repos: dict[tuple[str, str], list[tuple[str, str, bytes, str]]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        cache = Path(base) / "hub"
        cache.mkdir()
        for (kind, name), files in repos.items():
            made = hubcache.repo(cache, name, kind)
            (made.path / "snapshots").mkdir()
            for commit, file, content, how in files:
                # an etag per way of keeping it, as a blob is either a file or a link into the store
                etag = hubcache.etag_of(content + how.encode())
                if how == "real":
                    made.real(file, content, commit)
                elif (made.path / "blobs" / etag).exists():
                    made.link(file, f"{'../' * file.count('/')}../../blobs/{etag}", commit)
                elif how == "stored":
                    made.stored(file, content, commit, etag)
                else:
                    made.file(file, content, commit, etag)
            if files:
                made.ref("main", files[0][0])
        assert_equal(cache)
