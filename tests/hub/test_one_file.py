"""One file of a revision in depth, and its document."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub.one_file import AboutFile, describe_file
from cachetop.hub.records import File, Repo, Revision
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Verifier
from cachetop_tui.documents import file as document
from cachetop_tui.paint import width_of
from support import healthy_caches, hubcache
from support.live_models import live
from support.opening import screen, until

NOW = 1_800_000_000.0


def records(scanner: Scanner, name: str) -> tuple[Repo, Revision, File]:
    """The first file called so."""
    return next(
        (repo, revision, file)
        for repo in scanner.scan().repos
        for revision in repo.revisions
        for file in revision.files
        if name in file.name
    )


def described(scanner: Scanner, name: str) -> AboutFile:
    return describe_file(*records(scanner, name))


@pytest.mark.parametrize(
    "build",
    [
        healthy_caches.many_kinds,
        healthy_caches.shared_store,
        healthy_caches.without_symlinks,
        healthy_caches.odd_but_healthy,
        healthy_caches.absolute_links,
    ],
)
def test_every_file_is_found_where_the_scan_saw_it(
    build: Callable[[Path], None], cache: Path, scanner: Scanner
) -> None:
    build(cache)
    seen = 0
    for repo in scanner.scan().repos:
        for revision in repo.revisions:
            for file in revision.files:
                about = describe_file(repo, revision, file)
                assert (about.size, about.size_on_disk, about.blob) == (file.size, file.size_on_disk, file.blob)
                assert os.path.realpath(about.path) == os.path.realpath(about.content)
                assert os.path.lexists(about.path) and not os.path.islink(about.content)
                assert (about.kept == "real") == (file.blob is None)
                seen += 1
    assert seen


def test_how_it_is_kept_and_who_has_the_same_blob(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("a.txt", b"same")
    made.file("copy/b.txt", b"same")
    made.file("a.txt", b"same", commit=hubcache.OTHER)
    made.stored("model.safetensors", b"w" * 100)
    made.ref()
    made.ref("v2", hubcache.OTHER)
    about = described(scanner, "a.txt")
    assert {(one.commit, one.refs, one.name) for one in about.shared} == {
        (hubcache.COMMIT, ("main",), "copy/b.txt"),
        (hubcache.OTHER, ("v2",), "a.txt"),
    }
    assert (about.sharers, about.kept, about.text) == (2, "blob", ("same",))
    stored = described(scanner, "model.safetensors")
    assert stored.kept == "store" and stored.content.startswith(str(cache / "blobs"))
    assert stored.problem is not None and "no safetensors" in stored.problem


def test_what_a_check_said_of_it(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    assert described(scanner, "model.onnx").checksum == "unchecked"
    Verifier(scanner, locations.state_dir()).run(scanner.scan().repos)
    assert (described(scanner, "model.onnx").algorithm, described(scanner, "model.onnx").checksum) == (
        "sha256",
        "sound",
    )
    assert described(scanner, "config.json").algorithm == "git-sha1"
    blob = Path(described(scanner, "model.onnx").content)
    blob.write_bytes(b"x" * blob.stat().st_size)
    assert described(scanner, "model.onnx").checksum == "unchecked", "it is another content now"
    Verifier(scanner, locations.state_dir()).run(scanner.scan().repos)
    about = described(scanner, "model.onnx")
    assert about.checksum == "damaged"
    assert "DAMAGED" in "\n".join(line.text for line in document.lines(about, 80, NOW))
    made.file("odd.txt", b"x", etag="no-hash")
    assert described(scanner, "odd.txt").checksum == "unknown"


def test_a_real_file_is_checked_by_the_stored_list(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.real("deep/config.json", b"{}")
    made.ref()
    assert described(scanner, "config.json").algorithm is None
    made.tree({"deep/config.json": (2, hubcache.git_etag_of(b"{}"))})
    assert described(scanner, "config.json").algorithm == "git-sha1"


def test_tensors_of_its_header_and_no_word_of_a_pickle(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    head = b'{"wte":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]}}'
    made.file("model.safetensors", len(head).to_bytes(8, "little") + head + bytes(32))
    made.file("weights.bin", b"cos\nsystem\n")
    made.ref()
    tensors = described(scanner, "model.safetensors").tensors
    assert tensors is not None and [(one.name, one.shape) for one in tensors] == [("wte", (4, 2))]
    pickle = described(scanner, "weights.bin")
    assert pickle.pickled and pickle.text is None and pickle.tensors is None
    assert "not read" in "\n".join(line.text for line in document.lines(pickle, 80, NOW))


def test_a_text_is_bounded_clean_and_without_secrets(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("evil.jinja", b"a\x1b[31mred\x1b]0;x\x07\ttoken: hf_abcdefghijklmnop\n[bold]\xff\n")
    made.file("long.txt", b"x" * 3_000_000)
    made.file("many.yaml", b"- 1\n" * 10_000)
    made.file("binary.md", b"text\0\1")
    made.file("config.json", json.dumps({"layers": list(range(100))}).encode())
    made.file("deep.json", b"[" * 50_000 + b"]" * 10_000)
    made.ref()
    evil = described(scanner, "evil.jinja").text
    assert evil is not None and "\x1b" not in "".join(evil) and "hf_abcdefgh" not in "".join(evil)
    assert "[bold]" in evil[1]
    long = described(scanner, "long.txt")
    assert long.text is not None and len(long.text[0]) == 1000 and not long.text_whole
    many = described(scanner, "many.yaml")
    assert many.text is not None and len(many.text) == 1000 and not many.text_whole
    assert described(scanner, "binary.md").text is None
    laid_out = described(scanner, "config.json").text
    assert laid_out is not None and len(laid_out) > 100
    assert described(scanner, "deep.json").text is not None
    for name in ("evil", "long", "many", "binary", "config"):
        for width in (40, 80, 160):
            for line in document.lines(described(scanner, name), width, NOW):
                assert width_of(line.text) <= width


def test_what_leads_elsewhere_is_not_followed(cache: Path, scanner: Scanner, tmp_path: Path) -> None:
    made = hubcache.healthy(cache)
    secret = tmp_path / "secret.txt"
    secret.write_text("never")
    repo, revision, file = records(scanner, "config.json")
    link = made.path / "snapshots" / hubcache.COMMIT / "config.json"
    link.unlink()
    link.symlink_to(secret)
    with pytest.raises(LookupError, match="leads out of its repo"):
        describe_file(repo, revision, file)
    link.unlink()
    link.symlink_to("../../blobs/evil")
    (made.path / "blobs" / "evil").symlink_to(secret)
    with pytest.raises(LookupError, match="leads out of the cache"):
        describe_file(repo, revision, file)
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(LookupError, match="no regular file"):
        describe_file(repo, revision, file)
    link.unlink()
    with pytest.raises(LookupError, match="not in the cache any more"):
        describe_file(repo, revision, file)
    folder = made.path / "snapshots" / hubcache.COMMIT
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path)
    with pytest.raises((LookupError, OSError)):
        describe_file(repo, revision, File("secret.txt", 1, 1, None))
    for name in ("../config.json", "a//b", "./x", ""):
        with pytest.raises(LookupError):
            describe_file(repo, revision, File(name, 1, 1, None))


def test_the_login_token_is_never_read(cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hubcache.repo(cache)
    token = made.file("token.txt", b"my login word")
    linked = made.file("other.txt", b"another word")
    made.ref()
    monkeypatch.setenv("HF_TOKEN_PATH", str(token))
    about = described(scanner, "token.txt")
    assert (about.text, about.resident, about.problem) == (None, None, "It may not be read.")
    monkeypatch.setenv("HF_TOKEN_PATH", str(cache.parent / "token"))
    os.link(linked, cache.parent / "token")
    assert described(scanner, "other.txt").text is None


def test_names_that_are_not_safe_to_show_are_found(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache, "org/od\x1bd")
    made.file("b\x1bad/na\udcffme.txt", b"here")
    made.ref()
    assert described(scanner, "me.txt").text == ("here",)


def test_looking_moves_no_access_time(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache)
    hubcache.settle(cache, 10 * 86_400)
    blobs = list(cache.rglob("blobs/*"))
    before = [path.lstat().st_atime_ns for path in blobs]
    described(scanner, "config.json")
    described(scanner, "model.onnx")
    assert len(blobs) == 2 and [path.lstat().st_atime_ns for path in blobs] == before


async def test_enter_on_a_file_opens_it(cache: Path) -> None:
    made = hubcache.healthy(cache)
    async with live() as (app, pilot):
        await pilot.press("apostrophe", *"config", "enter", "enter")
        await until(pilot, lambda: '"name": "org/model"' in screen(app))
        assert "a link to a blob of its repo" in screen(app)
        shutil.rmtree(made.path / "snapshots")
        await pilot.press("r")
        await until(pilot, lambda: "in the cache any more" in screen(app))
