"""The live picture of a cache in which a whole look takes long: downloads and changes are seen in between."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachetop import locations
from cachetop.base.residency import resident_fd
from cachetop.hub import scan, warm
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models, Repo
from cachetop.hub.roots import Roots
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Verifier
from cachetop.inventory import hub_feed
from cachetop.inventory.hub_feed import HubFeed
from cachetop.inventory.updates import ModelsChanged, Update
from support import hubcache

ETAG = "e" * 64
SOON = 600.0
"""Seconds between two looks: nothing is due before a test asks."""


@pytest.fixture
def seen() -> list[Models]:
    return []


@pytest.fixture
def feed(cache: Path, seen: list[Models], monkeypatch: pytest.MonkeyPatch) -> HubFeed:
    """A feed whose next whole look is never due, nor a quick one."""

    def publish(update: Update) -> None:
        assert isinstance(update, ModelsChanged)
        seen.append(update.models)

    monkeypatch.setattr(hub_feed, "_WHOLE", 1e9)
    monkeypatch.setattr(hub_feed, "_QUICK", 1e9)
    return HubFeed(publish, Roots([locations.hub()]), interval=SOON)


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def named(models: Models, name: str) -> Repo:
    return next(repo for repo in models.repos if repo.id == name)


def test_a_download_is_followed_between_two_whole_looks(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None]
) -> None:
    hubcache.healthy(cache, "org/quiet")
    made = hubcache.repo(cache, "org/coming")
    made.tree({"big.bin": (1 << 20, ETAG)})
    partial = made.partial(ETAG, b"x" * 1000)
    settle()
    lock = os.open(made.lock(ETAG), os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert feed.look() <= SOON, "soon again: something is downloaded"
        first = seen[-1]
        assert first.resident == named(first, "org/quiet").size
        for size in (5000, 9000):
            partial.write_bytes(b"x" * size)
            feed.look()
            (now,) = named(seen[-1], "org/coming").partials
            assert (now.bytes, now.expected, now.live, now.pid) == (size, 1 << 20, True, os.getpid())
            assert named(seen[-1], "org/quiet") is named(first, "org/quiet")
            assert seen[-1].resident == first.resident
    finally:
        os.close(lock)
    feed.look()
    assert named(seen[-1], "org/coming").partials[0].live is False
    assert feed.look() <= SOON, "the next one is to be seen as soon"


def test_a_download_that_begins_in_a_repo_that_is_there_is_seen_at_once(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None]
) -> None:
    made = hubcache.healthy(cache)
    hubcache.healthy(cache, "org/quiet")
    settle()
    feed.look()
    feed.look()
    published = len(seen)
    assert 0 < feed.look() <= SOON and len(seen) == published, "nothing is downloaded, and nothing is new"
    made.tree({"big.bin": (1 << 20, ETAG)}, commit=hubcache.OTHER)
    partial = made.partial(ETAG, b"x" * 1000)
    feed.look()
    (now,) = named(seen[-1], "org/model").partials
    assert (now.file, now.bytes, now.expected, now.live) == ("big.bin", 1000, 1 << 20, False)
    partial.unlink()
    feed.look()
    assert named(seen[-1], "org/model").partials == ()


def test_a_look_at_downloads_costs_one_stat_call_a_repo(
    cache: Path, scanner: Scanner, settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        made = hubcache.healthy(cache, f"org/{number}")
        made.file("old.bin", b"old", commit=hubcache.OTHER)
        made.ref("old", hubcache.OTHER)
    settle()
    found, calls, look = scanner.scan(), [], os.lstat

    def counted(*args: Any, **more: Any) -> os.stat_result:
        calls.append(args)
        return look(*args, **more)

    monkeypatch.setattr(os, "lstat", counted)
    assert scanner.scan(near=True) is found
    assert len(calls) < 30 + 5
    assert scanner.scan() is found
    assert len(calls) > 200


def test_in_a_repo_of_very_many_files_downloads_are_seen_long_before_the_rest(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_LARGE", 2)
    made = hubcache.healthy(cache, "org/data", "dataset")
    made.tree({"big.bin": (1 << 20, ETAG)}, commit=hubcache.OTHER)
    settle()
    feed.look()
    monkeypatch.setattr(hub_feed, "_LIVE", 1e9)
    feed.look()
    before = named(seen[-1], "org/data")
    partial = made.partial(ETAG, b"x" * 1000)
    for size in (1000, 5000, 9000):
        partial.write_bytes(b"x" * size)
        assert feed.look() <= SOON
        repo = named(seen[-1], "org/data")
        assert [(one.file, one.bytes, one.expected) for one in repo.partials] == [("big.bin", size, 1 << 20)]
        assert repo.revisions is before.revisions, "the files were not looked at again"
        assert repo.reclaimable == before.reclaimable + allocated(partial)
    second = made.partial("f" * 64, b"y" * 300)
    partial.rename(partial.with_name(ETAG))
    made.link("big.bin", f"../../blobs/{ETAG}", commit=hubcache.OTHER)
    feed.look()
    repo = named(seen[-1], "org/data")
    assert [(one.file, one.bytes) for one in repo.partials] == [(None, 300)]
    assert (repo.revisions, repo.reclaimable) == (before.revisions, before.reclaimable + allocated(second))
    assert {owner.path for owner in feed.inodes[identity(second)]} == {str(second)}
    feed.refresh()
    feed.look()
    assert [one.commit[0] for one in named(seen[-1], "org/data").revisions] == ["a", "b"]


def test_the_rest_of_such_a_repo_is_read_when_there_was_time_for_it(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_LARGE", 2)
    monkeypatch.setattr(hub_feed, "_LIVE", 0.0)
    made = hubcache.healthy(cache)
    settle()
    feed.look()
    feed.look()
    made.file("more.bin", b"more", commit=hubcache.OTHER)
    assert feed.look() == 0.0, "something was left out"
    assert len(named(seen[-1], "org/model").revisions) == 1
    feed.look()
    assert len(named(seen[-1], "org/model").revisions) == 2
    assert feed.look() > 0


def test_a_download_into_such_a_repo_is_seen_before_a_long_look(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_LARGE", 2)
    made = hubcache.healthy(cache)
    settle()
    feed.look()
    made.file("more.bin", b"more", commit=hubcache.OTHER)
    made.partial(ETAG, b"x" * 1000)
    feed.refresh()
    before = len(seen)
    feed.look()
    steps = [(len(repo.partials), len(repo.revisions)) for repo in (models.repos[0] for models in seen[before:])]
    assert steps == [(1, 1), (1, 2)]


def test_once_nothing_comes_into_such_a_repo_any_more_the_rest_is_read_soon(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_LARGE", 2)
    monkeypatch.setattr(hub_feed, "_LIVE", 1e9)
    monkeypatch.setattr(hub_feed, "_OVER", 0)
    made = hubcache.healthy(cache)
    settle()
    feed.look()
    feed.look()
    made.file("more.bin", b"more", commit=hubcache.OTHER)
    assert feed.look() > 1, "more may come"
    monkeypatch.setattr(scan, "_QUIET", 0.0)
    assert feed.look() == 0.0
    feed.look()
    assert len(named(seen[-1], "org/model").revisions) == 2


@pytest.mark.parametrize("large", [2, 2000])
def test_near_looks_in_between_change_nothing_of_what_a_scan_finds(
    cache: Path, settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    """Whatever happens to a cache, and however often downloads were looked at before."""
    monkeypatch.setattr(scan, "_LARGE", large)
    one, other = hubcache.healthy(cache, "org/one"), hubcache.healthy(cache, "org/other", "dataset")
    one.stored("shared.bin", b"s" * 4000)
    other.stored("shared.bin", b"s" * 4000)
    bare = hubcache.repo(cache, "org/bare")
    bare.ref()
    steps: list[Callable[[], object]] = [
        lambda: one.partial(ETAG, b"x" * 10_000),
        lambda: bare.partial(ETAG, b"x" * 10_000),
        lambda: os.link(one.path / "blobs" / f"{ETAG}.0123abcd.incomplete", other.path / "blobs" / "d.0.incomplete"),
        lambda: (other.path / "blobs" / "d.0.incomplete").unlink(),
        lambda: one.stored("later.bin", b"l" * 9000),
        lambda: other.stored("later.bin", b"l" * 9000),
        lambda: (one.path / "blobs" / f"{ETAG}.0123abcd.incomplete").rename(one.path / "blobs" / ETAG),
        lambda: one.link("big.bin", f"../../blobs/{ETAG}", commit=hubcache.OTHER),
        lambda: one.ref("main", hubcache.OTHER),
        lambda: shutil.rmtree(other.path / "blobs"),
        lambda: shutil.rmtree(bare.path),
        lambda: one.path.rename(cache / "models--org--renamed"),
    ]
    settle()
    scanner = Scanner([locations.hub()])
    with_detail(scanner.scan(), scanner)
    for step in steps:
        time.sleep(0.002)
        step()
        for _ in range(2):
            near = scanner.scan(near=True)
            with_detail(near, scanner, quick=True)
        fresh = Scanner([locations.hub()])
        found, expected = scanner.scan(), fresh.scan()
        assert found == expected
        assert with_detail(found, scanner, quick=True).repos == with_detail(expected, fresh).repos
        assert set(scanner.inodes()) == set(fresh.inodes())


def test_what_changed_is_seen_whole_between_two_whole_looks(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None]
) -> None:
    made, other = hubcache.healthy(cache, "org/one"), hubcache.healthy(cache, "org/other")
    settle()
    feed.look()
    made.file("more.bin", b"m" * 3000)
    made.tree({"more.bin": (3000, "1" * 64), "lost.bin": (9, "2" * 40)})
    feed.look()
    (revision,) = named(seen[-1], "org/one").revisions
    assert (revision.complete, revision.missing) == (False, ("lost.bin",))
    assert all(file.resident == file.size for file in revision.files)
    blob = (other.path / "snapshots" / hubcache.COMMIT / "onnx" / "model.onnx").resolve()
    status, content = blob.stat(), bytearray(blob.read_bytes())
    content[100] ^= 1
    blob.write_bytes(content)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    scanner = Scanner([locations.hub()])
    Verifier(scanner, locations.state_dir()).run(scanner.scan().repos)
    feed.look()
    assert [problem.rule for problem in named(seen[-1], "org/other").problems] == ["corrupt"]


def test_of_files_that_were_there_it_is_not_asked_again_what_is_in_ram(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.healthy(cache)
    settle()
    feed.look()
    before, asked, ask = seen[-1].repos[0], list[int](), resident_fd

    def counted(descriptor: int) -> int | None:
        asked.append(os.fstat(descriptor).st_size)
        return ask(descriptor)

    monkeypatch.setattr(warm, "resident_fd", counted)
    made.file("more.bin", b"m" * 3000, commit=hubcache.OTHER)
    feed.look()
    old, new = seen[-1].repos[0].revisions
    assert old.files == before.revisions[0].files and new.files[0].resident == 3000
    assert asked == [3000]
    feed.refresh()
    feed.look()
    assert sorted(asked) == sorted([3000, 3000, *(file.size for file in old.files)])


def test_somebody_who_asks_gets_a_whole_look(
    cache: Path, feed: HubFeed, seen: list[Models], settle: Callable[[], None]
) -> None:
    made = hubcache.healthy(cache)
    settle()
    feed.look()
    (made.path / "trees" / f"{hubcache.COMMIT}.json").unlink()  # no time that a scan looks at tells of it
    feed.look()
    assert seen[-1].repos[0].revisions[0].complete is True
    feed.refresh()
    feed.look()
    assert seen[-1].repos[0].revisions[0].complete is None
