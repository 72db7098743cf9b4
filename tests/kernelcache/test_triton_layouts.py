"""Layouts that this Triton does not write any more, and folders that are no kernels."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache.records import Kernels
from support.triton_cache import backdate, key_of, metadata, write_entry

Look = Callable[..., Kernels]
DIGEST = hashlib.sha256(b"a kernel").digest()


@pytest.mark.parametrize("generation", ["hex", "base64", "base32"])
def test_all_generations_of_folder_names(tmp_path: Path, look: Look, generation: str) -> None:
    key = key_of(DIGEST, generation)
    write_entry(tmp_path, key, "matmul", 86)
    (entry,) = look(tmp_path).entries
    assert (entry.key, entry.name, entry.sm, entry.files) == (key, "matmul", ("sm_86",), 8)


@pytest.mark.parametrize("ending", ["cuda_utils.so", "__triton_launcher.cpython-311-x86_64-linux-gnu.so", "x.so"])
def test_helpers_are_no_orphans_however_old(tmp_path: Path, look: Look, ending: str) -> None:
    folder = tmp_path / key_of(DIGEST)
    folder.mkdir()
    (folder / ending).write_bytes(b"\x7fELF")
    backdate(folder, 90 * 86400)
    (entry,) = look(tmp_path).entries
    assert (entry.state, entry.stale, entry.sm) == ("helper", (), ())


def test_autotune_results_are_told_apart(tmp_path: Path, look: Look) -> None:
    folder = tmp_path / key_of(DIGEST)
    folder.mkdir()
    (folder / "matmul.autotune.json").write_text(json.dumps({"key": [1], "configs_timings": []}))
    backdate(folder, 90 * 86400)
    (entry,) = look(tmp_path).entries
    assert (entry.state, entry.stale) == ("autotune", ())


def test_an_empty_folder_is_a_compile_that_began(tmp_path: Path, look: Look) -> None:
    folder = tmp_path / key_of(DIGEST)
    folder.mkdir()
    assert look(tmp_path).entries[0].state == "compiling"
    backdate(folder, 700)
    (entry,) = look(tmp_path).entries
    assert (entry.state, entry.stale[0].rule) == ("orphan", "orphan")


def test_no_group_file_means_not_usable(tmp_path: Path, look: Look) -> None:
    folder = write_entry(tmp_path, key_of(DIGEST))
    (folder / "__grp__add_kernel.json").unlink()
    backdate(folder, 700)
    (entry,) = look(tmp_path).entries
    assert (entry.state, entry.stage, entry.sm) == ("orphan", "json", ("sm_80",))


def test_a_kernel_for_another_vendor_keeps_its_architecture(tmp_path: Path, look: Look) -> None:
    write_entry(tmp_path, key_of(DIGEST), sm="gfx942")
    (entry,) = look(tmp_path, sms=["sm_90"]).entries
    assert entry.sm == ("gfx942",)
    assert "foreign-sm" not in [one.rule for one in entry.stale]


def test_a_cut_file_name_does_not_cut_the_kernels_name(tmp_path: Path, look: Look) -> None:
    name = "triton_per_fused_" + "add_" * 60
    folder = write_entry(tmp_path, key_of(DIGEST), name[:150])
    (folder / f"{name[:150]}.json").write_text(json.dumps(metadata(name, 90)))
    assert look(tmp_path).entries[0].name == name


def test_what_is_no_entry_is_left_out(tmp_path: Path, look: Look) -> None:
    write_entry(tmp_path, key_of(DIGEST))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "my_project").mkdir()
    (tmp_path / key_of(hashlib.sha256(b"file").digest())).write_text("a file with an entry's name")
    (tmp_path / ".cachetop-trash-1").mkdir()
    assert len(look(tmp_path).entries) == 1


def test_hard_links_count_once(tmp_path: Path, look: Look) -> None:
    first = write_entry(tmp_path, key_of(DIGEST))
    second = write_entry(tmp_path, key_of(hashlib.sha256(b"other").digest()))
    alone = look(tmp_path).size_on_disk
    shared = second / "add_kernel.cubin"
    size = shared.stat().st_blocks * 512
    shared.unlink()
    os.link(first / "add_kernel.cubin", shared)
    found = look(tmp_path)
    assert found.size_on_disk == alone - size
    assert sum(entry.size_on_disk for entry in found.entries) == alone
