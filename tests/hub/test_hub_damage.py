"""Damaged contents: told as they are found, among the problems until they change, with a command that mends them."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cachetop
from cachetop import cli, locations
from cachetop.base import files
from cachetop.base.record import Problem
from cachetop.hub import contents, folder, warm
from cachetop.hub import scan as scanning
from cachetop.hub import verify as verifying
from cachetop.hub.checking import Checked
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Verification, Verifier
from cachetop.prune.execute import execute
from cachetop.prune.plan import plan
from cachetop.prune.selection import Selection
from support import hub, hubcache


def check(scanner: Scanner | None = None, state: Path | None = None) -> Verification:
    scanner = scanner or Scanner([locations.hub()])
    return Verifier(scanner, state or locations.state_dir()).run(scanner.scan().repos)


def spoil(blob: Path) -> Path:
    """Flip a bit."""
    blob.chmod(0o644)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    return blob


def weights(made: hubcache.RepoFolder) -> Path:
    return (made.path / "snapshots" / hubcache.COMMIT / "onnx" / "model.onnx").resolve()


def corrupt(rule: str = "corrupt") -> list[tuple[str, Problem]]:
    """What a look from the start lists as corrupt, or under another rule."""
    found = cachetop.models(detail=True)
    return [(repo.id, one) for repo in found.repos for one in repo.problems if one.rule == rule]


def test_a_damaged_file_is_a_problem_until_it_is_replaced(cache: Path) -> None:
    hubcache.healthy(cache, "org/good")
    made = hubcache.healthy(cache, "org/bad")
    blob = spoil(weights(made))
    assert corrupt() == [], "nobody has looked yet"
    assert check().damaged == 1
    ((name, problem),) = corrupt()
    assert name == "org/bad" and f"onnx/model.onnx of {hubcache.COMMIT[:12]}" in problem.message
    assert shlex.split(problem.fix or "") == [
        "hf", "download", "org/bad", "onnx/model.onnx", "--revision", hubcache.COMMIT, "--force-download",
    ]  # fmt: skip
    status = [one for one in cachetop.status().problems if one.rule == "corrupt"]
    assert [(one.subject, one.fix) for one in status] == [("org/bad", problem.fix)]
    fresh = blob.with_name("fresh")
    shutil.copy(blob, fresh)
    spoil(fresh).replace(blob)  # the bit is turned back
    assert corrupt() == []
    assert check().damaged == 0 and corrupt() == []


@pytest.mark.parametrize("end", ["written", "pruned", "found sound"])
def test_it_ends_with_the_content(cache: Path, end: str) -> None:
    made = hubcache.healthy(cache)
    blob = spoil(weights(made))
    check()
    assert len(corrupt()) == 1
    if end == "written":
        blob.write_bytes(blob.read_bytes() + b"x")
    elif end == "pruned":
        hubcache.settle(cache)
        check()
        assert len(corrupt()) == 1
        assert execute(plan([Selection("models", all=True)]), locations.state_dir(), undo=0).deleted
    else:  # the same inode, time and size: the disk reads well again
        status = blob.stat()
        spoil(blob)
        os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert len(corrupt()) == 1
        assert check().damaged == 0
    assert corrupt() == []


def test_every_kind_of_content_can_be_damaged(cache: Path) -> None:
    made = hubcache.healthy(cache, "org/kinds")
    made.file("model.onnx", b"same", commit=hubcache.OTHER)
    spoil(made.stored("stored.bin", b"s" * 5000))
    spoil(made.real("real.bin", b"r" * 300))
    spoil(made.blob(b"orphan" * 100))
    made.tree({"real.bin": (300, hubcache.etag_of(b"r" * 300))})
    assert check().damaged == 3
    ((_, problem),) = corrupt()
    assert all(name in problem.message for name in ("stored.bin", "real.bin", "the blob "))
    assert problem.message.startswith("3 files are damaged")


def test_it_is_told_and_kept_before_the_check_ends(cache: Path) -> None:
    bad = hubcache.healthy(cache, "org/bad")
    spoil(weights(bad))
    endless = hubcache.repo(cache, "org/endless")
    (endless.path / "snapshots").mkdir()
    os.truncate(endless.blob(b"", etag="a" * 64), 1 << 40)
    scanner = Scanner([locations.hub()])
    verifier = Verifier(scanner, locations.state_dir())
    told: list[tuple[Checked, int]] = []

    def tell(one: Checked) -> None:
        told.append((one, len(corrupt())))
        verifier.cancel()

    found = verifier.run(scanner.scan().repos, tell=tell)
    ((one, listed),) = told
    assert (one.repo, one.file, one.state, listed) == ("org/bad", "onnx/model.onnx", "damaged", 1)
    assert not found.complete and found.damaged == 1


def test_two_checks_at_once_keep_what_both_found(cache: Path) -> None:
    first, second = (hubcache.healthy(cache, f"org/{name}") for name in ("first", "second"))
    for made in (first, second):
        spoil(weights(made))
    scanner = Scanner([locations.hub()])
    one, other = scanner.scan().repos
    verifiers = [
        Verifier(scanner, locations.state_dir()) for _ in range(2)
    ]  # both read what is kept before either writes
    verifiers[0].run([one])
    verifiers[1].run([other])
    assert {name for name, _ in corrupt()} == {"org/first", "org/second"}
    sound = check(scanner)
    assert (sound.sound, sum(one.remembered for one in sound.files)) == (2, 2)


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], int], None]:
    """Do something in the middle of the first reads of contents."""

    def arrange(act: Callable[[], object], times: int = 1) -> None:
        real, left = os.pread, [times]

        def pread(descriptor: int, count: int, at: int) -> bytes:
            if left[0] > 0 and at == 0 and count == verifying._CHUNK:
                left[0] -= 1
                act()
            return real(descriptor, count, at)

        monkeypatch.setattr(os, "pread", pread)

    return arrange


def only(found: Verification, file: str, repo: str | None = None) -> Checked:
    (one,) = [one for one in found.files if one.file == file and repo in (None, one.repo)]
    return one


def test_a_blob_that_is_replaced_while_it_is_read_is_judged_as_it_is_now(cache: Path, meddle: Any) -> None:
    made = hubcache.repo(cache)
    content = b"w" * 5000
    blob = made.file("model.bin", b"x" * 5000, etag=hubcache.etag_of(content))

    def replace() -> None:
        blob.with_name("fresh").write_bytes(content)
        blob.with_name("fresh").replace(blob)

    meddle(replace)
    found = check()
    assert (found.sound, found.damaged, found.unreadable) == (1, 0, 0)
    assert corrupt() == []


def test_a_blob_that_is_written_while_it_is_read_is_judged_as_it_is_now(cache: Path, meddle: Any) -> None:
    made = hubcache.repo(cache)
    content = b"w" * 5000
    blob = made.file("model.bin", b"x" * 5000, etag=hubcache.etag_of(content))
    os.utime(blob, (1, 1))
    meddle(lambda: blob.write_bytes(content))
    found = check()
    assert (found.sound, found.damaged, found.unreadable) == (1, 0, 0)


def test_a_blob_that_never_holds_still_is_not_called_damaged(cache: Path, meddle: Any) -> None:
    made = hubcache.repo(cache)
    blob = made.file("model.bin", b"x" * 5000, etag="a" * 64)
    count = iter(range(1, 100))
    meddle(lambda: blob.write_bytes(b"y" * (5000 + next(count))), 50)
    one = only(check(), "model.bin")
    assert one.state == "unreadable" and "changed each time" in (one.message or "")
    assert corrupt() == []


def test_a_blob_that_goes_while_its_repo_is_checked(cache: Path, meddle: Any) -> None:
    lost = hubcache.healthy(cache, "org/lost")
    config = (lost.path / "snapshots" / hubcache.COMMIT / "config.json").resolve()
    meddle(config.unlink)
    found = check()
    gone = only(found, "config.json")
    assert (gone.state, gone.message, found.sound) == ("unreadable", "Its content is gone.", 1)
    assert shlex.split(gone.fix or "") == ["hf", "download", "org/lost", "config.json", "--revision", hubcache.COMMIT]


def test_a_repo_that_is_deleted_while_it_is_checked_is_no_damage(cache: Path, meddle: Any) -> None:
    made = hubcache.healthy(cache, "org/going")
    meddle(lambda: shutil.rmtree(made.path))
    found = check()
    assert (found.removed, found.damaged, found.unreadable) == (1, 0, 0)
    assert only(found, "config.json").state == "removed"


def test_what_may_not_be_read_is_said_so(cache: Path) -> None:
    from support.rights import ordinary

    blob = weights(hubcache.healthy(cache))
    with ordinary():
        blob.chmod(0)
        try:
            one = only(check(), "onnx/model.onnx")
        finally:
            blob.chmod(0o644)
    assert (one.state, one.message) == ("unreadable", "It may not be read.")
    assert shlex.split(one.fix or "")[:3] == ["chmod", "-R", "u+rX"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Inode numbers of which nothing beyond the first bytes can be read, with the error's number."""
    real: Any = os.pread
    bad: dict[int, int] = {}

    def pread(descriptor: int, count: int, at: int) -> bytes:
        if at and (number := bad.get(os.fstat(descriptor).st_ino)):
            raise OSError(number, os.strerror(number))
        return real(descriptor, count, at)  # type: ignore[no-any-return]

    monkeypatch.setattr(os, "pread", pread)
    return bad


@pytest.mark.parametrize("end", ["read well", "replaced"])
def test_what_the_disk_no_longer_gives_is_a_problem_until_it_does(
    cache: Path, failing: dict[int, int], end: str
) -> None:
    hubcache.healthy(cache, "org/good")
    blob = weights(hubcache.healthy(cache, "org/bad"))
    failing[blob.stat().st_ino] = errno.EIO
    one = only(check(), "onnx/model.onnx", "org/bad")
    assert (one.state, one.message) == ("unreadable", "Reading failed: Input/output error. The disk may be failing.")
    assert corrupt() == [], "what it holds is not known to be wrong"
    ((name, problem),) = corrupt("read-error")
    assert name == "org/bad" and problem.message.startswith(
        f"1 file could not be read when it was checked: onnx/model.onnx of {hubcache.COMMIT[:12]} (Input/output error)."
    )
    assert "disk may be failing" in problem.message and problem.fix == one.fix
    assert shlex.split(problem.fix or "")[:4] == ["hf", "download", "org/bad", "onnx/model.onnx"]
    assert [one.subject for one in cachetop.status().problems if one.rule == "read-error"] == ["org/bad"]
    assert check().unreadable == 1 and corrupt("read-error"), "it stays until something changes"
    failing.clear()
    if end == "read well":
        assert check().unreadable == 0
    else:
        shutil.copy(blob, blob.with_name("fresh"))
        blob.with_name("fresh").replace(blob)
    assert corrupt("read-error") == []


def test_damage_and_failed_reading_take_each_others_place(cache: Path, failing: dict[int, int]) -> None:
    blob = spoil(weights(hubcache.healthy(cache)))
    for rule, other in (("corrupt", "read-error"), ("read-error", "corrupt")) * 2:
        if rule == "read-error":
            failing[blob.stat().st_ino] = errno.EBADMSG
        else:
            failing.clear()
        check()
        assert len(corrupt(rule)) == 1 and corrupt(other) == []


def test_a_file_system_that_went_away_is_said_and_does_not_spoil_the_file(cache: Path, failing: dict[int, int]) -> None:
    failing[weights(hubcache.healthy(cache)).stat().st_ino] = errno.ENOTCONN
    one = only(check(), "onnx/model.onnx")
    assert (one.state, one.message) == ("unreadable", f"Reading failed: {os.strerror(errno.ENOTCONN)}.")
    assert one.fix and one.fix.startswith("findmnt -T ")
    assert corrupt("read-error") == []


def test_what_the_disk_does_not_even_open_is_no_matter_of_changing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.healthy(cache)
    made.stored("stored.bin", b"s" * 5000)
    real = files.open_quietly

    def refuse(name: str, at: int | None = None) -> int:
        if len(name) == 64:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(name, at)

    monkeypatch.setattr(warm, "open_quietly", refuse)
    found = check()
    assert (found.sound, found.unreadable) == (1, 2)
    for name in ("onnx/model.onnx", "stored.bin"):
        assert (only(found, name).message or "").startswith("Reading failed: Input/output error.")
    ((_, problem),) = corrupt("read-error")
    assert problem.message.startswith("2 files could not be read")


def test_a_folder_that_stops_answering_is_not_called_removed(
    cache: Path, meddle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.healthy(cache, "org/bad")
    real = contents.open_folder

    def refuse(name: str, at: int) -> int:
        if name == made.path.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(name, at)

    def stop() -> None:
        for room in (folder, contents):
            monkeypatch.setattr(room, "open_folder", refuse)

    meddle(stop)
    found = check()
    assert (found.sound, found.removed, found.unreadable) == (1, 0, 1), "the first was open already"
    (one,) = [one for one in found.files if one.state == "unreadable"]
    assert "Input/output error" in (one.message or "") and (one.fix or "").startswith("findmnt -T ")


def test_a_cache_folder_that_stops_answering_is_not_called_removed(
    cache: Path, meddle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubcache.healthy(cache, "org/bad")

    def refuse(path: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def stop() -> None:
        for room in (scanning, warm):
            monkeypatch.setattr(room, "open_root", refuse)

    meddle(stop)
    found = check()
    assert (found.sound, found.removed, found.unreadable) == (1, 0, 1)
    (one,) = [one for one in found.files if one.state == "unreadable"]
    assert one.message == f"The cache folder {cache} could not be read: Input/output error."


def test_the_command_line_says_it_on_stderr_beside_json(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(weights(hubcache.healthy(cache)))
    assert cli.main(["models", "verify", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [one["state"] for one in json.loads(out)["files"] if one["file"] == "onnx/model.onnx"] == ["damaged"]
    assert (
        err.startswith("damaged     org/model  onnx/model.onnx: Its sha256 is ") and "\nfix         hf download " in err
    )
    assert cli.main(["models", "--filter", "problem=corrupt"]) == 0
    out, _ = capsys.readouterr()
    assert "1 file is damaged" in out and "hf download org/model" in out
    assert cli.main(["models", "--json"]) == 0
    (problem,) = json.loads(capsys.readouterr().out)["repos"][0]["problems"]
    assert problem["rule"] == "corrupt" and problem["fix"].startswith("hf download org/model onnx/model.onnx")
    assert cli.main(["models", "show", "org/model"]) == 0
    assert "1 file is damaged" in capsys.readouterr().out


def test_running_the_fix_mends_it(cache: Path, world: Path) -> None:
    pytest.importorskip("huggingface_hub")
    origin = world / "origin"
    for place in (origin, cache):
        hubcache.healthy(place, "org/model")
    blob = spoil(weights(hubcache.repo(cache)))
    check()
    ((_, problem),) = corrupt()
    hf, *words = shlex.split(problem.fix or "")
    assert hf == "hf"
    with hub.serving(origin) as endpoint:
        environment = {
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        command = [str(Path(sys.executable).with_name("hf")), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert hubcache.etag_of(blob.read_bytes()) == blob.name
    assert corrupt() == [] and check().damaged == 0
