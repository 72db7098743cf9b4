"""The scan says what huggingface_hub itself says, wherever that can say anything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.hub.records import Models
from cachetop.hub.scan import scan
from cachetop.locations import Location
from support import hubcache

huggingface_hub = pytest.importorskip("huggingface_hub")

Facts = dict[tuple[str, str], Any]


def ours(models: Models) -> tuple[int, Facts]:
    return models.size, {
        (repo.type, repo.id): (
            repo.size,
            repo.last_modified,
            sorted(
                (
                    revision.commit,
                    sorted(revision.refs),
                    revision.size,
                    sorted((file.name, file.size, file.blob) for file in revision.files),
                )
                for revision in repo.revisions
            ),
            sorted((partial.blob, partial.bytes) for partial in repo.partials),
        )
        for repo in models.repos
    }


def theirs(cache: Path) -> tuple[int, Facts]:
    info = huggingface_hub.scan_cache_dir(cache)
    assert not info.warnings
    partials: dict[Path, list[tuple[str, int]]] = {}
    for path in cache.glob("*/blobs/*.incomplete"):
        partials.setdefault(path.parent.parent, []).append((path.name, path.stat().st_size))
    return info.size_on_disk, {
        (repo.repo_type, repo.repo_id): (
            repo.size_on_disk,
            repo.last_modified,
            sorted(
                (
                    revision.commit_hash,
                    sorted(revision.refs),
                    revision.size_on_disk,
                    sorted(
                        (
                            file.file_path.relative_to(revision.snapshot_path).as_posix(),
                            file.size_on_disk,
                            file.blob_path.name if file.file_path.is_symlink() else None,
                        )
                        for file in revision.files
                    ),
                )
                for revision in repo.revisions
            ),
            sorted(partials.get(repo.repo_path, [])),
        )
        for repo in info.repos
    }


def assert_equal(cache: Path) -> None:
    mine, facts = ours(scan([Location("hub", str(cache), "test")]))
    size, expected = theirs(cache)
    assert facts == expected
    assert mine == size


def test_an_ordinary_cache(cache: Path) -> None:
    for kind in hubcache.PREFIXES:
        hubcache.healthy(cache, "org/same-name", kind)
    several = hubcache.healthy(cache, "gpt2")
    several.file("config.json", b"new", commit=hubcache.OTHER)
    several.link("onnx/model.onnx", f"../../../blobs/{hubcache.etag_of(b'')}", commit="c" * 40)
    several.blob(b"")
    several.ref("refs/pr/1", hubcache.OTHER)
    several.ref("v1.0")
    several.partial("d" * 64, b"x" * 5000)
    assert_equal(cache)


def test_a_shared_store_counts_once_in_the_whole(cache: Path) -> None:
    for name in ("org/one", "org/two"):
        made = hubcache.repo(cache, name)
        made.stored("model.safetensors", b"w" * 200_000)
        made.ref()
    unused = cache / "blobs" / "ab" / ("ab" + "0" * 62)
    unused.parent.mkdir(exist_ok=True)
    unused.write_bytes(b"nobody names me")
    assert_equal(cache)


def test_a_cache_without_symlinks(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.real("config.json", b"{}")
    made.real("deep/er/model.bin", b"w" * 10_000)
    made.real("config.json", b"{} ", commit=hubcache.OTHER)
    made.ref()
    (made.path / "blobs").mkdir()
    assert_equal(cache)


def test_an_empty_revision_and_what_the_system_drops(cache: Path) -> None:
    made = hubcache.healthy(cache)
    (made.path / "snapshots" / hubcache.OTHER).mkdir()
    (made.path / "snapshots" / ".DS_Store").write_bytes(b"mac")
    (made.path / ".no_exist" / hubcache.COMMIT).mkdir(parents=True)
    (made.path / ".no_exist" / hubcache.COMMIT / "adapter_config.json").touch()
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    assert_equal(cache)


def test_links_spelled_absolutely(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.link("model.bin", str(made.blob(b"weights")))
    made.ref()
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
