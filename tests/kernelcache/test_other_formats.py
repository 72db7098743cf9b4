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


def test_vllms_own_layout_with_unpacked_and_packed_artifacts(tmp_path: Path, inductor_tree: Path, look: Look) -> None:
    rank = tmp_path / "torch_compile_cache" / "3f9a01c2d4" / "rank_0_0"
    part = rank / "backbone"
    unpacked = part / "artifact_compile_range_1_8192_subgraph_0"
    shutil.copytree(inductor_tree, unpacked)
    shutil.copytree(inductor_tree / "triton" / "0", rank / "triton_cache")
    (rank / "inductor_cache").mkdir()
    for name in ("computation_graph.py", "vllm_compile_cache.py", "cache_key_factors.json"):
        (part / name).write_text("{}")
    (part / "artifact_compile_range_1_8192_subgraph_1").write_bytes(b"x" * 9000)
    found = look(tmp_path, "vllm", ["sm_90"])
    assert found.size_on_disk == _on_disk(tmp_path)
    kernels = [entry for entry in found.entries if entry.name and entry.sm == ("sm_90",)]
    assert {entry.path.split("/")[3] for entry in kernels} == {"triton_cache", "backbone"}
    (rest,) = [entry for entry in found.entries if entry.part == "compiled graphs"]
    assert rest.files == 4
    scanner = Scanner([Location("vllm", str(tmp_path), "")])
    scanner.scan()
    for entry in found.entries:
        place = scanner.location(entry)
        below = os.path.relpath(place, tmp_path)
        owner = scanner.owner("vllm", f"{below}/x" if os.path.isdir(place) else below)
        assert entry is rest or owner in (entry.path, None) or os.path.dirname(entry.path) == os.path.dirname(owner)
    shutil.rmtree(unpacked)
    assert {entry.path.split("/")[3] for entry in scanner.scan().entries if entry.name} == {"triton_cache"}


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


def _variant(hub: Path, repo: str, variant: str, metadata: str) -> Path:
    """A variant as huggingface_hub lays it out: links into `blobs`, one named by sha256, one by git's sha1."""
    folder = hub / repo / "snapshots" / ("c" * 40) / "build" / variant
    folder.mkdir(parents=True)
    (hub / repo / "blobs").mkdir(exist_ok=True)
    for name, raw, digest in (("_k.abi3.so", b"x" * 5000, "a" * 64), ("metadata.json", metadata.encode(), "b" * 40)):
        (hub / repo / "blobs" / digest).write_bytes(raw)
        (folder / name).symlink_to(f"../../../../blobs/{digest}")
    return folder


ACTIVATION = (
    '{"name":"activation","id":"_activation_9b27a4e","version":1,"license":"Apache-2.0","python-depends":[],'
    '"backend":{"type":"cuda","archs":["7.5","8.0","9.0a","10.0f","12.0+PTX"]}}'
)
"""As `kernels` 0.17.2 reads it (`Metadata.from_bytes`)."""


@pytest.mark.parametrize(
    ("variant", "torch", "cuda"),
    [
        ("torch210-cxx11-cu128-x86_64-linux", "2.10", "12.8"),
        ("torch29-cu130-aarch64-linux", "2.9", "13.0"),
        ("torch-stable-abi29-cu128-x86_64-linux", None, "12.8"),
        ("tvm-ffi01-cu126-x86_64-linux", None, "12.6"),
    ],
)
def test_the_gpus_of_a_kernel_repo_stand_in_its_metadata(
    tmp_path: Path, look: Look, variant: str, torch: str | None, cuda: str
) -> None:
    _variant(tmp_path, "kernels--kernels-community--activation", variant, ACTIVATION)
    (entry,) = look(tmp_path, "hf-kernels", ["sm_89"]).entries
    assert entry.sm == ("sm_75", "sm_80", "sm_90a", "sm_100f", "sm_120") and entry.stale == ()
    assert (entry.producer.torch, entry.producer.cuda) == (torch, cuda)
    (foreign,) = look(tmp_path, "hf-kernels", ["sm_70"]).entries
    assert [one.rule for one in foreign.stale] == ["foreign-sm"]
    (alias,) = look(tmp_path, "hf-kernels", ["sm_121"]).entries
    assert [one.rule for one in alias.stale] == ["sm-alias"]


@pytest.mark.parametrize("metadata", ["", "{", "[]", '{"backend":{"archs":7}}', '{"backend":{"archs":["gfx942"]}}'])
def test_metadata_that_names_no_gpu_leaves_it_open(tmp_path: Path, look: Look, metadata: str) -> None:
    _variant(tmp_path, "kernels--a--b", "torch210-cxx11-cu128-x86_64-linux", metadata)
    (entry,) = look(tmp_path, "hf-kernels", ["sm_70"]).entries
    assert (entry.sm, entry.stale) == ((), ())


def test_metadata_is_not_read_through_a_link_out_of_the_repo(tmp_path: Path, look: Look) -> None:
    folder = _variant(tmp_path, "kernels--a--b", "torch210-cxx11-cu128-x86_64-linux", "{}")
    (tmp_path / "secret").write_text(ACTIVATION)
    (folder / "metadata.json").unlink()
    (folder / "metadata.json").symlink_to(tmp_path / "secret")
    assert look(tmp_path, "hf-kernels").entries[0].sm == ()


def test_repos_of_the_older_type_hold_kernels_too_and_weights_are_none(tmp_path: Path, look: Look) -> None:
    _variant(tmp_path, "models--kernels-community--rotary", "torch29-cxx11-cu126-x86_64-linux", ACTIVATION)
    (tmp_path / "models--a--b" / "snapshots" / ("c" * 40) / "build" / "debug").mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs").mkdir()
    scanner = Scanner([Location("hf-kernels", str(tmp_path), "")])
    (entry,) = scanner.scan().entries
    assert entry.name == "kernels-community/rotary" and scanner.scan(quick=True).entries == (entry,)


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


def test_repos_of_weights_cost_a_look_one_open_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _variant(tmp_path, "kernels--kernels-community--activation", "torch29-cxx11-cu126-x86_64-linux", ACTIVATION)
    for number in range(50):
        (tmp_path / f"models--org--m{number}" / "snapshots" / f"{number:040x}").mkdir(parents=True)
        (tmp_path / f"models--org--m{number}" / "blobs").mkdir()
    scanner = Scanner([Location("hf-kernels", str(tmp_path), "")])
    opened: list[str] = []
    true = os.open

    def counted(path: str, *more: int, **named: int) -> int:
        opened.append(path)
        return true(path, *more, **named)

    monkeypatch.setattr(os, "open", counted)
    assert len(scanner.scan().entries) == 1
    mine = [path for path in opened if path.startswith("models--")]
    assert len(mine) == 50, mine[:4]


def test_a_file_that_goes_while_flashinfers_folders_are_listed_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _operator(tmp_path, "page")
    log = tmp_path / "0.7.2" / "75_90a" / "flashinfer_jit.log"
    log.write_text("x")
    other = tmp_path / "0.7.2" / "80" / "cached_ops" / "decode"
    other.mkdir(parents=True)
    (other / "decode.so").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    scanner = Scanner([Location("flashinfer", str(tmp_path), "")])
    true = os.lstat

    def lstat(path: str, **named: int) -> os.stat_result:
        if path == log.name:
            log.unlink(missing_ok=True)
        return true(path, **named)

    monkeypatch.setattr(os, "lstat", lstat)
    found = scanner.scan()
    assert {entry.key for entry in found.entries} == {"page", "decode"}
    assert [cache.problem for cache in found.caches] == [None]
