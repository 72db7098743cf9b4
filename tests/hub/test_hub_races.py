"""What happens to a cache in the middle of a look: at each call to the system in turn, and by a hammering process."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub.about import describe
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models, Repo
from cachetop.hub.scan import Scanner
from support import hubcache

CALLS = ("open", "listdir", "scandir", "lstat", "stat", "fstat", "readlink", "read")
"""The calls of a look between which anything may happen."""
Act = Callable[[], object]


@contextmanager
def at_call(number: int, act: Act) -> Iterator[list[int]]:
    """Do something before call `number` to the system; yields a list that holds how many there were."""
    count, real = [0], {name: getattr(os, name) for name in CALLS}

    def through(name: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            count[0] += 1
            if count[0] == number:
                count[0] += 1_000_000  # what is done meanwhile does not count
                act()
                count[0] -= 1_000_000
            return real[name](*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, through(name))
        yield count


def each_moment(build: Callable[[], Act], look: Callable[[], Models]) -> Iterator[Models]:
    """What `look` says if `build`'s act happens before its first call to the system, its second, and so on."""
    number, calls = 0, 1
    while number < calls:
        number += 1
        act = build()
        with at_call(number, act) as count:
            found = look()
        calls = count[0]
        found.to_json()
        yield found


def look_once() -> Models:
    scanner = Scanner([locations.hub()])
    return with_detail(scanner.scan(), scanner)


@pytest.fixture
def fresh(cache: Path) -> Callable[[], hubcache.RepoFolder]:
    def build() -> hubcache.RepoFolder:
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        hubcache.healthy(cache, "org/other")
        return hubcache.healthy(cache)

    return build


def removing(fresh: Callable[[], hubcache.RepoFolder], whole: bool = False) -> Callable[[], Act]:
    """Builds a cache; the act takes away the repo, or the cache."""

    def build() -> Act:
        made = fresh()
        return partial(shutil.rmtree, made.cache if whole else made.path)

    return build


def named(models: Models, name: str = "org/model") -> Repo | None:
    return next((repo for repo in models.repos if repo.id == name), None)


def mended(repo: Repo) -> bool:
    """Whether each of its problems has a sentence and a command."""
    return all(problem.message.endswith(".") and problem.fix for problem in repo.problems)


def untouched(models: Models) -> bool:
    other = named(models, "org/other")
    return other is not None and other.problems == () and len(other.revisions[0].files) == 2


def test_a_repo_is_removed(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    for found in each_moment(removing(fresh), look_once):
        repo = named(found)
        assert untouched(found)
        assert repo is None or mended(repo)
        assert repo is None or repo.problems or len(repo.revisions[0].files) == 2
    removing(fresh)()()
    assert named(look_once()) is None


def test_a_repo_is_moved_away_whole(fresh: Callable[[], hubcache.RepoFolder], world: Path) -> None:
    """As pruning does it: nothing of it is ever seen half."""

    def build() -> Act:
        made = fresh()
        shutil.rmtree(world / "trash", ignore_errors=True)
        return lambda: made.path.rename(world / "trash")

    for found in each_moment(build, look_once):
        repo = named(found)
        assert untouched(found)
        assert repo is None or (repo.problems == () and len(repo.revisions[0].files) == 2)


def test_a_file_takes_the_place_of_a_repo(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    """Whatever a look in the middle of it said, the next one sees the file."""
    scanners: list[Scanner] = []

    def build() -> Act:
        made = fresh()
        scanners.append(Scanner([locations.hub()]))

        def replace() -> None:
            shutil.rmtree(made.path)
            made.path.write_text("x")

        return replace

    def look() -> Models:
        return with_detail(scanners[-1].scan(), scanners[-1])

    for found in each_moment(build, look):
        assert untouched(found)
        repo = named(look())
        assert repo is not None and ([one.rule for one in repo.problems] == ["not-a-folder"] or repo.revisions)


def test_a_repo_appears_whole(fresh: Callable[[], hubcache.RepoFolder], world: Path) -> None:
    def build() -> Act:
        made = fresh()
        shutil.rmtree(world / "elsewhere", ignore_errors=True)
        made.path.rename(world / "elsewhere")
        return lambda: (world / "elsewhere").rename(made.path)

    for found in each_moment(build, look_once):
        repo = named(found)
        assert untouched(found)
        assert repo is None or (repo.problems == () and len(repo.revisions[0].files) == 2)


def test_a_download_finishes(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    """huggingface_hub renames the partial to its blob, then makes the link: never a problem, never two of them."""
    content = b"new" * 1000

    def build() -> Act:
        made = fresh()
        begun = made.partial(hubcache.etag_of(content), content)

        def finish() -> None:
            begun.rename(begun.with_name(hubcache.etag_of(content)))
            made.link("new.bin", f"../../blobs/{hubcache.etag_of(content)}")

        return finish

    for found in each_moment(build, look_once):
        repo = named(found)
        assert repo is not None and untouched(found)
        assert [one.rule for one in repo.problems if one.rule != "orphan-blob"] == []
        files = [one.name for one in repo.revisions[0].files]
        assert len(files) in (2, 3) and len(repo.partials) <= 1


def test_a_download_starts(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    def build() -> Act:
        made = fresh()
        shutil.rmtree(made.path)

        def start() -> None:
            again = hubcache.repo(made.cache)
            again.ref()
            again.partial(hubcache.etag_of(b"x"), b"x" * 100)

        return start

    for found in each_moment(build, look_once):
        repo = named(found)
        assert untouched(found)
        assert repo is None or ({one.rule for one in repo.problems} <= {"no-snapshots"} and mended(repo))


def test_a_newer_revision_takes_the_place_of_one(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    """Between the first and the second pass, too: the old one stays as it was seen, or says what is missing."""

    def build() -> Act:
        made = fresh()

        def turn() -> None:
            made.file("config.json", b"new", commit=hubcache.OTHER)
            made.ref(commit=hubcache.OTHER)
            shutil.rmtree(made.path / "snapshots" / hubcache.COMMIT)

        return turn

    for found in each_moment(build, look_once):
        repo = named(found)
        assert repo is not None and untouched(found) and mended(repo)
        assert {one.rule for one in repo.problems} <= {"orphan-blob", "missing-commit", "no-snapshots"}
    build()()
    repo = named(look_once())
    assert repo is not None and [one.commit for one in repo.revisions] == [hubcache.OTHER]


def test_a_blob_is_replaced(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    def build() -> Act:
        made = fresh()
        blob = (made.path / "snapshots" / hubcache.COMMIT / "config.json").resolve()
        blob.with_name("fresh").write_bytes(blob.read_bytes())
        return lambda: blob.with_name("fresh").rename(blob)

    for found in each_moment(build, look_once):
        repo = named(found)
        assert repo is not None and untouched(found)
        assert {one.rule for one in repo.problems} <= {"orphan-blob"}, "the name `fresh` alone is odd"
        assert len(repo.revisions[0].files) == 2 and repo.revisions[0].complete


def test_the_whole_cache_is_removed(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    for found in each_moment(removing(fresh, whole=True), look_once):
        assert all(mended(repo) for repo in found.repos)
    fresh()
    scanner = Scanner([locations.hub()])
    scanner.scan()
    shutil.rmtree(locations.hub().path)
    gone = scanner.scan()
    assert (gone.repos, gone.size, gone.roots[0].exists, gone.roots[0].problem) == ((), 0, False, None)
    fresh()
    assert len(scanner.scan().repos) == 2, "and comes back"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENXIO])
def test_a_disk_that_stops_answering_is_said_and_comes_back(
    fresh: Callable[[], hubcache.RepoFolder], number: int
) -> None:
    fresh()
    calls = 10_000
    healthy = look_once()
    for moment in range(1, 200):

        def fail() -> None:
            raise OSError(number, os.strerror(number))

        with at_call(moment, fail) as count:
            found = look_once()
        calls = count[0] % 1_000_000
        for repo in found.repos:
            assert mended(repo) and not any("chmod" in (one.fix or "") for one in repo.problems), repo.problems
        if not all(len(repo.revisions) == 1 and len(repo.revisions[0].files) == 2 for repo in found.repos):
            assert [one for repo in found.repos for one in repo.problems] or found.roots[0].problem
        if moment > calls:
            break
    assert look_once() == healthy


def test_a_repo_that_goes_while_it_is_described_says_so(fresh: Callable[[], hubcache.RepoFolder]) -> None:
    calls, moment = 1, 0
    while moment < calls:
        moment += 1
        made = fresh()
        scanner = Scanner([locations.hub()])
        repo = named(scanner.scan())
        assert repo is not None
        with at_call(moment, partial(shutil.rmtree, made.path)) as count:
            about = describe(repo, scanner)
        calls = count[0]
        about.to_json()
        assert about.id == "org/model"


HAMMER = """
import shutil, sys
from pathlib import Path
from support import hubcache
cache = Path(sys.argv[1])
while True:
    made = hubcache.healthy(cache, "org/flicker")
    made.file("extra.bin", b"x" * 999, commit=hubcache.OTHER)
    blob = (made.path / "snapshots" / hubcache.COMMIT / "config.json").resolve()
    blob.with_name("fresh").write_bytes(blob.read_bytes())
    blob.with_name("fresh").rename(blob)
    shutil.rmtree(made.path / "snapshots" / hubcache.OTHER)
    made.path.rename(cache / "gone")
    shutil.rmtree(cache / "gone")
"""


def test_a_live_scanner_beside_a_process_that_hammers_ends_right(cache: Path) -> None:
    hubcache.healthy(cache, "org/other")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    scanner = Scanner([locations.hub()])
    with subprocess.Popen([sys.executable, "-c", HAMMER, str(cache)], env=environment) as hammer:
        try:
            seen, rounds = set[bool](), 0
            end = time.monotonic() + 60
            while rounds < 200 or seen != {True, False}:
                found = with_detail(scanner.scan(), scanner)
                found.to_json()
                assert untouched(found)
                repo = named(found, "org/flicker")
                assert repo is None or mended(repo)
                seen.add(repo is not None)
                rounds += len(seen) == 2
                assert time.monotonic() < end and hammer.poll() is None
        finally:
            hammer.kill()
    shutil.rmtree(cache / "gone", ignore_errors=True)
    shutil.rmtree(cache / "models--org--flicker", ignore_errors=True)
    assert [repo.id for repo in scanner.scan().repos] == ["org/other"]
