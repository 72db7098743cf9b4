"""FlashInfer, vLLM, kernel repos of the Hub, caches that are not read, and formats that other packages add."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import UNREAD, Scanner
from cachetop.locations import Location

Look = Callable[..., Kernels]


def _operator(root: Path, name: str, built: bool = True, flags: str = "") -> Path:
    folder = root / "0.7.2" / "75_90a" / "cached_ops" / name
    folder.mkdir(parents=True)
    (folder / "build.ninja").write_text(f"cuda_cflags = {flags}\n")
    (folder / "a.o").write_bytes(b"x" * 9000)
    if built:
        (folder / f"{name}.so").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    return folder


def _by_key(found: Kernels) -> dict[str, Entry]:
    return {entry.key: entry for entry in found.entries}


def _on_disk(root: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def test_flashinfer_operators_one_by_one(tmp_path: Path, look: Look) -> None:
    _operator(tmp_path, "batch_decode", flags="-gencode=arch=compute_90a,code=sm_90a")
    _operator(tmp_path, "page")
    half = _operator(tmp_path, "half", built=False)
    (tmp_path / "0.7.2" / "75_90a" / "generated").mkdir()
    (tmp_path / "0.7.2" / "75_90a" / "generated" / "a.cu").write_text("x")
    (tmp_path / "cubins").mkdir()
    (tmp_path / "cubins" / "k.cubin").write_bytes(b"x" * 5000)
    found = look(tmp_path, "flashinfer", ["sm_80"])
    entries = _by_key(found)
    assert entries.keys() == {"batch_decode", "page", "half", "generated", "cubins"}
    assert (entries["batch_decode"].sm, entries["page"].sm) == (("sm_90a",), ("sm_75", "sm_90a"))
    assert entries["batch_decode"].path == "0.7.2/75_90a/cached_ops/batch_decode"
    assert [one.rule for one in entries["batch_decode"].stale] == ["foreign-sm"]
    assert (entries["page"].stale, entries["half"].state) == ((), "compiling")
    assert found.size_on_disk == sum(entry.size_on_disk for entry in found.entries) == _on_disk(tmp_path)
    for path in (*half.iterdir(), half):
        os.utime(path, (1e9, 1e9))
    assert _by_key(look(tmp_path, "flashinfer"))["half"].state == "orphan"


def test_the_owner_of_a_flashinfer_file(tmp_path: Path) -> None:
    _operator(tmp_path, "page")
    scanner = Scanner([Location("flashinfer", str(tmp_path), "")])
    (entry,) = scanner.scan().entries
    assert scanner.owner("flashinfer", f"{entry.path}/page.so") == entry.path
    assert scanner.location(entry) == str(tmp_path / entry.path)


def test_the_caches_inside_vllms(tmp_path: Path, inductor_tree: Path, look: Look) -> None:
    compiled = tmp_path / "torch_compile_cache" / "0123456789" / "rank_0_0"
    shutil.copytree(inductor_tree, compiled / "inductor_cache")
    (compiled / "backbone").mkdir()
    (compiled / "backbone" / "graph").write_bytes(b"x" * 5000)
    aot = tmp_path / "torch_compile_cache" / "torch_aot_compile" / ("a" * 64) / "inductor_cache"
    shutil.copytree(inductor_tree, aot)
    found = look(tmp_path, "vllm", ["sm_80"])
    parts = [entry.part for entry in found.entries]
    assert sorted({part for part in parts if part}) == ["compiled graphs", "fxgraph", "source", "triton", "wrapper"]
    assert parts.count("triton") == parts.count("compiled graphs") == 2
    assert len({entry.path for entry in found.entries}) == len(found.entries)
    assert found.size_on_disk == _on_disk(tmp_path)
    kernel = next(entry for entry in found.entries if entry.part == "triton")
    assert kernel.sm == ("sm_90",) and "foreign-sm" in [one.rule for one in kernel.stale]
    scanner = Scanner([Location("vllm", str(tmp_path), "")])
    scanner.scan()
    assert Path(scanner.location(kernel)) == tmp_path / kernel.path
    assert scanner.owner("vllm", f"{kernel.path}/x.json") == kernel.path
    assert describe(kernel, scanner).resources is not None
    shutil.rmtree(aot.parent)
    assert [entry.part for entry in scanner.scan().entries].count("triton") == 1


def test_kernel_repos_of_the_hub_are_measured_by_their_blobs(tmp_path: Path, look: Look) -> None:
    repo = tmp_path / "kernels--kernels-community--activation"
    variant = repo / "snapshots" / ("c" * 40) / "build" / "torch210-cxx11-cu128-x86_64-linux"
    (repo / "blobs").mkdir(parents=True)
    variant.mkdir(parents=True)
    blob = repo / "blobs" / ("b" * 64)
    blob.write_bytes(b"x" * 70_000)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 900_000)
    (variant / "_activation.so").symlink_to(f"../../../../blobs/{'b' * 64}")
    (variant / "evil.so").symlink_to(secret)
    (tmp_path / "models--a--b" / "snapshots").mkdir(parents=True)
    (entry,) = look(tmp_path, "hf-kernels").entries
    assert (entry.name, entry.key) == ("kernels-community/activation", variant.name)
    assert (entry.producer.torch, entry.producer.cuda) == ("2.10", "12.8")
    assert (entry.size_on_disk, entry.files) == (blob.stat().st_blocks * 512, 1)


@pytest.mark.parametrize("kind", UNREAD)
def test_a_cache_that_is_not_read_is_one_row_that_says_so(tmp_path: Path, look: Look, kind: str) -> None:
    assert look(tmp_path, kind).entries == ()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "x.bin").write_bytes(b"x" * 10_000)
    (entry,) = look(tmp_path, kind, ["sm_90"]).entries
    assert (entry.kind, entry.state, entry.part, entry.files, entry.sm) == (
        kind, "opaque", "contents not understood", 1, (),
    )  # fmt: skip
    assert (entry.size_on_disk, entry.stale) == (_on_disk(tmp_path), ())


def test_where_they_are(world: Path) -> None:
    found = {one.kind: one for one in locations.kernel_roots({"HOME": str(world)})}
    assert found["flashinfer"].path == f"{world}/.cache/flashinfer"
    assert found["vllm"].path == f"{world}/.cache/vllm"
    assert found["hf-kernels"].path == f"{world}/.cache/huggingface/hub"
    assert "jax" not in found  # it keeps no cache on disk unless told to
    env = {"HOME": str(world), "FLASHINFER_WORKSPACE_BASE": "/w", "VLLM_CACHE_ROOT": "/v", "KERNELS_CACHE": "/k",
           "JAX_COMPILATION_CACHE_DIR": "/j", "CUPY_CACHE_DIR": "/c"}  # fmt: skip
    found = {one.kind: one for one in locations.kernel_roots(env)}
    assert found["flashinfer"].path == "/w/.cache/flashinfer"
    assert [found[kind].path for kind in ("vllm", "hf-kernels", "jax", "cupy")] == ["/v", "/k", "/j", "/c"]
    assert found["jax"].reason == "JAX_COMPILATION_CACHE_DIR is set"


PLUGIN = """
import os
from cachetop.kernelcache.opaque import NotUnderstood
from cachetop.locations import Location


class Acme(NotUnderstood):
    kind = "acme"

    def __init__(self):
        super().__init__("acme")

    @staticmethod
    def locate(env):
        return [Location("acme", os.path.join(env["HOME"], "acme"), "the plugin says so")]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with one good entry point and two bad ones."""
    about = tmp_path / "acme_format-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-format\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[cachetop.formats]\nacme = acme_format:Acme\nbroken = acme_format:Missing\ntriton = acme_format:Acme\n"
    )
    (tmp_path / "acme_format.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    locations.plugins.cache_clear()
    yield
    locations.plugins.cache_clear()
    sys.modules.pop("acme_format", None)


def test_another_package_can_add_a_format(world: Path, plugin: None) -> None:
    (world / "acme").mkdir()
    (world / "acme" / "kernel").write_bytes(b"x" * 100)
    found = Scanner(locations.kernel_roots()).scan()
    assert {entry.kind for entry in found.entries} == {"acme"}
    assert next(cache for cache in found.caches if cache.kind == "acme").reason == "the plugin says so"
    assert "triton" in {cache.kind for cache in found.caches}  # ours are not replaced, a broken one is left out
