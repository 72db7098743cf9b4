"""`cachetop models`, as a process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cachetop.base import cells
from support import hubcache, weights


def models(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "models", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def listed(*words: str) -> list[str]:
    return [repo["id"] for repo in json.loads(models(*words, "--json").stdout)["repos"]]


def test_an_age_that_is_not_known_is_said_to_match_nothing(three: Path) -> None:
    assert (
        "Of 3 repos the last use is not known: accessed>7d does not match" in models("--filter", "accessed>7d").stderr
    )
    assert not models("--filter", "size>1").stderr


def test_nothing_matched_is_an_exit_code_where_it_is_asked_for(three: Path) -> None:
    models("--filter", "size>1TB")
    models("--filter", "size>1TB", "--exit-code", code=4)
    models("ls", "--preset", "stale-partials", "--exit-code", "--json", code=4)
    models("ls", "--filter", "size>1", "--exit-code")


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


def in_terminal(columns: int, *words: str) -> list[str]:
    """The lines of the verb on a terminal so wide."""
    leader, follower = pty.openpty()
    size = {"COLUMNS": str(columns), "LINES": "24"}
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "models", *words], stdout=follower, env=os.environ | size, timeout=60
    )
    os.close(follower)
    assert done.returncode == 0
    said = b""
    try:
        while part := os.read(leader, 65536):
            said += part
    except OSError:  # the end, on Linux
        pass
    os.close(leader)
    return said.decode().splitlines()


@pytest.mark.parametrize("words", [(), ("--revisions",)])
def test_a_narrow_terminal_shows_names_in_full_and_remarks_below(cache: Path, words: tuple[str, ...]) -> None:
    long = f"organisation/{'name-' * 15}end"
    for name in ("meta-llama/Llama-3.2-1B-Instruct", "日本語/モデル", "e\u0301quipe/cafe\u0301", "שלום/עולם", long):
        hubcache.healthy(cache, name)
    hubcache.healthy(cache, "org/sick").partial("e" * 64, b"x" * 3000)
    (cache / "models--org--sick" / "snapshots" / hubcache.OTHER).mkdir()
    lines = in_terminal(80, *words)
    table = lines[: lines.index("")]
    assert max(map(cells.width, table)) <= 80
    assert any(line.startswith("meta-llama/Llama-3.2-1B-Instruct  ") for line in table)
    below = [line for line in table if line.startswith("    ")]
    assert below == (["    superseded"] if words else ["    cut off at 3.00 KB, 1 detached"])
    end = cells.width(table[0][: table[0].index("SIZE") + 4])
    assert {cells.fitting(row, end)[-1] for row in table[1:] if row not in below} == {"B"}, "sizes below each other"
    wide = in_terminal(300, *words)
    assert wide[0].split()[-1] == "REMARKS" and not any(line.startswith("    ") for line in wide[: wide.index("")])


def test_one_file_is_described_with_its_blob_checksum_and_tensors(cache: Path) -> None:
    made = hubcache.repo(cache, "org/name")
    blob = made.file("unet/model.safetensors", weights.header({"a.weight": ("F16", [4, 2], 16)}))
    made.file("config.json", b'{"a":\x1b[31m1}')
    made.file("old.bin", b"cos\nsystem\n")
    made.ref()
    said = models("show", "org/name", "--file", "unet/model.safetensors").stdout
    assert all(part in said for part in (blob.name, "a.weight", "4 x 2", "sha256: not checked yet", "(main)"))
    told = json.loads(models("show", "org/name@main", "--file", "unet/model.safetensors", "--json").stdout)
    assert (told["schema"], told["size"], told["tensors"][0]["shape"]) == (
        "cachetop.file/1",
        blob.stat().st_size,
        [4, 2],
    )
    said = models("show", "org/name", "--file", "config.json").stdout
    assert '{"a":' in said and "\x1b" not in said
    assert "not read" in models("show", "org/name", "--file", "old.bin").stdout
    wrong = models("show", "org/name", "--file", "model.safetensors", code=1)
    assert "Is it unet/model.safetensors?" in wrong.stderr and not wrong.stdout
    assert "no revision" in models("show", "org/name@v9", "--file", "config.json", code=1).stderr
    assert "Is it org/name?" in models("show", "name", code=1).stderr


def test_many_downloads_of_a_repo_are_one_remark(cache: Path) -> None:
    made = hubcache.repo(cache, "org/many")
    etags = [f"{number}" * 64 for number in range(1, 6)]
    made.tree({f"{number}.bin": (10**6, etag) for number, etag in enumerate(etags)})
    made.ref()
    for count in (1, 5):
        for etag in etags[:count]:
            made.partial(etag, b"x" * 5000)
        said = "5 files cut off at 25.0 KB of 5.00 MB" if count > 1 else "  cut off at 5.00 KB of 1.00 MB"
        assert said in models().stdout
        told = models("show", "org/many").stdout
        assert ("download      5 files cut off" if count > 1 else "download      0.bin: cut off at 5.00 KB of") in told


def test_what_is_missing_and_half_there_is_named(cache: Path) -> None:
    made = hubcache.repo(cache, "org/sharded")
    etags = [f"{number}" * 64 for number in range(1, 4)]
    for number in (1, 2):
        shard = weights.header({f"layer.{number}": ("F16", [4, 2], 16)})
        made.file(f"model-0000{number}-of-00003.safetensors", shard, etag=etags[number - 1])
    made.tree({f"model-0000{number}-of-00003.safetensors": (10**9, etags[number - 1]) for number in (1, 2, 3)})
    made.partial(etags[2], b"x" * 5000)
    made.ref()
    said = " ".join(models("show", "org/sharded").stdout.split())
    assert "complete 2 of 3 files, 1.00 GB missing" in said
    assert "missing model-00003-of-00003.safetensors download" in said
    assert "download model-00003-of-00003.safetensors: cut off at 5.00 KB of 1.00 GB" in said
    assert "parameters ? (2 of its 3 shards are there) memory ?" in said
    (made.path / "trees" / f"{hubcache.COMMIT}.json").unlink()
    assert "complete ? (no list of its files is kept here)" in " ".join(models("show", "org/sharded").stdout.split())


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
