"""Caches written by someone who wishes us ill, or by nobody in particular."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.base.hostile import clean
from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import STATES, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.triton_cache import backdate, key_of, synthetic, write_entry

Look = Callable[..., Kernels]
KEY = key_of(hashlib.sha256(b"hostile").digest())


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{", b'{"name": "x"}', b'{"target": {"arch": -1}, "name": "x"}', b"\xff\xfe" * 40,
        b'{"target": {"arch": 99999999999999999999999999}, "name": "x"}', b'{"x": ' + b"[" * 100_000,
        b'{"target": {"arch": "sm_90; rm"}, "name": 1}', b'{"target": {"arch": true}, "name": "x"}',
        b'{"target": {"arch": 90}, "name": "' + b"A" * 400_000 + b'"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_lying_metadata_is_a_problem_and_not_a_crash(tmp_path: Path, look: Look, raw: bytes) -> None:
    folder = write_entry(tmp_path, KEY)
    (folder / "add_kernel.json").write_bytes(raw)
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.sm) == ("add_kernel", ())
    assert [problem.rule for problem in entry.problems] == ["metadata"]


def test_names_are_cleaned(tmp_path: Path, look: Look) -> None:
    folder = write_entry(tmp_path, KEY)
    said = json.loads((folder / "add_kernel.json").read_text())
    said["name"] = "good\x1b[2Jname\u202eevil\n"
    (folder / "add_kernel.json").write_text(json.dumps(said))
    (entry,) = look(tmp_path).entries
    assert entry.name == clean(said["name"])
    assert "\x1b" not in entry.name and "\u202e" not in entry.name


def test_names_that_are_no_text(tmp_path: Path, look: Look) -> None:
    folder = os.fsencode(tmp_path / KEY)
    os.mkdir(folder)
    for ending in (b"ttir", b"ptx"):
        with open(folder + b"/k\xff\x1b." + ending, "wb") as file:
            file.write(b".target sm_80\n")
    found = look(tmp_path)
    assert found.entries[0].sm == ("sm_80",)
    json.loads(found.to_json())


def test_an_nvrtc_name_that_is_no_text_can_still_be_found(tmp_path: Path) -> None:
    raw = b"k\xff_arch7.5_nvrtc13.0_sass_1_" + b"a" * 40
    with open(os.fsencode(tmp_path) + b"/" + raw, "wb") as file:
        file.write(b"x")
    scanner = Scanner([Location("nvrtc", str(tmp_path), "")])
    (entry,) = scanner.scan().entries
    assert os.fsencode(scanner.location(entry)) == os.fsencode(tmp_path) + b"/" + raw
    json.loads(entry.to_json())


def test_symlinks_are_not_followed(tmp_path: Path, look: Look) -> None:
    outside = write_entry(tmp_path / "outside", KEY)
    root = tmp_path / "root"
    root.mkdir()
    (root / KEY).symlink_to(outside)
    assert look(root).entries == ()
    (root / KEY).unlink()
    (root / KEY).mkdir()
    for path in outside.iterdir():
        (root / KEY / path.name).symlink_to(path)
    (root / KEY / "loop").symlink_to(root)
    (entry,) = look(root).entries
    assert (entry.files, entry.size_on_disk, entry.name, entry.sm) == (0, 0, None, ())


def test_inductors_folders_are_not_followed_out(tmp_path: Path, look: Look) -> None:
    write_entry(tmp_path / "outside" / "0", KEY)
    root = tmp_path / "root"
    root.mkdir()
    for name in ("triton", "fxgraph", "ab", "locks"):
        (root / name).symlink_to(tmp_path / "outside")
    assert look(root, "inductor").entries == ()


def test_pipes_and_folders_in_the_place_of_files(tmp_path: Path, look: Look) -> None:
    folder = write_entry(tmp_path, KEY)
    for name in ("add_kernel.json", "add_kernel.ptx", "add_kernel.cubin"):
        (folder / name).unlink()
    os.mkfifo(folder / "add_kernel.json")
    os.mkfifo(folder / "add_kernel.ptx")
    (folder / "add_kernel.cubin").mkdir()
    (entry,) = look(tmp_path).entries
    assert (entry.state, entry.sm) == ("complete", ())
    assert [one.rule for one in entry.stale] == ["truncated"]


def test_a_group_file_that_points_anywhere(tmp_path: Path, look: Look) -> None:
    folder = write_entry(tmp_path, KEY)
    group = folder / "__grp__add_kernel.json"
    for target in ("/etc/passwd", "../../../etc/passwd", "/proc/self/mem", "/a\u0000b/c", "\x1b]0;x\x07/y"):
        group.write_text(json.dumps({"child_paths": {"add_kernel.cubin": target}}))
        (entry,) = look(tmp_path).entries
        assert entry.state == "relocated"
        assert all("\x1b" not in one.evidence and "\0" not in one.evidence for one in entry.stale)


def test_a_date_in_the_future_is_not_young_forever(tmp_path: Path, look: Look) -> None:
    folder = tmp_path / KEY
    folder.mkdir()
    backdate(folder, -10 * 365 * 86400)
    assert look(tmp_path).entries[0].state == "orphan"


NAMES = st.sampled_from(
    ["k.source", "k.ttir", "k.ttgir", "k.ptx", "k.cubin", "k.json", "__grp__k.json", "k.so", "k.autotune.json",
     "tmp.pid_9999999999_a", "tmp.pid_99999999999999_a", ".json", "__grp__.json", "__grp__", "x", "k\x1b.ptx"]
)  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"{}", b'{"child_paths": {}}', b'{"target": {"arch": 80}, "name": "k"}', b".target sm_90a", b"\x7fELF"]
    ),
    st.sampled_from(["folder", "fifo", "loop"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, CONTENTS, max_size=9), st.booleans())
def test_any_folder_has_one_state_and_true_sizes(tmp_path: Path, content: dict[str, bytes | str], old: bool) -> None:
    root = tmp_path / "any"
    shutil.rmtree(root, ignore_errors=True)
    folder = root / KEY
    folder.mkdir(parents=True)
    for name, what in content.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
        elif what == "folder":
            (folder / name).mkdir()
        elif what == "fifo":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(folder)
    if old:
        backdate(folder, 3600)
    scanner = Scanner([Location("triton", str(root), "")])
    found = with_detail(scanner.scan(), scanner, ["sm_90"])
    (entry,) = found.entries
    assert entry.state in STATES
    regular = [folder / name for name, what in content.items() if isinstance(what, bytes)]
    assert entry.files == len(regular)
    assert entry.size_on_disk == found.size_on_disk == sum(path.stat().st_blocks * 512 for path in regular)
    assert (entry.state == "compiling") <= (not old)
    json.loads(found.to_json())


@pytest.mark.parametrize("kind", ["triton", "inductor"])
def test_folders_that_vanish_while_they_are_read(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    entries = root / "triton" / "0" if kind == "inductor" else root
    template = synthetic(tmp_path / "template", 60)
    shutil.copytree(template, entries)
    scanner = Scanner([Location(kind, str(root), "")])
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for path in template.iterdir():
                shutil.rmtree(entries / path.name, ignore_errors=True)
                shutil.copytree(path, entries / path.name)

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(40):
            found = with_detail(scanner.scan(), scanner, None)
            assert found.caches[0].readable
            assert len(found.entries) <= 60
    finally:
        stop.set()
        worker.join()
    assert len(Scanner([Location(kind, str(root), "")]).scan().entries) == 60


def test_a_cache_of_a_hundred_forged_environments_costs_a_bounded_number_of_looks(tmp_path: Path, look: Look) -> None:
    for number in range(300):
        key = key_of(hashlib.sha256(str(number).encode()).digest())
        write_entry(tmp_path, key, extern_libs=[["libdevice", f"/nowhere/{number}/libdevice.bc"]])
    gone = sum("toolchain-gone" in [one.rule for one in entry.stale] for entry in look(tmp_path).entries)
    assert 200 < gone <= 256
