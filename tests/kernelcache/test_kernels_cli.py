"""`cachetop kernels` as people and programs see it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from cachetop.cli import kernels
from cachetop.cli.exits import Refused


@pytest.fixture(autouse=True)
def _roots(cache: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(cache))


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    top = argparse.ArgumentParser()
    kernels.add(top.add_subparsers())
    args = top.parse_args(["kernels", *words])
    code = args.run(args)
    done = capsys.readouterr()
    return code, done.out, done.err


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, _ = _run(capsys, "--json", *words)
    assert code == 0
    said: dict[str, Any] = json.loads(out)
    return said


def test_json_is_the_contract(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    said = _json(capsys)
    assert said["schema"] == "cachetop.kernels/1"
    exists = {one["id"]: one["exists"] for one in said["caches"]}
    assert [one for one in exists if exists[one]] == ["triton"]
    assert list(exists)[:8] == [
        "triton", "inductor", "nvrtc", "cuda-driver", "torch-extensions", "flashinfer", "vllm", "hf-kernels",
    ]  # fmt: skip
    assert said["caches"][0]["path"] == str(cache)
    assert said["caches"][0]["reason"] == "TRITON_CACHE_DIR is set"
    assert len(said["entries"]) == 14
    wanted = {"cache", "kind", "key", "name", "sm", "size_on_disk", "files", "created", "last_used", "state",
              "producer", "stale", "problems"}  # fmt: skip
    assert all(wanted <= entry.keys() for entry in said["entries"])


@pytest.mark.parametrize("spelling", ["90", "9.0", "sm_90", "sm_90a"])
def test_one_sm_in_every_spelling(capsys: pytest.CaptureFixture[str], spelling: str) -> None:
    assert [entry["sm"] for entry in _json(capsys, "--sm", spelling)["entries"]] == [["sm_90"]] * 2


def test_stale_by_an_assumed_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    said = _json(capsys, "--stale", "--assume-sm", "8.6")
    assert {entry["sm"][0] for entry in said["entries"]} == {"sm_75", "sm_80", "sm_89", "sm_90", "sm_100", "sm_120"}
    assert {one["rule"] for entry in said["entries"] for one in entry["stale"]} == {"foreign-sm"}


def test_filters_and_caches(capsys: pytest.CaptureFixture[str]) -> None:
    said = _json(capsys, "--filter", "name=soft*", "--filter", "sm=9*", "--filter", "size>1KB")
    assert [(entry["name"], entry["sm"]) for entry in said["entries"]] == [("softmax_kernel", ["sm_90"])]
    assert _json(capsys, "--filter", "accessed>1d")["entries"] == []
    said = _json(capsys, "--cache", "nvrtc")
    assert ([one["id"] for one in said["caches"]], said["entries"]) == (["nvrtc"], [])


def test_nothing_matched_is_an_exit_code_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "--sm", "86", "--cache", "nvrtc")[0] == 0
    assert _run(capsys, "--sm", "86", "--cache", "nvrtc", "--exit-code")[0] == 4
    assert _run(capsys, "--sm", "90", "--exit-code")[0] == 0


@pytest.mark.parametrize("words", [["--sm", "x"], ["--assume-sm", "gfx"], ["--filter", "size"], ["--cache", "models"]])
def test_usage_errors_say_what_would_do(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        _run(capsys, *words)
    assert refused.value.code == 2
    assert words[1] in str(refused.value)


def test_people_see_caches_sms_and_kernels(capsys: pytest.CaptureFixture[str], cache: Path, world: Path) -> None:
    code, out, _ = _run(capsys, "ls", "--assume-sm", "90")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"triton: {cache} (TRITON_CACHE_DIR is set")
    headings = [line.split(":")[0].strip() for line in lines if line.startswith("  sm_")]
    assert headings == ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
    assert sum("foreign-sm: it is for sm_" in line for line in lines) == 12
    assert f"nvrtc: nothing at {world}/.cache/torch/kernels (default: no variable set)" in lines
    assert lines[-1].startswith("14 entries, ")


def test_a_root_that_cannot_be_read_fails_the_listing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "file"))
    code, out, _ = _run(capsys)
    assert code == 1
    assert "cannot be read: Not a directory" in out
