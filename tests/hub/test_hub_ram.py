"""Warm now and drop from RAM: own files, confirmed, within memory, never in read-only mode."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.hub import ram
from cachetop.hub.scan import Scanner
from support import hubcache

SIZE = 4 << 20


@pytest.fixture
def blob(cache: Path) -> Path:
    made = hubcache.repo(cache)
    path = made.file("model.bin", b"w" * SIZE)
    made.real("real.bin", b"r" * SIZE)
    made.ref()
    for written in (path, made.path / "snapshots" / hubcache.COMMIT / "real.bin"):
        descriptor = os.open(written, os.O_RDONLY)
        os.fsync(descriptor)  # dirty pages cannot be dropped
        os.close(descriptor)
    return path


def test_drop_and_warm_again(blob: Path, scanner: Scanner) -> None:
    (repo,) = scanner.scan().repos
    os.utime(blob, (1_600_000_000, 1_700_000_000))
    (repo,) = scanner.scan().repos
    dropped = ram.drop(repo, scanner, confirmed=True)
    if dropped.after != 0:
        pytest.skip("this file system does not let go of pages when asked")
    assert (dropped.size, dropped.before, dropped.skipped, dropped.complete) == (2 * SIZE, 2 * SIZE, 0, True)
    steps: list[tuple[int, int]] = []

    def note(done: int, total: int) -> bool:
        steps.append((done, total))
        return True

    warmed = ram.warm(repo, scanner, confirmed=True, progress=note)
    assert (warmed.before, warmed.after, warmed.complete) == (0, 2 * SIZE, True)
    assert steps[-1] == (2 * SIZE, 2 * SIZE)
    assert blob.stat().st_atime == 1_600_000_000
    stopped = ram.warm(repo, scanner, confirmed=True, progress=lambda *_: False)
    assert not stopped.complete


def test_what_is_refused(blob: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo,) = scanner.scan().repos
    with pytest.raises(ram.Refused, match="Nobody confirmed"):
        ram.drop(repo, scanner, confirmed=False)
    with pytest.raises(ram.Refused, match="memory are available"):
        ram.warm(repo, scanner, confirmed=True, available=2 * SIZE - 1)
    assert ram.warm(repo, scanner, confirmed=True, available=2 * SIZE).complete
    monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
    for act in (ram.warm, ram.drop):
        with pytest.raises(ram.Refused, match="CACHETOP_READ_ONLY"):
            act(repo, scanner, confirmed=True)
    monkeypatch.delenv("CACHETOP_READ_ONLY")
    monkeypatch.setattr(os, "geteuid", lambda: blob.stat().st_uid + 1)
    others = ram.drop(repo, scanner, confirmed=True)
    assert (others.skipped, others.before, others.after) == (2, 2 * SIZE, 2 * SIZE)


def test_a_repo_that_changed_is_left_alone(blob: Path, scanner: Scanner) -> None:
    (repo,) = scanner.scan().repos
    blob.unlink()
    blob.write_bytes(b"another one")
    dropped = ram.drop(repo, scanner, confirmed=True)
    assert (dropped.skipped, dropped.before, dropped.after) == (1, None, None), "of one nobody knows"


def test_a_bad_disk_spoils_one_file_alone(blob: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo,) = scanner.scan().repos
    real, bad = os.preadv, blob.stat().st_ino

    def preadv(descriptor: int, buffers: list[bytearray], at: int) -> int:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)
    steps: list[int] = []

    def note(done: int, _: int) -> bool:
        steps.append(done)
        return True

    warmed = ram.warm(repo, scanner, confirmed=True, progress=note)
    assert (warmed.skipped, warmed.complete, steps[-1]) == (1, True, SIZE)


def test_what_was_not_reached_before_it_was_cancelled_is_counted(blob: Path, scanner: Scanner) -> None:
    (repo,) = scanner.scan().repos
    stopped = ram.warm(repo, scanner, confirmed=True, progress=lambda *_: False)
    assert (stopped.complete, stopped.skipped, stopped.before, stopped.after) == (False, 0, 2 * SIZE, 2 * SIZE)


def verb(*words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cachetop", "models", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | more, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, done.stderr
    return done


def test_the_command_line_drops_and_warms_and_says_before_and_after(blob: Path) -> None:
    name = os.path.basename(os.path.dirname(blob.parent)).removeprefix("models--").replace("--", "/")
    assert "add --yes" in verb("drop", name, code=2).stderr, "nobody was asked"
    assert "read-only" in verb("warm", name, code=2, CACHETOP_READ_ONLY="1").stderr
    assert "No repo 'no/where'" in verb("warm", name, "no/where", code=1).stderr
    assert "no revision 'v9'" in verb("warm", f"{name}@v9", code=1).stderr
    assert "in RAM, before" in verb("warm", f"{name}@main").stdout
    told = json.loads(verb("drop", name, "--yes", "--json").stdout)
    (outcome,) = told["outcomes"]
    assert (told["schema"], told["action"], outcome["before"]) == ("cachetop.ram/1", "drop", 2 * SIZE)
    if outcome["after"] != 0:
        pytest.skip("this file system does not let go of pages when asked")
    assert f"{name}: 8.39 MB of 8.39 MB in RAM, before 0 B." in verb("warm", name).stdout
