"""The second pass: completeness, residency, live and dead downloads; and that looking leaves no trace."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.base import residency as pages
from cachetop.hub import locks, members, tree
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models, Partial
from cachetop.hub.scan import Scanner
from support import hubcache

LARGE = 4 << 20
ETAG = "e" * 64


def look(scanner: Scanner) -> Models:
    return with_detail(scanner.scan(), scanner)


def evict(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def holds_pages(path: Path) -> bool:
    """Whether the file system keeps files in the page cache at all and lets go of them when asked."""
    path.write_bytes(b"x" * 65536)
    full = pages.resident(str(path))
    evict(path)
    return full == 65536 and pages.resident(str(path)) == 0


def test_residency_follows_the_page_cache(cache: Path, scanner: Scanner) -> None:
    if not holds_pages(cache / "probe"):
        pytest.skip("this file system does not let go of pages when asked")
    made = hubcache.repo(cache)
    blob = made.file("model.bin", b"w" * LARGE)
    payload = made.stored("stored.bin", b"s" * LARGE)
    real = made.real("deep/real.bin", b"r" * LARGE)
    made.ref()

    def measured() -> dict[str, int | None]:
        return {file.name: file.resident for file in look(scanner).repos[0].revisions[0].files}

    assert measured() == {"model.bin": LARGE, "stored.bin": LARGE, "deep/real.bin": LARGE}
    for path in (blob, payload, real):
        evict(path)
    assert measured() == {"model.bin": 0, "stored.bin": 0, "deep/real.bin": 0}
    with blob.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead
        stream.read(1)
    part = measured()["model.bin"]
    assert part is not None and 0 < part < LARGE


def test_mincore_agrees_with_cachestat(world: Path) -> None:
    path = world / "file"
    path.write_bytes(b"x" * (LARGE + 5))
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
        for advice in (0, LARGE // 2, 0):
            os.posix_fadvise(stream.fileno(), advice, 0, os.POSIX_FADV_DONTNEED if advice else os.POSIX_FADV_NORMAL)
            quick = pages.resident_fd(stream.fileno())
            assert quick == pages.mincore(stream.fileno(), LARGE + 5)


def test_somebody_elses_file_is_unknown_where_mincore_would_lie(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world / "file"
    path.write_bytes(b"x" * 4096)

    class Refuses:
        def syscall(self, *_: object) -> int:
            ctypes.set_errno(1)  # EPERM, as cachestat answers for a file that one neither owns nor may write
            return -1

    monkeypatch.setattr(pages, "_LIBC", Refuses())
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert pages.resident(str(path)) is None


def test_residency_says_nothing_about_what_is_gone(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("model.bin", b"w" * LARGE)
    models = scanner.scan()
    blob.unlink()
    blob.write_bytes(b"another one")
    assert with_detail(models, scanner).repos[0].revisions[0].files[0].resident is None
    made.path.rename(cache / "elsewhere")
    assert with_detail(models, scanner).repos == models.repos


def test_nothing_changed_is_the_same_record(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    hubcache.healthy(cache, "org/quiet")
    first = look(scanner).repos
    assert [again is before for again, before in zip(look(scanner).repos, first, strict=True)] == [True, True]
    (made.path / "trees" / f"{hubcache.COMMIT}.json").unlink()
    assert [again is before for again, before in zip(look(scanner).repos, first, strict=True)] == [False, True]


def test_looking_leaves_no_trace(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache, weights=LARGE)
    made.stored("stored.bin", b"s" * 5000)
    made.real("real.bin", b"r" * 5000)
    made.partial(ETAG, b"x" * 5000)
    paths = [cache, *(path for path in cache.rglob("*") if not path.is_symlink())]
    for path in paths:
        os.utime(path, (1_600_000_000, 1_700_000_000))  # relatime would move an access time older than the last write
    look(scanner)
    scanner.inodes()
    moved = {str(path.relative_to(cache)): path.stat().st_atime for path in paths}
    assert {name: moment for name, moment in moved.items() if moment != 1_600_000_000} == {}
    assert {path.stat().st_mtime for path in paths} == {1_700_000_000}


def test_completeness_comes_from_the_announced_files(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    assert look(scanner).repos[0].revisions[0].complete is True
    made.tree({"config.json": (3, "1" * 40), "onnx/model.onnx": (50_000 // 32 * 32, ETAG), "more.bin": (9, "2" * 40)})
    (repo,) = look(scanner).repos
    assert (repo.revisions[0].complete, repo.revisions[0].missing) == (False, ("more.bin",))
    assert [problem.rule for problem in repo.problems] == ["wrong-size"]
    assert "config.json" in repo.problems[0].message
    (made.path / "trees" / f"{hubcache.COMMIT}.json").unlink()
    assert look(scanner).repos[0].revisions[0].complete is None


def test_a_real_file_is_held_against_the_announced_size_too(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.real("model.bin", b"r" * 300)
    made.ref()
    made.tree({"model.bin": (9000, ETAG)})
    (problem,) = look(scanner).repos[0].problems
    assert (problem.rule, problem.fix) == (
        "wrong-size", f"hf download org/model model.bin --revision {hubcache.COMMIT} --force-download",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"format_version": 2, "files": {}}',
        '{"format_version": 1}',
        '{"format_version": 1, "files": {"a": {"size": "large", "blob_id": "b"}}}',
        '{"format_version": 1, "files": {"a": {"size": 1e400, "blob_id": "b"}}}',
        '{"format_version": 1, "files": ' + "[" * 100_000,
    ],
)
def test_a_file_list_without_sense_is_no_file_list(cache: Path, scanner: Scanner, text: str) -> None:
    made = hubcache.healthy(cache)
    made.partial(ETAG, b"x")
    made.tree({}).write_text(text)
    (repo,) = look(scanner).repos
    assert repo.revisions[0].complete is None
    assert (repo.partials[0].file, repo.partials[0].expected) == (None, None)


@given(st.binary())
def test_any_bytes_as_a_file_list(raw: bytes) -> None:
    assert tree.parse(raw) is None


def partial_of(scanner: Scanner) -> Partial:
    (found,) = look(scanner).repos[0].partials
    return found


def test_a_partial_knows_its_file_and_how_much_is_to_come(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x" * 5000)
    made.tree({"onnx/big.bin": (1 << 40, ETAG)}, commit=hubcache.OTHER)
    partial = partial_of(scanner)
    assert (partial.file, partial.bytes, partial.expected) == ("onnx/big.bin", 5000, 1 << 40)
    made.tree({"onnx/big.bin": (10, ETAG)}, commit=hubcache.OTHER)
    assert partial_of(scanner).expected is None  # less than what is there already: not a size to believe
    for absurd in (-1, 10**30):
        made.tree({"onnx/big.bin": (absurd, ETAG)}, commit=hubcache.OTHER)
        assert partial_of(scanner).expected is None


HOLDER = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
kept = [open(path, "ab") for path in sys.argv[2:]]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(cache: Path) -> Iterator[object]:
    """Starts processes that hold a download's lock as huggingface_hub does, and ends them."""
    running: list[subprocess.Popen[str]] = []

    def start(lock: Path, *written: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(lock), *map(str, written)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_running_download_is_live_with_its_pid_and_dead_after_a_kill(
    cache: Path, scanner: Scanner, holder: object
) -> None:
    made = hubcache.repo(cache)
    partial = made.partial(ETAG, b"x")
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (False, None)
    process = holder(made.lock(ETAG), partial)  # type: ignore[operator]
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (True, process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while partial_of(scanner).live and time.monotonic() < deadline:
        pass
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (False, None)


def test_of_two_partials_of_one_file_only_the_written_one_is_live(
    cache: Path, scanner: Scanner, holder: object
) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"old", suffix=".00000000")
    written = made.partial(ETAG, b"new", suffix=".11111111")
    process = holder(made.lock(ETAG), written)  # type: ignore[operator]
    old, new = look(scanner).repos[0].partials
    assert (old.live, old.pid, new.live, new.pid) == (False, None, True, process.pid)


def test_the_lock_is_tried_where_proc_does_not_know_it(
    cache: Path, scanner: Scanner, holder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x")
    monkeypatch.setattr(locks, "_table", dict)
    models = scanner.scan()
    assert with_detail(models, scanner, probe=False).repos[0].partials[0].live is None
    assert with_detail(models, scanner).repos[0].partials[0].live is False
    process = holder(made.lock(ETAG))  # type: ignore[operator]
    found = with_detail(models, scanner).repos[0].partials[0]
    assert (found.live, found.pid) == (True, None)
    process.kill()


def test_a_lock_that_only_its_owner_may_open_is_found_in_the_table(
    cache: Path, scanner: Scanner, holder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x")

    def refused(name: str, at: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(locks, "open_quietly", refused)
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (None, None)
    process = holder(made.lock(ETAG))  # type: ignore[operator]
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (True, process.pid)


def test_a_lock_that_is_taken_while_one_looks_has_its_holder(
    cache: Path, scanner: Scanner, holder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x")
    look_up, times = locks._table, []

    def late() -> dict[tuple[int, int, int], int]:
        times.append(1)
        return look_up() if len(times) > 1 else {}

    process = holder(made.lock(ETAG))  # type: ignore[operator]
    monkeypatch.setattr(locks, "_table", late)
    assert (partial_of(scanner).live, partial_of(scanner).pid) == (True, process.pid)


LEAVER = """
import fcntl, os, sys, time
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
if child := os.fork():
    print(child, flush=True)
    os._exit(0)
os.close(1)
time.sleep(60)
"""


def test_a_lock_left_to_a_child_is_held_by_nobody_who_could_be_named(cache: Path, scanner: Scanner) -> None:
    """As when a trainer is killed whose data loaders were forked during the download."""
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x")
    done = subprocess.run([sys.executable, "-c", LEAVER, str(made.lock(ETAG))], stdout=subprocess.PIPE, check=True)
    try:
        assert (partial_of(scanner).live, partial_of(scanner).pid) == (True, None)
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def test_what_was_finished_since_the_scan_is_not_called_dead(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    partial, other = made.partial(ETAG, b"x" * 5000), made.partial("d" * 64, b"y")
    models = scanner.scan()
    partial.rename(partial.with_name(ETAG))
    assert [(one.blob, one.live) for one in with_detail(models, scanner).repos[0].partials] == [(other.name, False)]


def test_a_repo_is_downloading_while_a_lock_is_held_and_between_two_files(
    cache: Path, scanner: Scanner, holder: object
) -> None:
    made = hubcache.healthy(cache)
    assert look(scanner).repos[0].downloading is False, "nothing is missing"
    made.tree({"config.json": (20, "0" * 40), "more.bin": (9, ETAG)})
    assert look(scanner).repos[0].downloading is True, "the newest file came this moment"
    cut_off = made.partial("d" * 64, b"x")
    assert look(scanner).repos[0].downloading is False, "what came after that was cut off"
    os.utime(cut_off, (0, 0))
    assert look(scanner).repos[0].downloading is True, "that was another download"
    hubcache.settle(cache)
    assert look(scanner).repos[0].downloading is False
    made.partial(ETAG, b"x")
    assert look(scanner).repos[0].downloading is False
    holder(made.lock(ETAG))  # type: ignore[operator]
    assert look(scanner).repos[0].downloading is True


def test_without_a_lock_file_nobody_downloads_and_a_link_tells_nothing(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.partial(ETAG, b"x")
    made.lock(ETAG).unlink()
    assert partial_of(scanner).live is False
    made.lock(ETAG).symlink_to("/etc/passwd")
    assert partial_of(scanner).live is None


def test_of_the_lists_of_a_repo_only_those_are_read_that_name_what_is_downloaded(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 100,000 files takes a second."""
    made = hubcache.repo(cache)
    for number in range(5):
        path = made.tree({f"{number}.bin": (9, f"{number}" * 64)}, commit=f"{number}" * 40)
        os.utime(path, (number, number))
    made.tree({"new.bin": (5, ETAG), "0.bin": (9, "0" * 64)}, commit="f" * 40)
    read, parse = list[bytes](), tree.parse

    def counted(raw: bytes, etags: bool = False) -> tree.Tree | None:
        read.append(raw)
        return parse(raw, etags)

    monkeypatch.setattr(tree, "parse", counted)
    made.partial(ETAG, b"x")
    for _ in range(2):
        assert [(one.file, one.expected) for one in look(scanner).repos[0].partials] == [("new.bin", 5)]
        assert len(read) == 1
    made.partial("3" * 64, b"x")
    made.partial("0" * 64, b"x")
    made.partial("9" * 64, b"x")
    for _ in range(2):
        found = [(one.file, one.expected) for one in look(scanner).repos[0].partials]
        assert found == [("0.bin", 9), ("3.bin", 9), (None, None), ("new.bin", 5)]
        assert len(read) == 2


def test_a_list_of_very_many_files_is_read_in_parts_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        f'data/{n} "{n}\\ {{{n}}},.bin': {"size": n, "blob_id": "0" * 40, "lfs_sha256": f"{n:064x}", "lfs_size": n}
        for n in range(300)
    }
    for name in ('odd {"a": 1}', "}", "ü\n"):
        files[name] = {"size": 7, "blob_id": "1" * 40, "xet_hash": "x"}
    whole = json.dumps({"format_version": 1, "files": files}, indent=1).encode()
    monkeypatch.setattr(members, "PART", 700)
    once = tree.parse(whole, etags=True)
    swapped = json.dumps({"files": files, "format_version": 1}).encode()
    assert once is not None and (found := tree.parse(swapped)) is not None and found.sizes == once.sizes
    monkeypatch.setattr(tree, "_LARGE", 0)
    parts = tree.parse(whole, etags=True)
    assert parts is not None
    assert (once.sizes, once.etags, len(parts.sizes)) == (parts.sizes, parts.etags, 303)
    for broken in (
        swapped,  # a large one only as huggingface_hub writes it
        whole[:-30],
        whole[: len(whole) // 2],
        whole + b"x",
        b"",
        whole.replace(b'"size": 5,', b'"size": {},'),
    ):
        assert tree.parse(broken) is None
    nothing = tree.parse(b'{"format_version": 1, "files": {}}')
    assert nothing is not None and nothing.sizes == {}
