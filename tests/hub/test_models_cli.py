"""`cachetop models`, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import hubcache


def models(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "models", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def listed(*words: str) -> list[str]:
    return [repo["id"] for repo in json.loads(models(*words, "--json").stdout)["repos"]]


@pytest.fixture
def three(cache: Path) -> Path:
    hubcache.healthy(cache, "org/small", weights=1000)
    hubcache.healthy(cache, "org/large", weights=90_000)
    hubcache.healthy(cache, "other/data", "dataset", weights=9000)
    return cache


def test_json_is_the_contract(three: Path) -> None:
    hubcache.repo(three, "org/small").partial("e" * 64, b"x" * 10)
    said: dict[str, Any] = json.loads(models("--json").stdout)
    assert said["schema"] == "cachetop.models/1"
    assert {"path": str(three), "reason": "default: no variable set"}.items() <= said["roots"][0].items()
    assert [repo["id"] for repo in said["repos"]] == ["org/large", "other/data", "org/small"]
    assert said["size"] == sum(repo["size"] for repo in said["repos"])
    small = said["repos"][2]
    assert {"id", "type", "root", "size", "size_on_disk", "reclaimable", "last_used", "last_modified", "problems",
            "revisions", "partials"} <= small.keys()  # fmt: skip
    (revision,) = small["revisions"]
    assert {"commit", "refs", "size", "size_on_disk", "reclaimable", "detached", "complete", "files"} <= revision.keys()
    assert (revision["complete"], revision["refs"], revision["detached"]) == (True, ["main"], False)
    assert {"name", "size", "size_on_disk", "blob", "resident"} == revision["files"][0].keys()
    assert small["partials"] == [
        {
            "file": None,
            "blob": f"{'e' * 64}.0123abcd.incomplete",
            "bytes": 10,
            "expected": None,
            "pid": None,
            "live": False,
        }
    ]


def test_filters_order_and_limit(three: Path) -> None:
    assert listed("--filter", "type=model") == ["org/large", "org/small"]
    assert listed("ls", "--filter", "size>5KB", "--filter", "name=ORG/*") == ["org/large"]
    assert listed("--filter", "size>5KB", "ls", "--filter", "name=org/*") == ["org/large"]
    assert listed("--sort", "size:asc", "--limit", "2") == ["org/small", "other/data"]
    assert listed("ls", "--sort", "name") == ["other/data", "org/large", "org/small"]
    assert listed("--filter", "accessed>1s") == []
    assert listed("--filter", "modified<1d", "--filter", "refs=main", "--sort", "id:desc", "--limit", "1") == [
        "org/small"
    ]
    said = json.loads(models("--json", "--limit", "1").stdout)
    assert said["size"] > said["repos"][0]["size"]


@pytest.mark.parametrize(
    "words",
    [
        ("--filter", "colour=red"),
        ("--filter", "size>lots"),
        ("--filter", "size"),
        ("--filter", "size>>1"),
        ("--filter", "type>model"),
        ("--sort", "colour"),
        ("--sort", "size:down"),
        ("--limit", "0"),
        ("--lim", "3"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...]) -> None:
    done = models(*words, code=2)
    assert done.stdout == "" and done.stderr


def test_the_table_shows_problems_downloads_and_totals(three: Path) -> None:
    sick = hubcache.healthy(three, "org/sick", weights=7000)
    next(path for path in (sick.path / "blobs").iterdir() if len(path.name) == 40).unlink()
    sick.partial("e" * 64, b"x" * 3000)
    (sick.path / "snapshots" / hubcache.OTHER).mkdir()
    lines = models().stdout.splitlines()
    assert lines[0].split() == ["REPO", "TYPE", "REVISIONS", "REFS", "SIZE", "IN", "RAM", "USED", "MODIFIED", "REMARKS"]
    row = next(line for line in lines if line.startswith("org/sick"))
    assert "cut off at 3.00 KB, 1 file missing, 1 detached, 1 problem" in row
    assert any(line.startswith("  org/sick: 1 of its files lost its content") for line in lines)
    assert f"In {three} (default: no variable set)." in lines
    assert any(line.startswith("4 repos, ") for line in lines)


def test_a_row_for_each_revision_with_its_refs_and_what_it_frees(three: Path) -> None:
    (three / "models--org--small" / "snapshots" / hubcache.OTHER).mkdir()
    rows = {
        line.split()[2]: line.split()
        for line in models("--revisions", "--filter", "name=org/small").stdout.splitlines()[1:3]
    }
    known = json.loads(models("--json", "--filter", "name=org/small").stdout)["repos"][0]["revisions"]
    assert rows.keys() == {one["commit"] for one in known} and len(known) == 2
    assert rows[hubcache.OTHER][-1] == "superseded"
    assert "main" in next(row for commit, row in rows.items() if commit != hubcache.OTHER)


def test_bare_names_are_taken_by_the_other_verbs(three: Path) -> None:
    assert models("-q").stdout.split() == ["model/org/large", "dataset/other/data", "model/org/small"]
    (name,) = models("ls", "--quiet", "--revisions", "--filter", "type=dataset").stdout.split()
    assert name.startswith("dataset/other/data@")
    assert models("show", name).stdout.startswith("other/data")
    planned = subprocess.run(
        [sys.executable, "-m", "cachetop", "prune", "models", name, "--dry-run", "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert [item["key"] for item in json.loads(planned.stdout)["items"]] == ["other/data"], (
        "its only revision is all of it"
    )


def test_an_empty_and_a_missing_cache_say_where_they_looked(cache: Path) -> None:
    said = models().stdout
    assert f"No models: {cache} holds no repos (default: no variable set)." in said
    cache.rmdir()
    assert f"{cache} is not there yet" in models().stdout
    assert json.loads(models("--json").stdout)["repos"] == []


def test_a_root_that_cannot_be_read_fails(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(world / "file"))
    assert f"The cache folder {world / 'file'} is not a folder." in models(code=1).stdout
    assert json.loads(models("--json", code=1).stdout)["roots"][0]["problem"]


def test_listing_imports_neither_huggingface_hub_nor_textual(three: Path) -> None:
    code = (
        "import sys; from cachetop.cli import main; main(['models']); "
        "print(sorted({'huggingface_hub', 'textual', 'torch', 'docling'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
