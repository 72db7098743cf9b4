"""The live picture of a cache in which a whole look takes long: downloads and changes are seen in between."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub.records import Models, Repo
from cachetop.hub.roots import Roots
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Verifier
from cachetop.inventory import hub_feed
from cachetop.inventory.hub_feed import HubFeed
from cachetop.inventory.updates import ModelsChanged, Update
from support import hubcache

ETAG = "e" * 64


@pytest.fixture
def seen() -> list[Models]:
    return []


@pytest.fixture
def feed(cache: Path, seen: list[Models], monkeypatch: pytest.MonkeyPatch) -> HubFeed:
    """A feed whose next whole look is never due."""

    def publish(update: Update) -> None:
        assert isinstance(update, ModelsChanged)
        seen.append(update.models)

    monkeypatch.setattr(hub_feed, "_SHARE", 1e9)
    return HubFeed(publish, Roots([locations.hub()]), interval=0.25)


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
        assert feed.look() == 0.25, "soon again: something is downloaded"
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
    assert feed.look() > 1000, "there is nothing to follow any more"


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
