"""What the scan says of a cache: sizes on disk, what deleting frees, ownership of inodes, what is rescanned."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cachetop.hub.detail import with_detail
from cachetop.hub.scan import Scanner, scan
from cachetop.locations import Location
from cachetop_tui.panes.models_data import Totals
from support import hubcache


def disk(*paths: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in paths)


def test_reclaimable_counts_what_only_this_revision_names(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    common = made.file("model.bin", b"w" * 30_000)
    first = made.file("config.json", b"1" * 5000)
    second = made.file("config.json", b"2" * 9000, commit=hubcache.OTHER)
    made.link("model.bin", f"../../blobs/{common.name}", commit=hubcache.OTHER)
    made.ref()
    (repo,) = scanner.scan().repos
    one, two = repo.revisions
    assert (one.reclaimable, two.reclaimable) == (disk(first), disk(second))
    assert one.size_on_disk == disk(common, first)
    assert repo.size_on_disk == repo.reclaimable == disk(common, first, second)
    assert (one.refs, one.detached, two.refs, two.detached) == (("main",), False, (), True)


def test_a_repo_gives_back_its_partials_and_orphans_too(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    before = scanner.scan().repos[0]
    partial = made.partial("e" * 64, b"x" * 70_000)
    orphan = made.blob(b"nobody names me" * 1000)
    after = scanner.scan().repos[0]
    assert after.size == before.size
    assert after.reclaimable - before.reclaimable == disk(partial, orphan)
    assert [problem.rule for problem in after.problems] == ["orphan-blob"]


def test_what_two_repos_share_frees_nothing_until_one_is_gone(cache: Path, scanner: Scanner) -> None:
    payload = None
    for name in ("org/one", "org/two"):
        made = hubcache.repo(cache, name)
        payload = made.stored("model.safetensors", b"w" * 200_000)
        made.ref()
    assert payload is not None
    models = scanner.scan()
    assert [repo.reclaimable for repo in models.repos] == [0, 0]
    assert [repo.size for repo in models.repos] == [200_000, 200_000]
    assert (models.size, models.size_on_disk) == (200_000, disk(payload))
    for path in (made.path / "snapshots" / hubcache.COMMIT / "model.safetensors", *(made.path / "blobs").iterdir()):
        path.unlink()
    one, two = scanner.scan().repos
    assert (one.reclaimable, one.revisions[0].reclaimable) == (disk(payload), disk(payload))
    assert (two.size, two.reclaimable) == (0, 0)


def test_what_repos_share_counts_once_in_every_sum(cache: Path, world: Path, scanner: Scanner) -> None:
    for name, kind in (("org/one", "model"), ("org/two", "model"), ("org/data", "dataset")):
        made = hubcache.repo(cache, name, kind)
        made.stored("shared.bin", b"w" * 200_000)
        own = made.file("own.bin", name.encode() * 1000)
        made.ref()
    models = with_detail(scanner.scan(), scanner)
    sizes = {repo.id: repo.size for repo in models.repos}
    assert sizes == {"org/one": 207_000, "org/two": 207_000, "org/data": 208_000}
    assert models.size == 222_000 and models.size_by_type == {"model": 214_000, "dataset": 208_000}
    assert all(repo.revisions[0].files[1].resident == 200_000 for repo in models.repos)
    assert models.resident == 222_000
    some = msgspec.structs.replace(models, repos=models.repos[:1])
    assert with_detail(some, scanner).resident is None, "the others were not looked at"
    summary = Totals().summary(models)
    assert (summary.size, summary.warm) == (222_000, 222_000)
    assert [(kind, size) for kind, size, _ in summary.kinds] == [("dataset", 208_000), ("model", 214_000)]
    os.link(own, world / "link")
    assert scan([Location("hub", str(cache), "test")]).size_by_type == models.size_by_type


def test_a_hard_link_outside_keeps_the_blocks(cache: Path, world: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("model.bin", b"w" * 40_000)
    made.ref()
    os.link(blob, world / "kept")
    (repo,) = scanner.scan().repos
    assert (repo.size_on_disk, repo.reclaimable, repo.revisions[0].reclaimable) == (disk(blob), 0, 0)


def test_hard_links_inside_one_repo_count_once(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("one.bin", b"w" * 40_000)
    os.link(blob, blob.with_name("f" * 64))
    made.link("two.bin", f"../../blobs/{'f' * 64}")
    made.ref()
    (repo,) = scanner.scan().repos
    assert (repo.size, repo.reclaimable, repo.revisions[0].reclaimable) == (40_000, disk(blob), disk(blob))


def test_a_link_made_elsewhere_later_keeps_the_blocks(cache: Path, world: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("one.bin", b"w" * 40_000)
    os.link(blob, blob.with_name("f" * 64))
    made.link("two.bin", f"../../blobs/{'f' * 64}")
    made.ref()
    assert scanner.scan().repos[0].reclaimable == disk(blob)
    os.link(blob, world / "kept")
    made.ref()  # the same again: the repo is read anew, and alone it looks as before
    (repo,) = scanner.scan().repos
    assert (repo.size, repo.reclaimable, repo.revisions[0].reclaimable) == (40_000, 0, 0)


def test_blocks_of_a_partial_count_whose_bytes_stay_the_same(
    cache: Path, scanner: Scanner, settle: Callable[[], None]
) -> None:
    made = hubcache.healthy(cache)
    partial = made.partial("e" * 64, b"x" * 1000)
    settle()
    before = scanner.scan().repos[0]
    was = disk(partial)
    subprocess.run(["fallocate", "--keep-size", "--length", "1M", partial], check=True)
    assert disk(partial) > was
    after = scanner.scan().repos[0]
    assert after.partials == before.partials
    assert after.reclaimable - before.reclaimable == disk(partial) - was


def test_a_sparse_partial_counts_what_is_there(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    partial = made.partial("e" * 64, b"")
    with partial.open("r+b") as stream:
        stream.truncate(1 << 30)
        stream.seek(1 << 29)
        stream.write(b"x" * 4096)
    (found,) = scanner.scan().repos[0].partials
    assert found.bytes == disk(partial) < 1 << 20


@pytest.mark.parametrize("settled", [False, True], ids=["just written", "long settled"])
def test_nothing_changed_is_the_same_object(
    cache: Path, scanner: Scanner, settle: Callable[[], None], settled: bool
) -> None:
    for number in range(3):
        hubcache.healthy(cache, f"org/model-{number}")
    if settled:
        settle()
    models = scanner.scan()
    assert scanner.scan() is models


def change_new_file(made: hubcache.RepoFolder) -> None:
    made.file("new.txt", b"new")


def change_nested_file(made: hubcache.RepoFolder) -> None:
    made.link("onnx/config.json", f"../../../blobs/{next((made.path / 'blobs').iterdir()).name}")


def change_ref(made: hubcache.RepoFolder) -> None:
    made.ref("main", hubcache.OTHER)


def change_new_ref(made: hubcache.RepoFolder) -> None:
    made.ref("refs/pr/7")


def change_revision(made: hubcache.RepoFolder) -> None:
    (made.path / "snapshots" / hubcache.OTHER).mkdir()


def change_partial(made: hubcache.RepoFolder) -> None:
    made.partial("e" * 64, b"x")


def change_other_folder(made: hubcache.RepoFolder) -> None:
    """A copy with the same times takes the place of the revisions."""
    old = made.path / "snapshots"
    status = old.stat()
    shutil.copytree(old, made.path / "copy", symlinks=True)
    (made.path / "copy" / hubcache.OTHER).mkdir()
    shutil.rmtree(old)
    (made.path / "copy").rename(old)
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_lost_blob(made: hubcache.RepoFolder) -> None:
    next((made.path / "blobs").iterdir()).unlink()


@pytest.mark.parametrize(
    "change",
    [
        change_new_file,
        change_nested_file,
        change_ref,
        change_new_ref,
        change_revision,
        change_partial,
        change_other_folder,
        change_lost_blob,
    ],
)
def test_a_change_is_seen_and_leaves_the_others_alone(
    cache: Path, scanner: Scanner, settle: Callable[[], None], change: object
) -> None:
    changing = hubcache.healthy(cache, "org/changing")
    hubcache.healthy(cache, "org/quiet")
    settle()
    before = scanner.scan()
    change(changing)  # type: ignore[operator]
    after = scanner.scan()
    assert after.repos[0] != before.repos[0]
    assert after.repos[1] is before.repos[1]
    assert after.repos == scan([Location("hub", str(cache), "test")]).repos


def test_a_growing_partial_is_seen_without_a_moved_folder(
    cache: Path, scanner: Scanner, settle: Callable[[], None]
) -> None:
    made = hubcache.healthy(cache)
    partial = made.partial("e" * 64, b"x" * 1000)
    settle()
    before = scanner.scan().repos[0]
    with partial.open("ab") as stream:
        stream.write(b"x" * 50_000)
    after = scanner.scan().repos[0]
    assert (before.partials[0].bytes, after.partials[0].bytes) == (1000, 51_000)
    assert after.reclaimable > before.reclaimable
    assert after.revisions is before.revisions
    for more in (b"y", b"z"):
        with partial.open("ab") as stream:
            stream.write(more)
        assert scanner.scan().repos[0].problems == before.problems
    assert scanner.scan() is scanner.scan()


def test_repos_and_roots_come_and_go(cache: Path, world: Path) -> None:
    away = world / "later"
    scanner = Scanner([Location("hub", str(cache), "first"), Location("hub", str(away), "second")])
    first = scanner.scan()
    assert [(root.exists, root.problem) for root in first.roots] == [(True, None), (False, None)]
    hubcache.healthy(cache, "org/one")
    hubcache.healthy(away, "org/one")
    second = scanner.scan()
    assert [(repo.root, repo.id) for repo in second.repos] == [(str(cache), "org/one"), (str(away), "org/one")]
    assert second.size == sum(repo.size for repo in second.repos)
    cache.rename(world / "moved")
    assert [repo.root for repo in scanner.scan().repos] == [str(away)]


def test_one_folder_by_two_names_is_listed_once(cache: Path, world: Path) -> None:
    hubcache.healthy(cache)
    (world / "alias").symlink_to(cache)
    models = scan([Location("hub", str(cache), "one"), Location("hub", str(world / "alias"), "two")])
    assert len(models.repos) == 1
    assert [root.exists for root in models.roots] == [True, True]


def test_inodes_name_repo_revision_file_and_path(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    weights = made.path / "snapshots" / hubcache.COMMIT / "onnx" / "model.onnx"
    real = made.real("own.bin", b"real")
    partial = made.partial("e" * 64, b"x")
    other = hubcache.repo(cache, "org/stored")
    payload = other.stored("deep/model.bin", b"w" * 9000)
    orphan = other.blob(b"orphan")
    scanner.scan()
    inodes = scanner.inodes()

    def owner(path: Path) -> tuple[str, str | None, str | None, int, str]:
        status = path.stat()
        (found,) = inodes[status.st_dev, status.st_ino]
        assert found.type == "model"
        return found.repo, found.revision, found.file, found.size, found.path

    commit = hubcache.COMMIT
    assert owner(weights) == ("org/model", commit, "onnx/model.onnx", weights.stat().st_size, str(weights.resolve()))
    assert owner(real) == ("org/model", commit, "own.bin", 4, str(real))
    assert owner(partial) == ("org/model", None, None, 1, str(partial))
    assert owner(payload) == ("org/stored", commit, "deep/model.bin", 9000, str(payload))
    assert owner(orphan) == ("org/stored", None, None, 6, str(orphan))
    assert len(inodes) == 6


def test_an_inode_of_two_repos_has_the_owners_of_both(cache: Path, scanner: Scanner) -> None:
    one, other = hubcache.repo(cache, "org/one"), hubcache.repo(cache, "org/other")
    blob = one.file("model.bin", b"w" * 5000)
    (other.path / "blobs").mkdir()
    (other.path / "blobs" / blob.name).hardlink_to(blob)
    other.file("model.bin", b"w" * 5000)
    scanner.scan()
    inodes = scanner.inodes()
    status = blob.stat()
    assert {owner.repo for owner in inodes[status.st_dev, status.st_ino]} == {"org/one", "org/other"}
    assert sorted(inodes.owners()) == sorted(owner for found in inodes.values() for owner in found)
    assert (status.st_dev + 1, status.st_ino) not in inodes and (status.st_dev, 0) not in inodes
    assert len(inodes) == len(set(inodes)) == 1


def test_paths_of_a_repo_and_of_its_content(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    (repo,) = scanner.scan().repos
    assert scanner.path(repo) == str(made.path)
    paths = {owner.file: owner.path for owner in scanner.inodes().owners()}
    assert paths.keys() == {"config.json", "onnx/model.onnx"}
    assert all(Path(path).parent == made.path / "blobs" for path in paths.values())


def test_inodes_follow_a_blob_that_was_replaced_by_its_like(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("model.bin", b"w" * 5000)
    os.utime(blob, (1_700_000_000, 1_700_000_000))
    models = scanner.scan()
    scanner.inodes()
    other = made.cache / "other"
    other.write_bytes(b"v" * 5000)
    os.utime(other, (1_700_000_000, 1_700_000_000))
    other.rename(blob)
    assert scanner.scan() is models
    status = blob.stat()
    assert (status.st_dev, status.st_ino) in scanner.inodes()


def test_the_last_use_is_a_read_and_not_the_download(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    assert scanner.scan().repos[0].last_used is None
    blob = next((made.path / "blobs").iterdir())
    os.utime(blob, (2_000_000_000, 1_700_000_000))
    assert scan([Location("hub", str(cache), "test")]).repos[0].last_used == 2_000_000_000
    # no folder moved, so the scanner keeps its record; the second pass looks at the files
    detailed = with_detail(scanner.scan(), scanner)
    assert detailed.repos[0].last_used == 2_000_000_000


def test_without_access_times_the_last_use_is_unknown(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.healthy(cache)
    os.utime(next((made.path / "blobs").iterdir()), (2_000_000_000, 1_700_000_000))
    truth = os.fstatvfs

    class Frozen:
        def __init__(self, descriptor: int) -> None:
            self.f_flag = truth(descriptor).f_flag | os.ST_NOATIME

    monkeypatch.setattr(os, "fstatvfs", Frozen)
    models = scanner.scan()
    assert models.repos[0].last_used is None
    assert with_detail(models, scanner).repos[0].last_used is None


def test_one_repo_alone_is_read_as_among_all_of_them(cache: Path, scanner: Scanner) -> None:
    for name, kind in (("org/model", "model"), ("org/model", "dataset"), ("org/other", "model")):
        hubcache.healthy(cache, name, kind)
    every = {(repo.type, repo.id): repo for repo in scanner.scan().repos}
    assert len(every) == 3
    roots = [Location("hub", str(cache), "the test says so")]
    (alone,) = Scanner(roots, only=("model", "org/model")).scan().repos
    assert alone == every["model", "org/model"]
    assert Scanner(roots, only=("model", "org/none")).scan().repos == ()
