"""Each rule with what proves it and what keeps it silent. A fresh compile never trips one."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache import environments, gencode, ground, relations
from cachetop.kernelcache.checks import checks
from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.triton_cache import key_of, write_entry

Look = Callable[..., Kernels]
REAL = b"\x7fELF\x02\x01\x01" + bytes(57)
"""The least that is a whole ELF file: its header."""


def _key(word: str) -> str:
    return key_of(hashlib.sha256(word.encode()).digest())


def _environment(prefix: Path, release: str) -> str:
    """A Python environment with Triton, as its files show it; returns its libdevice."""
    packages = prefix / "lib" / "python3.11" / "site-packages"
    (packages / f"triton-{release}.dist-info").mkdir(parents=True)
    library = packages / "triton" / "backends" / "nvidia" / "lib" / "libdevice.10.bc"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"BC")
    return str(library)


def _entry(root: Path, word: str, release: str | None = None, library: str | None = None, **more: object) -> None:
    said: dict[str, object] = dict(more)
    if release:
        said["triton_version"] = release
    if library:
        said["extern_libs"] = [["libdevice", library]]
    folder = write_entry(root, _key(word), **said)  # type: ignore[arg-type]
    (folder / "add_kernel.cubin").unlink()
    group = folder / "__grp__add_kernel.json"
    children = json.loads(group.read_text())["child_paths"]
    children.pop("add_kernel.cubin")
    group.write_text(json.dumps({"child_paths": children}))


def _rules(found: Kernels, word: str) -> list[str]:
    return [one.rule for entry in found.entries if entry.key == _key(word) for one in entry.stale]


def _named(found: Kernels, name: str) -> Entry:
    return next(entry for entry in found.entries if entry.name == name)


@pytest.fixture(autouse=True)
def _found_anew(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_found", None)


def test_an_entry_whose_environment_has_another_release_now(tmp_path: Path, world: Path, look: Look) -> None:
    library = _environment(world / "venvs" / "a", "3.9.1")
    _entry(tmp_path / "c", "old", "3.5.0", library)
    _entry(tmp_path / "c", "now", "3.9.1", library, sm=90)
    found = look(tmp_path / "c")
    assert (_rules(found, "old"), _rules(found, "now")) == (["toolchain-gone"], [])
    evidence = next(e for e in found.entries if e.key == _key("old")).stale[0].evidence
    assert "3.5.0" in evidence and "now has Triton 3.9.1" in evidence


def test_a_release_that_lives_in_another_environment_is_not_gone(tmp_path: Path, world: Path, look: Look) -> None:
    library = _environment(world / "venvs" / "a", "3.9.1")
    _environment(world / ".virtualenvs" / "b", "3.5.0")
    _entry(tmp_path / "c", "old", "3.5.0", library)
    _entry(tmp_path / "c", "new", "3.9.1", library)
    assert _rules(look(tmp_path / "c"), "old") == []


def test_an_environment_that_cannot_be_told_keeps_the_rules_silent(tmp_path: Path, world: Path, look: Look) -> None:
    library = world / "odd" / "lib" / "python3.11" / "site-packages" / "triton" / "libdevice.10.bc"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"BC")
    _entry(tmp_path / "c", "old", "3.5.0", str(library))
    _entry(tmp_path / "c", "new", "3.9.1", str(library))
    assert _rules(look(tmp_path / "c"), "old") == []


def test_superseded_is_the_same_kernel_for_the_same_sm_by_a_newer_release(
    tmp_path: Path, world: Path, look: Look
) -> None:
    library = _environment(world / "venvs" / "a", "3.10.0")
    _entry(tmp_path / "c", "old", "3.9.0", library)
    _entry(tmp_path / "c", "oldest")
    _entry(tmp_path / "c", "other sm", "3.9.0", library, sm=90)
    _entry(tmp_path / "c", "new", "3.10.0", library)
    found = look(tmp_path / "c")
    assert _rules(found, "old") == ["toolchain-gone", "superseded"]
    assert _rules(found, "oldest") == ["superseded"]
    assert "superseded" not in _rules(found, "other sm")
    assert _rules(found, "new") == []


@pytest.mark.parametrize(
    ("older", "newer"), [(None, "3.3.0"), ("3.9.0", "3.10.0"), ("3.8.0", "3.8.1+gitabc"), ("3.8.0", "4.0.0")]
)
def test_releases_are_compared_as_numbers(older: str | None, newer: str) -> None:
    assert relations.numbers(older) < relations.numbers(newer)


def _aged(root: Path, word: str, made: float, used: float) -> None:
    for path in (root / _key(word)).iterdir():
        os.utime(path, (used, made))


def test_unused_counts_from_the_last_read_and_allows_for_its_precision(tmp_path: Path, look: Look) -> None:
    now, day = time.time(), 86400.0
    for word, made, used in (
        ("never", now - 40 * day, now - 40 * day),
        ("long ago", now - 90 * day, now - 40 * day),
        ("within the precision", now - 90 * day, now - 30.5 * day),
        ("lately", now - 90 * day, now - 2 * day),
        ("young", now - 3 * day, now - 3 * day),
    ):
        _entry(tmp_path, word)
        _aged(tmp_path, word, made, used)
    found = look(tmp_path)
    words = ("never", "long ago", "within the precision", "lately", "young")
    assert [word for word in words if _rules(found, word)] == ["never", "long ago"]
    assert {one.rule for entry in found.entries for one in entry.stale} == {"unused"}
    scanner = Scanner([Location("triton", str(tmp_path), "")])
    later = with_detail(scanner.scan(), scanner, None, 365 * day)
    assert all(entry.stale == () for entry in later.entries)


def test_without_access_times_nothing_is_called_unused(
    tmp_path: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    _entry(tmp_path, "old")
    _aged(tmp_path, "old", 1e9, 1e9)
    monkeypatch.setattr("cachetop.kernelcache.detail.keeps_access_times", lambda path: False)
    (entry,) = look(tmp_path).entries
    assert (entry.last_used, entry.reused, entry.stale) == (None, None, ())


def test_the_losers_of_an_autotuning(tmp_path: Path, look: Look) -> None:
    """As Inductor lays them out: all configurations of one generated file, and the best one's key beside it."""
    root = tmp_path / "inductor"
    device = root / "triton" / "0"
    source = f"{root}/ab/cabc.py"
    for word in ("winner", "loser one", "loser two", "another source", "another sm"):
        folder = write_entry(device, _key(word), "triton_poi", 90 if word != "another sm" else 80)
        where = source if word != "another source" else f"{root}/ab/cxyz.py"
        (folder / "triton_poi.source").write_text(f'#loc = loc("{where}":18:0)\n')
    (root / "ab").mkdir()
    best = {"XBLOCK": 512, "num_warps": 4, "num_stages": 1, "configs_hash": "a" * 64, "found_by_coordesc": False,
            "time_taken_ms": 12, "triton_cache_hash": _key("winner")}  # fmt: skip
    (root / "ab" / f"{'0' * 64}.best_config").write_text(json.dumps(best))
    found = look(root, "inductor")
    losers = {word for word in ("winner", "loser one", "loser two", "another source", "another sm")
              if "autotune-loser" in _rules(found, word)}  # fmt: skip
    assert losers == {"loser one", "loser two"}
    by_key = {entry.key: entry for entry in found.entries}
    assert _checked(root, found, by_key[_key("winner")])["autotune-loser"] is True
    assert _checked(root, found, by_key[_key("another source")])["autotune-loser"] is True
    assert "autotune-loser" not in _checked(root, found, by_key[_key("loser one")])  # a verdict already


def _checked(root: Path, found: Kernels, entry: Entry, here: str | None = None) -> dict[str, bool | None]:
    """What is found of each rule that did not hit an entry."""
    scanner = Scanner([Location(entry.kind, str(root), "")])
    scanner.scan()
    return {one.rule: one.holds for one in checks(entry, found.entries, scanner, [here] if here else None)}


def _extension(root: Path, name: str, *flags: str) -> None:
    folder = root / "py311_cu130" / name
    folder.mkdir(parents=True)
    (folder / "build.ninja").write_text("cuda_cflags = " + " ".join(f"-gencode={flag}" for flag in flags) + "\n")
    (folder / f"{name}.so").write_bytes(REAL)


@pytest.mark.parametrize(
    ("here", "foreign"),
    [
        ("sm_86", {"only_90a", "only_120"}),
        ("sm_90", {"only_80", "only_120"}),
        ("sm_100", {"only_80", "only_90a", "only_120"}),
        ("sm_121", {"only_80", "only_90a"}),
    ],
)
def test_extensions_are_judged_by_what_can_be_loaded(tmp_path: Path, look: Look, here: str, foreign: set[str]) -> None:
    _extension(tmp_path, "only_80", "arch=compute_80,code=sm_80")
    _extension(tmp_path, "ptx_80", "arch=compute_80,code=sm_80", "arch=compute_80,code=compute_80")
    _extension(tmp_path, "only_90a", "arch=compute_90a,code=sm_90a")
    _extension(tmp_path, "only_120", "arch=compute_120,code=[sm_120]")
    _extension(tmp_path, "cpu_only")
    found = look(tmp_path, "torch-extensions", [here])
    assert {e.name for e in found.entries if "foreign-sm" in [one.rule for one in e.stale]} == foreign
    assert _named(found, "only_80").sm == ("sm_80",)
    assert all(entry.stale == () for entry in look(tmp_path, "torch-extensions", None).entries)


def test_sm_120_code_on_sm_121_loads_and_is_named(tmp_path: Path, look: Look) -> None:
    _extension(tmp_path, "old", "arch=compute_120,code=sm_120")
    _extension(tmp_path, "both", "arch=compute_120,code=sm_120", "arch=compute_121,code=sm_121")
    found = look(tmp_path, "torch-extensions", ["sm_121"])
    assert [one.rule for one in _named(found, "old").stale] == ["sm-alias"]
    assert _named(found, "both").stale == ()
    assert _checked(tmp_path, found, _named(found, "both"), "sm_121")["sm-alias"] is True
    assert "sm-alias" not in _checked(tmp_path, found, _named(found, "old"), "sm_121")
    assert "sm-alias" not in _checked(tmp_path, found, _named(found, "both"))  # no GPU is known


@pytest.mark.parametrize("here", ["sm_75", "sm_90", "sm_121"])
def test_a_fresh_compile_trips_no_rule_but_that_of_its_sm(compiled: Path, look: Look, here: str) -> None:
    for entry in look(compiled, sms=[here]).entries:
        assert [one.rule for one in entry.stale] == ([] if entry.sm == (here,) else ["foreign-sm"])
    assert all(entry.stale == () for entry in look(compiled).entries)


def test_gencode_flags_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text(
        "flags = -gencode arch=compute_75,code=sm_75 -gencode=arch=compute_90a,code=[compute_90a,sm_90a]"
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert gencode.asked(folder) == ("sm_75", "sm_90a", "compute_90a")
        assert gencode.asked(folder, "missing") == ()
    finally:
        os.close(folder)


def test_environments_are_found_from_files_and_nothing_is_run(world: Path) -> None:
    _environment(world / "venvs" / "a", "3.4.0")
    python = world / "venvs" / "a" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\ntouch {world}/ran\n")
    python.chmod(0o755)
    found = environments.find({"HOME": str(world)})
    assert found[str(world / "venvs" / "a")] == {"triton": frozenset({"3.4.0"})}
    assert not (world / "ran").exists()
    assert ground.Ground(found=found).holder("3.4.0") == str(world / "venvs" / "a")


def test_what_many_entries_have_in_common_is_there_once(tmp_path: Path, look: Look) -> None:
    for word in ("one", "other"):
        _entry(tmp_path / "c", word, "3.5.0", "/nowhere/lib/python3.11/site-packages/libdevice.bc", sm=90)
    one, other = look(tmp_path / "c", sms=["sm_86"]).entries
    assert [found.rule for found in one.stale] == ["foreign-sm", "toolchain-gone"] and one.stale is other.stale
    assert one.name is other.name and one.sm is other.sm and one.producer is other.producer


@pytest.mark.parametrize("children", [65, 20_000])
def test_a_group_file_that_is_too_large_to_be_looked_into_proves_nothing(
    tmp_path: Path, look: Look, children: int
) -> None:
    _entry(tmp_path, "grown")
    folder = tmp_path / _key("grown")
    group = folder / "__grp__add_kernel.json"
    paths = json.loads(group.read_text())["child_paths"]
    group.write_text(json.dumps({"child_paths": paths | {f"x{n}": str(folder / f"x{n}") for n in range(children)}}))
    assert _rules(look(tmp_path), "grown") == []


def test_metadata_that_is_too_large_is_said_to_be_so(tmp_path: Path, look: Look) -> None:
    _entry(tmp_path, "grown")
    (tmp_path / _key("grown") / "add_kernel.json").write_text(json.dumps({"name": "x", "more": "x" * (1 << 19)}))
    (entry,) = look(tmp_path).entries
    assert [one.message for one in entry.problems] == ["add_kernel.json is too large to be read as metadata"]
