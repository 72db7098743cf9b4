"""Offline checksums: sound, damaged, unchecked; kept results; cancelling."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Progress, Verification, Verifier
from support import hubcache


@pytest.fixture
def store(world: Path) -> Path:
    return world / "state"


def verify(scanner: Scanner, store: Path | None, afresh: bool = False) -> Verification:
    return Verifier(scanner, store).run(scanner.scan().repos, afresh=afresh)


def states(found: Verification) -> dict[str | None, str]:
    return {one.file: one.state for one in found.files}


def test_every_way_of_keeping_a_file(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("model.bin", b"w" * 5000)
    made.file("config.json", b"{}", etag=hubcache.git_etag_of(b"{}"))
    made.stored("stored.bin", b"s" * 5000)
    made.file("odd.bin", b"o", etag="W-no-hash")
    made.real("real.bin", b"r" * 300)
    made.real("unlisted.bin", b"u" * 300)
    made.tree({"real.bin": (300, hubcache.etag_of(b"r" * 300))})
    found = verify(scanner, None)
    assert states(found) == {
        "model.bin": "sound", "config.json": "sound", "stored.bin": "sound", "odd.bin": "unchecked",
        "real.bin": "sound", "unlisted.bin": "unchecked",
    }  # fmt: skip
    assert (found.sound, found.unchecked, found.damaged, found.complete) == (4, 2, 0, True)
    assert found.bytes == 5000 + 2 + 5000 + 300


def test_real_files_of_one_content_are_all_checked(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    names = ("a/__init__.py", "b/__init__.py")
    for name in names:
        made.real(name, b"same")
    made.tree({name: (4, hubcache.git_etag_of(b"same")) for name in names})
    assert states(verify(scanner, None)) == dict.fromkeys(names, "sound")


def test_a_content_that_repos_share_is_read_once(cache: Path, scanner: Scanner) -> None:
    for name in ("org/one", "org/two", "org/three"):
        hubcache.repo(cache, name).stored("model.bin", b"w" * 200_000)
    steps: list[Progress] = []
    found = Verifier(scanner, None).run(scanner.scan().repos, steps.append, afresh=True)
    assert (found.sound, found.remembered) == (3, 0)
    assert found.bytes == 200_000
    assert (steps[-1].total, steps[-1].files) == (200_000, 3)


def test_one_flipped_bit_is_damage(cache: Path, scanner: Scanner, store: Path) -> None:
    made = hubcache.healthy(cache)
    blob = (made.path / "snapshots" / hubcache.COMMIT / "onnx" / "model.onnx").resolve()
    assert verify(scanner, store).damaged == 0
    content = bytearray(blob.read_bytes())
    content[777] ^= 1
    blob.write_bytes(content)
    found = verify(scanner, store)
    assert states(found) == {"config.json": "sound", "onnx/model.onnx": "damaged"}
    assert next(one for one in found.files if one.state == "damaged").message
    assert verify(scanner, store).damaged == 1  # damage is never remembered as sound


def test_results_are_kept_until_the_file_changes(cache: Path, scanner: Scanner, store: Path) -> None:
    hubcache.healthy(cache)
    first = verify(scanner, store)
    assert first.bytes > 0 and not any(one.remembered for one in first.files)
    again = verify(scanner, store)
    assert (again.bytes, again.sound) == (0, 2) and all(one.remembered for one in again.files)
    assert verify(scanner, store, afresh=True).bytes == first.bytes
    file = store / "verified.json"
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(json.dumps(json.loads(file.read_bytes()), indent=4))
    assert verify(scanner, store).bytes == 0, "it may be laid out by other versions, or by somebody"
    file.write_text("{broken")
    assert verify(scanner, store).bytes == first.bytes


def test_results_that_cannot_be_kept_are_said_and_kept_later(cache: Path, scanner: Scanner, store: Path) -> None:
    hubcache.healthy(cache)
    hubcache.repo(cache, "org/bad").file("model.bin", b"not what it says", etag="a" * 64)
    (store / "verified.json").mkdir(parents=True)
    verifier = Verifier(scanner, store)
    found = verifier.run(scanner.scan().repos)
    assert found.unkept == f"What was found could not be kept in {store}: Is a directory."
    assert sorted(path.name for path in store.iterdir()) == ["damaged.json", "verified.json", "verified.lock"]
    assert len(json.loads((store / "damaged.json").read_bytes())) == 1, "damage comes first"
    (store / "verified.json").rmdir()
    assert verifier.run(scanner.scan().repos).unkept is None
    assert len(json.loads((store / "verified.json").read_bytes())) == 2
    refused = verify(scanner, store / "verified.json")
    assert (refused.sound, refused.damaged) == (2, 1)
    assert (refused.unkept or "").endswith("verified.json: File exists.")


def test_the_results_of_very_many_files_are_kept(cache: Path, scanner: Scanner, store: Path) -> None:
    made = hubcache.repo(cache)
    for number in range(4100):
        made.file(f"{number}.bin", str(number).encode())
    assert verify(scanner, store).sound == 4100
    kept = json.loads((store / "verified.json").read_bytes())
    assert len(kept) == 4100 and sorted(kept.values()) == sorted(os.listdir(made.path / "blobs"))
    assert verify(scanner, store).remembered == 4100


def test_cancelling_keeps_what_is_done(cache: Path, scanner: Scanner, store: Path) -> None:
    for number in range(4):
        hubcache.healthy(cache, f"org/m{number}")
    endless = hubcache.repo(cache, "org/endless")
    (endless.path / "snapshots").mkdir()
    os.truncate(endless.blob(b"", etag="a" * 64), 1 << 40)
    verifier = Verifier(scanner, store)
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if progress.files == 8:  # all but the endless one, which keeps one of the two threads
            verifier.cancel()

    found = verifier.run(scanner.scan().repos, stop)
    assert (found.complete, found.sound, found.damaged) == (False, 8, 0)
    assert seen and all(0 <= step.done <= step.total and step.files <= step.of for step in seen)
    whole = [repo for repo in scanner.scan().repos if repo.id != "org/endless"]
    assert sum(one.remembered for one in Verifier(scanner, store).run(whole).files) == 8


def test_what_cannot_be_read_is_not_sound(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    models: Models = scanner.scan()
    for blob in (made.path / "blobs").iterdir():
        blob.unlink()
    found = Verifier(scanner, None).run(models.repos)
    assert (found.unreadable, found.sound) == (2, 0)


def test_a_file_with_the_login_token_is_not_read(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hubcache.healthy(cache).file("README.md", b"hf_abcdefghijklmnop")
    monkeypatch.setenv("HF_TOKEN_PATH", str(token))
    found = Verifier(scanner, None).run(scanner.scan().repos)
    assert (found.sound, found.unchecked, found.damaged, found.unreadable) == (2, 1, 0, 0)
    (one,) = (one for one in found.files if one.state == "unchecked")
    assert (one.file, one.message) == ("README.md", "It holds a login token (HF_TOKEN_PATH), so it is not read.")


def test_the_command_line(cache: Path) -> None:
    hubcache.healthy(cache)
    command = [sys.executable, "-m", "cachetop", "models", "verify"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    said = json.loads(done.stdout)
    assert (done.returncode, said["schema"], said["sound"], said["damaged"]) == (0, "cachetop.verify/1", 2, 0)
    bad = hubcache.repo(cache, "org/bad")
    bad.file("model.bin", b"not what it says", etag="a" * 64)
    done = subprocess.run([*command, "org/bad"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout.startswith("damaged     org/bad  model.bin: Its sha256 is ")
    assert subprocess.run([*command, "org/none"], capture_output=True).returncode == 1


def test_what_cannot_be_checked_is_named(cache: Path) -> None:
    for number in range(7):
        hubcache.repo(cache, "org/real").real(f"{number}.bin", b"x" * (number + 1))
    said = subprocess.run(
        [sys.executable, "-m", "cachetop", "models", "verify"], capture_output=True, text=True, timeout=60
    ).stdout
    assert "7 that cannot be checked offline" in said and "  … and 2 more; --json lists all" in said
    assert said.count("org/real  ") == 5 and "nothing here tells what it should be" in said


def test_an_interrupt_reports_what_was_done(cache: Path) -> None:
    made = hubcache.repo(cache)
    (made.path / "snapshots").mkdir()
    blob = made.blob(b"", etag="a" * 64)
    os.truncate(blob, 1 << 40)  # sparse: nobody gets to its end
    process = subprocess.Popen(
        [sys.executable, "-m", "cachetop", "models", "verify", "--json"], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if any(os.readlink(path) == str(blob) for path in Path(f"/proc/{process.pid}/fd").iterdir()):
                break
        except OSError:
            continue
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["complete"] is False
