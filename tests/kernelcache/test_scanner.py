"""Scanning again costs what changed, and unchanged entries stay the same objects."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner, scan
from cachetop.locations import Location
from support.triton_cache import backdate, key_of, synthetic, write_entry


def _key(text: str) -> str:
    return key_of(hashlib.sha256(text.encode()).digest())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return synthetic(tmp_path / "triton", 40)


def _scanner(*roots: Path, kind: str = "triton") -> Scanner:
    return Scanner([Location(kind, str(root), "the test says so") for root in roots])


def _by_key(kernels: Kernels) -> dict[str, Entry]:
    return {entry.key: entry for entry in kernels.entries}


def _kept(before: Kernels, after: Kernels) -> int:
    was = _by_key(before)
    return sum(was.get(entry.key) is entry for entry in after.entries)


def test_nothing_changed_gives_the_same_objects(root: Path) -> None:
    scanner = _scanner(root)
    first = scanner.scan()
    assert _kept(first, scanner.scan()) == len(first.entries) == 40
    detailed = with_detail(first, scanner, ["sm_90"])
    assert _kept(detailed, with_detail(scanner.scan(), scanner, ["sm_90"])) == 40


def test_additions_and_removals_change_only_themselves(root: Path) -> None:
    scanner = _scanner(root)
    first = scanner.scan()
    gone = next(iter(root.iterdir()))
    shutil.rmtree(gone)
    write_entry(root, _key("new"), "fresh", 90)
    second = scanner.scan()
    assert _kept(first, second) == 39
    assert set(_by_key(second)) - set(_by_key(first)) == {_key("new")}
    assert gone.name not in _by_key(second)
    assert _by_key(second) == _by_key(scan([Location("triton", str(root), "the test says so")]))


def test_an_entry_made_anew_under_its_name_is_noticed(root: Path) -> None:
    scanner = _scanner(root)
    key = next(iter(root.iterdir())).name
    scanner.scan()
    shutil.rmtree(root / key)
    write_entry(root, key, "another", 120)
    assert _by_key(scanner.scan())[key].name == "another"


def test_rescan_reads_only_the_named_entries(root: Path) -> None:
    scanner = _scanner(root)
    first = scanner.scan()
    one, other = sorted(path.name for path in root.iterdir())[:2]
    for key in (one, other):
        (root / key / "more.txt").write_bytes(b"x" * 9000)
    second = scanner.rescan("triton", [one, _key("never there"), "../../etc", "notes.txt"])
    assert _by_key(second)[one].files == 9
    assert _by_key(second)[other].files == 8
    assert _kept(first, second) == 39
    assert second.size_on_disk > first.size_on_disk
    with pytest.raises(KeyError):
        scanner.rescan("no-such-cache", [one])


def test_an_orphan_that_is_taken_up_again_is_noticed(root: Path) -> None:
    folder = root / _key("late")
    folder.mkdir()
    (folder / "k.ttir").write_text("module")
    backdate(folder, 700)
    scanner = _scanner(root)
    assert _by_key(scanner.scan())[folder.name].state == "orphan"
    (folder / "k.ptx").write_text(".target sm_86\n")
    entry = _by_key(scanner.scan())[folder.name]
    assert (entry.state, entry.stage, entry.sm) == ("compiling", "ptx", ("sm_86",))


def test_a_cache_that_comes_and_goes(tmp_path: Path) -> None:
    root = tmp_path / "later"
    scanner = _scanner(root)
    first = scanner.scan()
    assert (first.caches[0].exists, first.caches[0].problem, first.entries) == (False, None, ())
    synthetic(root, 3)
    second = scanner.scan()
    assert (second.caches[0].exists, len(second.entries)) == (True, 3)
    assert second.caches[0].filesystem
    shutil.rmtree(root)
    third = scanner.scan()
    assert (third.caches[0].exists, third.entries, third.size_on_disk) == (False, (), 0)


def test_ids_are_kinds_and_numbers(tmp_path: Path) -> None:
    roots = [synthetic(tmp_path / name, 1) for name in ("a", "b")]
    (tmp_path / "alias").symlink_to(roots[0])
    found = _scanner(*roots, tmp_path / "alias").scan()
    assert [cache.id for cache in found.caches] == ["triton", "triton:2"]
    assert [entry.cache for entry in found.entries] == ["triton", "triton:2"]


def test_a_root_that_is_no_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "loop"):
        (cache,) = _scanner(tmp_path / name).scan().caches
        assert (cache.exists, cache.readable) == (True, False)
        assert cache.problem is not None and name in cache.problem


def test_a_forbidden_root_is_a_problem(root: Path) -> None:
    me = os.geteuid()
    root.chmod(0)
    if me == 0:
        os.seteuid(65534)  # root may read everything
    try:
        (cache,) = _scanner(root).scan().caches
    finally:
        os.seteuid(me)
        root.chmod(0o755)
    assert (cache.exists, cache.readable) == (True, False)
    assert cache.problem is not None and "Permission denied" in cache.problem


def test_the_owner_of_a_file_is_its_entry(root: Path) -> None:
    scanner = _scanner(root)
    key = scanner.scan().entries[0].key
    assert scanner.owner("triton", f"{key}/tmp.pid_7_x/k.ptx") == key
    assert scanner.owner("triton", "notes.txt") is None


def test_one_cache_inside_another_is_counted_once(tmp_path: Path) -> None:
    inner = synthetic(tmp_path / "inductor" / "triton" / "0", 5)
    both = [Location("triton", str(inner), ""), Location("inductor", str(tmp_path / "inductor"), "")]
    found = Scanner(both).scan()
    assert [entry.cache for entry in found.entries] == ["triton"] * 5
    assert found.caches[1].size_on_disk == 0


def test_where_an_entry_lies(root: Path) -> None:
    scanner = _scanner(root)
    for entry in scanner.scan().entries:
        assert scanner.location(entry) == str(root / entry.key)


def test_an_entry_that_reads_the_same_stays_as_the_second_pass_left_it(root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    scanner = _scanner(copy)
    before = with_detail(scanner.scan(), scanner, ["sm_75"])
    assert {entry.state for entry in before.entries} == {"relocated"}
    assert all(entry.stale for entry in before.entries)
    for folder in copy.iterdir():
        os.utime(folder)  # so that every one is read again
    keys = [entry.key for entry in before.entries]
    assert _kept(before, scanner.rescan("triton", keys)) == 40
    changed = copy / keys[0]
    (changed / "more.txt").write_text("one file more")
    after = scanner.rescan("triton", keys)
    assert _kept(before, after) == 39
    fresh = _by_key(after)[keys[0]]
    assert (fresh.state, fresh.files) == ("complete", _by_key(before)[keys[0]].files + 1)
    assert _by_key(with_detail(after, scanner, ["sm_75"]))[keys[0]].state == "relocated"
