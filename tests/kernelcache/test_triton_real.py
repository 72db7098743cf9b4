"""What real Triton caches say: names, SMs, sizes, use, stages in flight, relocation, verdicts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachetop.kernelcache import cubin
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner, scan
from cachetop.locations import Location
from support.triton_cache import backdate, start_compile

Look = Callable[..., Kernels]
SMS = {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"}


def _rules(entry: Entry) -> list[str]:
    return [one.rule for one in entry.stale]


def _entry(kernels: Kernels, key: str) -> Entry:
    return next(entry for entry in kernels.entries if entry.key == key)


def _one(root: Path, sm: str, look: Look) -> tuple[Path, Entry]:
    """The add_kernel entry for an SM: its folder and what is said of it."""
    entry = next(entry for entry in look(root).entries if entry.sm == (sm,) and entry.name == "add_kernel")
    return root / entry.key, entry


def test_every_kernel_and_sm_is_there_once(compiled: Path, look: Look) -> None:
    found = look(compiled)
    assert {(entry.name, *entry.sm) for entry in found.entries} == {
        (name, sm) for name in ("add_kernel", "softmax_kernel") for sm in SMS
    }
    assert len(found.entries) == 2 * len(SMS)
    assert {entry.state for entry in found.entries} == {"complete"}
    assert all(entry.producer.triton == "3.8.0" and entry.stale == () for entry in found.entries)


def test_sizes_are_those_of_the_disk(compiled: Path, look: Look) -> None:
    found = look(compiled)
    files = [path for path in compiled.rglob("*") if path.is_file()]
    assert found.size_on_disk == sum(path.stat().st_blocks * 512 for path in files)
    assert sum(entry.files for entry in found.entries) == len(files)
    assert found.caches[0].size_on_disk == found.size_on_disk


def test_the_cubin_names_the_sm_of_the_metadata(compiled: Path, look: Look) -> None:
    for entry in look(compiled).entries:
        code = cubin.read(str(compiled / entry.key / f"{entry.name}.cubin"))
        variant = "a" if int(entry.sm[0][3:]) >= 90 else ""
        assert code.sm == entry.target == entry.sm[0] + variant


def test_build_time_is_that_of_the_stages(compiled: Path, look: Look) -> None:
    folder, entry = _one(compiled, "sm_80", look)
    first, last = (folder / "add_kernel.source").stat(), (folder / "__grp__add_kernel.json").stat()
    assert entry.build_milliseconds == pytest.approx((last.st_mtime_ns - first.st_mtime_ns) / 1e6)
    assert entry.build_milliseconds is not None and 1 < entry.build_milliseconds < 60_000


def test_looking_leaves_no_trace(cache: Path, look: Look) -> None:
    for path in cache.rglob("*"):
        os.utime(path, (1, 1_700_000_000))
    look(cache)
    assert {path.stat().st_atime for path in cache.rglob("*") if path.is_file()} == {1}


def test_a_hit_shows_as_last_use(cache: Path, look: Look) -> None:
    folder, entry = _one(cache, "sm_80", look)
    group = folder / "__grp__add_kernel.json"
    made = group.stat().st_mtime
    os.utime(group, (made - 1, made))
    before = _entry(look(cache), entry.key)
    assert (before.last_used, before.reused) == (before.created, False)
    os.utime(group, (made + 90, made))
    after = _entry(look(cache), entry.key)
    assert after.last_used == pytest.approx(made + 90)
    assert after.reused is True


@contextmanager
def _compiling(tmp_path: Path, stop: str) -> Iterator[tuple[Path, int]]:
    """(entry folder, pid) of a real compile that stands still at `stop`."""
    root = tmp_path / "flight"
    process = start_compile(root, tmp_path / "work", "add_kernel", "80", stop)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "paused"
        yield next(root.iterdir()), process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("stage", ["source", "ttir", "ttgir", "ptx", "cubin", "json"])
def test_a_compile_shows_its_stage_and_becomes_an_orphan_when_killed(tmp_path: Path, stage: str, look: Look) -> None:
    ending = "kernel.json" if stage == "json" else f".{stage}"
    with _compiling(tmp_path, f"after {ending}") as (folder, _):
        entry = look(folder.parent).entries[0]
        assert (entry.state, entry.stage, entry.name) == ("compiling", stage, "add_kernel")
        assert entry.sm == (() if stage in ("source", "ttir") else ("sm_80",))
        assert entry.stale == ()
    assert look(folder.parent).entries[0].state == "compiling"  # dead, but nobody can know that yet
    backdate(folder, 700)
    entry = look(folder.parent).entries[0]
    assert (entry.state, entry.stage, _rules(entry)) == ("orphan", stage, ["orphan"])
    assert stage in entry.stale[0].evidence


def test_a_slow_compile_counts_as_long_as_its_process_lives(tmp_path: Path, look: Look) -> None:
    with _compiling(tmp_path, "writing .cubin") as (folder, pid):
        temporary = next(folder.glob(f"tmp.pid_{pid}_*"))
        backdate(folder, 3600, but="tmp.")
        assert look(folder.parent).entries[0].state == "compiling"
    assert temporary.is_dir()
    entry = look(folder.parent).entries[0]
    assert (entry.state, entry.stage) == ("orphan", "ptx")


def test_a_process_that_only_inherited_the_number_keeps_nothing_alive(tmp_path: Path, look: Look) -> None:
    with _compiling(tmp_path, "after .ptx") as (folder, _):
        pass
    temporary = folder / f"tmp.pid_{os.getpid()}_6f0f"
    temporary.mkdir()
    os.utime(temporary, (1, 1))
    backdate(folder, 3600, but="tmp.")
    assert look(folder.parent).entries[0].state == "orphan"


def test_the_finished_compile_takes_the_place_of_the_orphan(tmp_path: Path) -> None:
    with _compiling(tmp_path, "after .ttgir") as (folder, _):
        scanner = Scanner([Location("triton", str(folder.parent), "")])
        assert scanner.scan().entries[0].stage == "ttgir"
        assert scanner.in_flight() == [("triton", folder.name)]
    process = start_compile(folder.parent, tmp_path / "work", "add_kernel", "80")
    process.communicate(timeout=120)
    entry = scanner.scan().entries[0]
    assert (entry.state, entry.stage, scanner.in_flight()) == ("complete", None, [])


def test_a_copied_cache_is_relocated(compiled: Path, tmp_path: Path, look: Look) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(compiled, copy)
    for entry in look(copy).entries:
        assert (entry.state, _rules(entry)) == ("relocated", ["relocated"])
        assert f"{compiled}/{entry.key}, which is read instead" in entry.stale[0].evidence


def test_a_moved_cache_is_relocated_and_its_old_place_gone(cache: Path, tmp_path: Path, look: Look) -> None:
    moved = cache.rename(tmp_path / "moved")
    for entry in look(moved).entries:
        assert (entry.state, _rules(entry)) == ("relocated", ["relocated"])
        assert "is gone" in entry.stale[0].evidence


def test_a_cache_behind_a_symlink_is_at_home(cache: Path, tmp_path: Path, look: Look) -> None:
    link = tmp_path / "link"
    link.symlink_to(cache)
    assert {entry.state for entry in look(link).entries} == {"complete"}
    assert all(entry.stale == () for entry in look(link).entries)


def test_a_full_disk_leaves_an_orphan(cache: Path, look: Look) -> None:
    folder, entry = _one(cache, "sm_86", look)
    (folder / "__grp__add_kernel.json").unlink()
    temporary = folder / "tmp.pid_999999999_5b0e"
    temporary.mkdir()
    (temporary / "__grp__add_kernel.json").touch()
    assert _entry(look(cache), entry.key).state == "compiling"
    backdate(folder, 700)
    found = _entry(look(cache), entry.key)
    assert (found.state, found.sm, _rules(found)) == ("orphan", ("sm_86",), ["orphan"])


@pytest.mark.parametrize("damage", ["empty", "cut", "missing", "noise", "group"])
def test_damage_is_told(cache: Path, look: Look, damage: str) -> None:
    folder, entry = _one(cache, "sm_89", look)
    code = folder / "add_kernel.cubin"
    if damage == "empty":
        code.write_bytes(b"")
    elif damage == "cut":
        code.write_bytes(code.read_bytes()[:-100])
    elif damage == "missing":
        code.unlink()
    elif damage == "noise":
        code.write_bytes(os.urandom(6000))
    else:
        (folder / "__grp__add_kernel.json").write_text('{"child_paths": ')
    found = look(cache)
    assert _rules(_entry(found, entry.key)) == ["truncated"]
    assert sum(bool(other.stale) for other in found.entries) == 1


def test_a_deleted_environment_is_told(cache: Path, look: Look) -> None:
    folder, entry = _one(cache, "sm_80", look)
    described = folder / "add_kernel.json"
    said = json.loads(described.read_text())
    gone = cache.parent / "venv/lib/python3.12/site-packages/triton/backends/nvidia/lib/libdevice.10.bc"
    said["extern_libs"] = [["libdevice", str(gone)]]
    described.write_text(json.dumps(said))
    found = _entry(look(cache), entry.key)
    assert _rules(found) == ["toolchain-gone"]
    assert found.producer.environment == str(cache.parent / "venv")
    gone.parent.mkdir(parents=True)
    gone.touch()
    assert _entry(look(cache), entry.key).stale == ()


@pytest.mark.parametrize(
    ("here", "useful"),
    [
        (["sm_90"], {"sm_90"}),
        (["sm_86"], {"sm_86"}),
        (["8.9"], {"sm_89"}),
        (["75", "120"], {"sm_75", "sm_120"}),
        (["sm_103"], set()),
        ([], SMS),
        (None, SMS),
    ],
)
def test_foreign_sms_are_called_so_only_when_the_gpus_are_known(
    compiled: Path, look: Look, here: list[str] | None, useful: set[str]
) -> None:
    found = look(compiled, sms=here)
    assert {entry.sm[0] for entry in found.entries if not entry.stale} == useful
    assert all(_rules(entry) == ["foreign-sm"] for entry in found.entries if entry.sm[0] not in useful)


def test_the_first_pass_alone_knows_names_sms_and_states(compiled: Path) -> None:
    found = scan([Location("triton", str(compiled), "said")])
    assert {entry.sm[0] for entry in found.entries} == SMS
    assert {(entry.state, entry.last_used, entry.producer.triton) for entry in found.entries} == {
        ("complete", None, None)
    }


def test_an_entry_being_written_is_seen_stage_by_stage(tmp_path: Path) -> None:
    root = tmp_path / "live"
    root.mkdir()
    scanner = Scanner([Location("triton", str(root), "")])
    process = start_compile(root, tmp_path / "work", "softmax_kernel", "80")
    seen = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        entries = scanner.scan().entries
        if entries and entries[0] not in seen:
            seen.append(entries[0])
        if entries and entries[0].state == "complete":
            break
    process.communicate(timeout=60)
    assert seen[-1].state == "complete"
    assert {entry.state for entry in seen[:-1]} <= {"compiling"}
