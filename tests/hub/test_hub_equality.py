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

from hypothesis import HealthCheck, given, settings

from cachetop.hub.records import Models
from cachetop.hub.scan import scan
from cachetop.locations import Location
from support.healthy_caches import (
    REPOS,
    Repos,
    absolute_links,
    filled,
    many_kinds,
    odd_but_healthy,
    shared_store,
    without_symlinks,
)
from support.hub_theirs import facts


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


def test_an_ordinary_cache(cache: Path) -> None:
    many_kinds(cache)
    assert_equal(cache)


def test_a_shared_store_counts_once_in_the_whole(cache: Path) -> None:
    shared_store(cache)
    assert_equal(cache)


def test_a_cache_without_symlinks(cache: Path) -> None:
    without_symlinks(cache)
    assert_equal(cache)


def test_an_empty_revision_and_what_the_system_drops(cache: Path) -> None:
    odd_but_healthy(cache)
    assert_equal(cache)


def test_links_spelled_absolutely(cache: Path) -> None:
    absolute_links(cache)
    assert_equal(cache)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REPOS)
def test_any_cache(repos: Repos) -> None:
    with tempfile.TemporaryDirectory() as base:
        cache = Path(base) / "hub"
        cache.mkdir()
        filled(cache, repos)
        assert_equal(cache)
