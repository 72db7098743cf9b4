"""Inductor's cache: a tree that torch wrote, and the parts that need a C++ compiler or a GPU in their real names."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.triton_cache import backdate

Look = Callable[..., Kernels]
KERNEL = "triton_per_fused_exp_prepare_softmax_online_sub_0"
CPP = "cyimirxk5itmiyfrcper25w5oxjkjoshqy34eaqpmsgdudum3sdx"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.fixture
def tree(inductor_tree: Path, tmp_path: Path) -> Path:
    shutil.copytree(inductor_tree, tmp_path / "tree")
    return tmp_path / "tree"


def _parts(kernels: Kernels) -> dict[str, Entry]:
    return {entry.part or "?": entry for entry in kernels.entries}


def test_every_part_of_a_real_tree(inductor_tree: Path, look: Look) -> None:
    found = look(inductor_tree, "inductor")
    parts = _parts(found)
    assert set(parts) == {"triton", "source", "wrapper", "fxgraph"}
    assert {entry.sm for entry in found.entries} == {("sm_90",)}
    assert parts["triton"].name == parts["source"].name == KERNEL
    assert parts["triton"].producer.triton == parts["fxgraph"].producer.triton == "3.8.0"
    assert {entry.state for entry in found.entries} == {"complete"}
    assert {entry.kind for entry in found.entries} == {"inductor"}
    files = [path for path in inductor_tree.rglob("*") if path.is_file()]
    assert found.size_on_disk == sum(path.stat().st_blocks * 512 for path in files)
    assert sum(entry.files for entry in found.entries) == len(files)


def test_its_kernels_are_judged_like_tritons_own(inductor_tree: Path, look: Look) -> None:
    parts = _parts(look(inductor_tree, "inductor", ["sm_80"]))
    assert [one.rule for one in parts["triton"].stale] == ["foreign-sm"]


def test_keys_and_paths(inductor_tree: Path, look: Look) -> None:
    for entry in look(inductor_tree, "inductor").entries:
        assert entry.path.endswith(entry.key)
        assert (inductor_tree / entry.path).exists() or (inductor_tree / f"{entry.path}.py").exists()


def test_the_files_of_one_cpp_kernel_are_one_entry(tmp_path: Path, look: Look) -> None:
    pair = tmp_path / "yi"
    pair.mkdir()
    for ending in ("cpp", "so", "so.load_ok"):
        (pair / f"{CPP}.{ending}").write_bytes(b"x" * 5000)
    (entry,) = look(tmp_path, "inductor").entries
    assert (entry.key, entry.path, entry.files, entry.state, entry.part) == (CPP, f"yi/{CPP}", 3, "complete", "cpp")


def test_a_cpp_kernel_being_built(tmp_path: Path, look: Look) -> None:
    build = tmp_path / "yi" / f"{CPP}_CxxBuild"
    build.mkdir(parents=True)
    (tmp_path / "yi" / f"{CPP}.cpp").write_text("int f();")
    (build / "part.o").write_bytes(b"x" * 5000)
    (entry,) = look(tmp_path, "inductor").entries
    assert (entry.key, entry.files, entry.state) == (CPP, 2, "compiling")
    backdate(tmp_path, 700)
    (entry,) = look(tmp_path, "inductor").entries
    assert (entry.state, [one.rule for one in entry.stale]) == ("orphan", ["orphan"])


def test_helpers_and_autotune_results(tmp_path: Path, look: Look) -> None:
    for path in (f"ab/{HASH}.best_config", f"cache/{HASH}", f"locks/{CPP}.lock", "precompiled_headers/c.h.gch"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    (tmp_path / "precompiled_headers/locks").mkdir()
    (tmp_path / "precompiled_headers/locks/c.lock").touch()
    states = {entry.path: (entry.state, entry.files) for entry in look(tmp_path, "inductor").entries}
    assert states == {
        f"ab/{HASH}": ("autotune", 1),
        f"cache/{HASH}": ("autotune", 1),
        "locks": ("helper", 1),
        "precompiled_headers": ("helper", 2),
    }


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o700)


def test_a_pickle_is_never_loaded(tmp_path: Path, look: Look) -> None:
    graph = tmp_path / "tree/fxgraph/aa/faaaa/one"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    (entry,) = look(tmp_path / "tree", "inductor").entries
    assert (entry.part, entry.sm, (tmp_path / "boom").exists()) == ("fxgraph", (), False)


def test_one_key_for_two_devices(tree: Path, look: Look) -> None:
    shutil.copytree(tree / "triton/0", tree / "triton/1")
    found = [entry for entry in look(tree, "inductor").entries if entry.part == "triton"]
    assert len({entry.key for entry in found}) == 1
    assert len({entry.path for entry in found}) == 2


def test_scanning_again_and_naming_one_kernel(tree: Path) -> None:
    scanner = Scanner([Location("inductor", str(tree), "")])
    first = scanner.scan()
    again = scanner.scan()
    assert all(one is other for one, other in zip(first.entries, again.entries, strict=True))
    kernel = _parts(first)["triton"]
    (tree / kernel.path / "more.txt").write_bytes(b"x" * 9000)
    after = _parts(scanner.rescan("inductor", [kernel.path]))
    assert after["triton"].files == kernel.files + 1
    assert after["fxgraph"] is _parts(first)["fxgraph"]
    assert scanner.owner("inductor", f"{kernel.path}/{KERNEL}.ptx") == kernel.path
    assert scanner.owner("inductor", f"yi/{CPP}.so.load_ok") == f"yi/{CPP}"
    assert scanner.owner("inductor", "locks/x.lock") == "locks"


def test_a_graph_gets_another_set_of_guards(tree: Path) -> None:
    scanner = Scanner([Location("inductor", str(tree), "")])
    graph = _parts(scanner.scan())["fxgraph"]
    backdate(tree, 3600)
    scanner.scan()
    (tree / graph.path / "second").write_bytes(b"x" * 9000)
    assert _parts(scanner.scan())["fxgraph"].files == graph.files + 1


def test_what_was_deleted_is_gone(tree: Path) -> None:
    scanner = Scanner([Location("inductor", str(tree), "")])
    scanner.scan()
    for name in ("triton", "fxgraph"):
        shutil.rmtree(tree / name)
    assert {entry.part for entry in scanner.scan().entries} == {"source", "wrapper"}
