"""Other places with models: found, measured, never followed out of, tokens never shown."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.hub import beside
from cachetop.hub.records import Beside


def put(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def rows() -> dict[str, Beside]:
    return {row.kind: row for row in beside.look()}


def test_every_place_at_its_default(world: Path) -> None:
    put(world / ".cache/huggingface/xet/https___cas/chunk_cache/a", 10)
    put(world / ".cache/huggingface/assets/lib/a", 20)
    put(world / ".cache/huggingface/datasets/d/a.arrow", 30)
    put(world / ".cache/torch/hub/checkpoints/resnet.pth", 40)
    put(world / ".cache/docling/models/org--layout/model.onnx", 50)
    put(world / ".EasyOCR/model/craft.pth", 60)
    put(world / ".cache/whisper/tiny.pt", 70)
    put(world / ".cache/modelscope/hub/m", 80)
    put(world / ".ollama/models/blobs/sha256-1", 90)
    found = rows()
    assert {kind: row.size for kind, row in found.items()} == {
        "xet": 10, "assets": 20, "datasets": 30, "torch-hub": 40, "docling": 50, "easyocr": 60, "whisper": 70,
        "modelscope": 80, "ollama": 90,
    }  # fmt: skip
    assert {row.reason for row in found.values()} == {"default: no variable set"}
    assert all(row.files == 1 and row.note for row in found.values())


def test_variables_decide(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, below, kind in (
        ("HF_XET_CACHE", "", "xet"),
        ("HUGGINGFACE_ASSETS_CACHE", "", "assets"),
        ("TORCH_HOME", "hub/checkpoints", "torch-hub"),
        ("DOCLING_CACHE_DIR", "models", "docling"),
        ("OLLAMA_MODELS", "", "ollama"),
        ("XDG_CACHE_HOME", "whisper", "whisper"),
    ):
        place = world / variable.lower()
        put(place / below / "file", 7)
        monkeypatch.setenv(variable, str(place))
        row = rows()[kind]
        assert (row.path, row.size, row.reason) == (str(place / below).rstrip("/"), 7, f"{variable} is set")


def test_rapidocr_inside_an_environment(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = world / "env[1]" / "lib" / "python3.11" / "site-packages" / "rapidocr" / "models"
    put(models / "det.onnx", 123)
    monkeypatch.setenv("VIRTUAL_ENV", str(world / "env[1]"))
    row = rows()["rapidocr"]
    assert (row.path, row.size) == (str(models), 123)


def test_links_are_not_followed_and_inodes_count_once(world: Path) -> None:
    home = world / ".cache" / "whisper"
    large = put(world / "elsewhere" / "large", 100_000)
    kept = put(home / "tiny.pt", 10)
    (home / "link").symlink_to(large)
    (home / "loop").symlink_to(home)
    os.link(kept, home / "again.pt")
    os.mkfifo(home / "fifo")
    row = rows()["whisper"]
    assert (row.size, row.files) == (10, 1)


def test_tokens_are_never_shown(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world / ".cache" / "huggingface"
    put(home / "token", 37)
    put(home / "stored_tokens", 100)
    assert rows() == {}  # HF_HOME itself is no row
    put(home / "assets" / "file", 5)
    monkeypatch.setenv("HF_ASSETS_CACHE", str(home))
    row = rows()["assets"]
    assert row.size == 5
    monkeypatch.setenv("HF_ASSETS_CACHE", str(put(world / "hf_abcdefghijklmnop" / "f", 1).parent))
    assert "hf_abcdefghijklmnop" not in rows()["assets"].path


def test_a_place_that_is_no_folder_says_so(world: Path) -> None:
    put(world / ".cache" / "whisper", 3)
    row = rows()["whisper"]
    assert row.size is None and row.problem == "It could not be read: Not a directory."


def test_a_disk_that_does_not_answer_is_said(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(world / ".cache/whisper/tiny.pt", 70)
    put(world / ".cache/torch/hub/checkpoints/deep/a.pth", 40)
    put(world / ".cache/torch/hub/checkpoints/b.pth", 5)
    real = os.listdir

    def listdir(place: int) -> list[str]:
        if os.readlink(f"/proc/self/fd/{place}").endswith(("whisper", "deep")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(place)

    monkeypatch.setattr(os, "listdir", listdir)
    found = rows()
    assert (found["whisper"].size, found["whisper"].problem) == (None, "It could not be read: Input/output error.")
    assert (found["torch-hub"].size, found["torch-hub"].problem) == (
        5, "1 folder could not be read (Input/output error).",
    )  # fmt: skip


def test_they_are_in_the_listing(world: Path) -> None:
    put(world / ".cache/whisper/tiny.pt", 70)
    command = [sys.executable, "-m", "cachetop", "models"]
    said = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert [(row["kind"], row["size"]) for row in said["beside"]] == [("whisper", 70)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "BESIDE THE HUB" in lines and str(world / ".cache/whisper") in lines
