"""Other places with models: found, measured, never followed out of, tokens never shown."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.hub import beside
from cachetop.hub.records import Beside
from support.rights import ordinary


@pytest.fixture(autouse=True)
def elsewhere(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the tests run in may hold a RapidOCR: as if it were another one."""
    monkeypatch.setattr(sys, "prefix", str(world / "env"))


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
    monkeypatch.setattr(sys, "prefix", str(world / "env[1]"))
    assert [row.kind for row in beside.look()] == ["rapidocr"], "the same folder is one row"
    monkeypatch.delenv("VIRTUAL_ENV")
    row = rows()["rapidocr"]
    assert (row.path, row.reason) == (str(models), "in the environment that cachetop runs in")


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
    monkeypatch.setenv("HF_ASSETS_CACHE", str(put(world / "hf_abcdefghijklmnop" / "f", 1).parent))
    assert "hf_abcdefghijklmnop" not in rows()["assets"].path


def holder(row: Beside) -> str:
    assert row.size is row.size_on_disk is row.files is None
    return row.problem or ""


@pytest.mark.parametrize("way", ["itself", "above", "everything", "through a link", "hub", "above hub", "below hub"])
def test_what_holds_the_home_or_the_hub_cache_is_not_measured_as_somebodys(
    world: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    home = world / ".cache" / "huggingface"
    put(home / "token", 37)
    put(home / "hub" / "models--a--b" / "blobs" / "x", 1000)
    (world / "link").symlink_to(home)
    place = {"itself": home, "above": home.parent, "everything": Path("/"), "through a link": world / "link"}.get(way)
    if place is None:
        monkeypatch.setenv(
            "HF_HUB_CACHE", str(put(world / "models" / "hub" / "models--a--b" / "blobs" / "x", 1).parents[2])
        )
        place = {"hub": world / "models/hub", "above hub": world / "models", "below hub": world / "models/hub/xet"}[way]
        put(world / "models/hub/xet/chunk", 4)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(place))
    row = rows()["modelscope"]
    if way == "below hub":
        assert (row.size, row.problem) == (4, None)
    else:
        what = "the hub cache" if place.is_relative_to(world / "models") else "HF_HOME, where the login token"
        assert holder(row).startswith(f"It {'holds' if way in ('above', 'everything', 'above hub') else 'is'} {what}")


def test_one_folder_with_two_names_is_counted_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = put(world / "models" / "file", 9).parent
    put(shared / "hub" / "checkpoints" / "resnet.pth", 40)
    for variable in ("MODELSCOPE_CACHE", "OLLAMA_MODELS", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(shared))
    found = rows()
    assert (found["modelscope"].size, found["torch-hub"].size) == (9, 40), "an inner place is its own row alone"
    assert found["modelscope"].note.endswith("Without the folder of torch-hub in it.")
    assert holder(found["ollama"]) == "It is the folder of modelscope, and counted there."


def test_a_file_that_holds_a_token_is_not_counted_whatever_it_is_called(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = put(world / "assets" / "mine" / "login", 37).parents[1]
    put(place / "mine" / "stored_tokens", 50)
    put(place / "token", 3)  # a file of this name is any file, elsewhere than in HF_HOME
    monkeypatch.setenv("HF_ASSETS_CACHE", str(place))
    assert (rows()["assets"].size, rows()["assets"].files) == (90, 3)
    monkeypatch.setenv("HF_TOKEN_PATH", str(place / "mine" / "login"))
    assert (rows()["assets"].size, rows()["assets"].files) == (3, 1)


def test_each_variable_is_expanded_as_its_program_does_it(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    for variable, kind, below in (
        ("HF_ASSETS_CACHE", "assets", ""), ("HUGGINGFACE_ASSETS_CACHE", "assets", ""),
        ("TORCH_HOME", "torch-hub", "/hub/checkpoints"), ("MODELSCOPE_CACHE", "modelscope", ""),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setenv(variable, "~/one")
            put(Path(f"{world}/one{below}/file"), 1)
            assert rows()[kind].path == f"{world}/one{below}"
    for variable, kind, below in (
        ("HF_XET_CACHE", "xet", ""), ("HF_DATASETS_CACHE", "datasets", ""), ("OLLAMA_MODELS", "ollama", ""),
        ("DOCLING_ARTIFACTS_PATH", "docling", ""), ("EASYOCR_MODULE_PATH", "easyocr", "/model"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setenv(variable, "~/two")  # they take it for a folder called ~
            put(Path(f"{world}/~/two{below}/file"), 2)
            row = rows()[kind]
            assert (row.path, row.size) == (f"{world}/~/two{below}", 2)
            assert row.reason == f"{variable} is set, to a path below the working folder"
    monkeypatch.setenv("OLLAMA_MODELS", f' "{world}/one" ')
    assert rows()["ollama"].path == f"{world}/one"


@pytest.fixture
def odd(world: Path) -> Path:
    """A place with everything that a disk can hold."""
    place = put(world / ".cache/whisper/sub/one", 5000).parents[1]
    os.link(place / "sub" / "one", place / "again")
    os.link(place / "sub" / "one", place / "sub" / "and again")
    with open(place / "sparse", "wb") as sparse:
        sparse.truncate(1 << 30)
    put(place / os.fsdecode(b"\xff\xfe\x1b[2J[bold]"), 3)
    put(place / "line\nbreak" / "x", 4)
    os.mkfifo(place / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "s"))
    (place / "loop").symlink_to(".")
    (place / "out").symlink_to(world)
    deep = place
    for _ in range(40):
        deep = deep / "d"
    put(deep / "bottom", 11)
    return place


def test_sizes_are_those_of_du(odd: Path) -> None:
    row = rows()["whisper"]
    listed = subprocess.run(
        ["find", odd, "-type", "f", "-printf", "%i %s %b\\n"], capture_output=True, check=True
    ).stdout
    files = dict(line.split(b" ", 1) for line in listed.splitlines())  # by inode
    assert row.size == sum(int(told.split()[0]) for told in files.values()) == 5000 + (1 << 30) + 3 + 4 + 11
    assert row.size_on_disk == sum(int(told.split()[1]) * 512 for told in files.values())
    assert (row.files, row.problem) == (5, None)
    folders = subprocess.run(["find", odd, "-type", "d", "-printf", "%s\\n"], capture_output=True, check=True).stdout
    other = sum(path.lstat().st_size for path in odd.iterdir() if path.is_symlink())
    whole = subprocess.run(["du", "-s", "-B1", "--apparent-size", odd], capture_output=True, check=True).stdout
    assert row.size == int(whole.split()[0]) - sum(map(int, folders.split())) - other


def test_what_cannot_be_read_is_said_and_the_rest_is_counted(odd: Path) -> None:
    put(odd / "shut" / "x", 100)
    (odd / "shut").chmod(0)
    deepest = odd
    for _ in range(70):
        deepest = deepest / "d"
    put(deepest / "x", 100)
    with ordinary():
        row = rows()["whisper"]
    assert row.size == 5000 + (1 << 30) + 3 + 4 + 11
    assert (row.problem or "").startswith("2 names below it could not be read (")


def test_what_goes_while_it_is_measured_is_no_trouble(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing, gone = os.listdir, iter(range(1000))

    def late(descriptor: int) -> list[str]:
        names = listing(descriptor)
        if next(gone) == 1:
            (odd / "sub" / "and again").unlink(missing_ok=True)
            for path in sorted((odd / "line\nbreak").rglob("*")):
                path.unlink()
            (odd / "line\nbreak").rmdir()
        return names

    monkeypatch.setattr("cachetop.hub.beside.os.listdir", late)
    row = rows()["whisper"]
    assert row.problem is None and row.size in (5000 + (1 << 30) + 3 + 11, 5000 + (1 << 30) + 3 + 4 + 11)

    def away(descriptor: int) -> list[str]:
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr("cachetop.hub.beside.os.listdir", away)
    assert rows() == {}, "the place itself went"


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
        5, "1 name below it could not be read (Input/output error): the size is that of the rest.",
    )  # fmt: skip


def test_they_are_in_the_listing(world: Path) -> None:
    put(world / ".cache/whisper/tiny.pt", 70)
    command = [sys.executable, "-m", "cachetop", "models"]
    said = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    listed = [(row["kind"], row["size"]) for row in said["beside"] if row["kind"] != "rapidocr"]
    assert listed == [("whisper", 70)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "BESIDE THE HUB" in lines and str(world / ".cache/whisper") in lines
