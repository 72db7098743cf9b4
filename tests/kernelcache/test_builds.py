"""What ninja built: an extension that torch builds here, and an operator that FlashInfer 0.7.2 built, byte for byte.

The operator's record was made by FlashInfer itself for `8.0 9.0a` with a stand-in for nvcc (g++): all but the objects
and the library is as on a machine with a GPU. Its paths were changed to others of the same length.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.kernelcache import environments, ninja
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from support.pruning import allocated, carry_out, plan_kernels

Look = Callable[..., Kernels]
PROGRAM = """
from torch.utils.cpp_extension import load
load("add_one", ["add.cpp"], is_python_module=False)
load("add_program", ["main.cpp"], is_python_module=False, is_standalone=True)
"""
RECORDED = Path(__file__).parent / "recorded" / "flashinfer-0.7.2.tar.xz"
MADE_IN = "/home/ana/gpubox/base/.cache/flashinfer"
OPERATOR = "0.7.2.post1/80_90a/cached_ops/page"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two extensions that torch built, in the place TORCH_EXTENSIONS_DIR names. Shared: not to be changed."""
    work = tmp_path_factory.mktemp("built")
    (work / "add.cpp").write_text('extern "C" int add_one(int n) { return n + 1; }\n')
    (work / "main.cpp").write_text("int main() { return 0; }\n")
    tools = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {**os.environ, "HOME": str(work), "TORCH_EXTENSIONS_DIR": str(work / "cache"), "PATH": tools}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=work, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return work / "cache"


@pytest.fixture
def extensions(built: Path, tmp_path: Path) -> Path:
    """A copy in the default place's shape: below the Python and CUDA release."""
    shutil.copytree(built, tmp_path / "ext" / "py311_cu130")
    return tmp_path / "ext"


@pytest.fixture
def flashinfer(tmp_path: Path) -> Path:
    """FlashInfer's cache as recorded, made to say that it was built here."""
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path / "flashinfer", filter="data")
    file = tmp_path / "flashinfer" / OPERATOR / "build.ninja"
    file.write_text(file.read_text().replace(MADE_IN, str(tmp_path / "flashinfer")))
    return tmp_path / "flashinfer"


@pytest.fixture(autouse=True)
def _found_anew(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_found", None)


def _by_key(found: Kernels) -> dict[str, Entry]:
    return {entry.key: entry for entry in found.entries}


def _rules(entry: Entry) -> list[str]:
    return [one.rule for one in entry.stale]


def test_where_the_variable_is_set_extensions_lie_in_it_directly(built: Path, look: Look) -> None:
    found = _by_key(look(built, "torch-extensions"))
    assert found.keys() == {"add_one", "add_program"}
    for entry in found.values():
        assert (entry.state, entry.sm, entry.path, entry.stale) == ("complete", (), entry.key, ())
        assert entry.producer.environment == sys.prefix
        assert entry.build_milliseconds is not None and 0 < entry.build_milliseconds < 60_000
        assert entry.size_on_disk == allocated(built / entry.key)


def test_an_extension_is_known_by_its_files(extensions: Path, look: Look) -> None:
    found = _by_key(look(extensions, "torch-extensions"))
    one = found["add_one"]
    assert (one.path, one.producer.cuda, one.part) == ("py311_cu130/add_one", "13.0", "extension")
    library = extensions / one.path / "add_one.so"
    library.write_bytes(library.read_bytes()[:9000])
    (stale,) = _by_key(look(extensions, "torch-extensions"))["add_one"].stale
    assert stale.rule == "truncated" and "is 9000 bytes long, its header says" in stale.evidence
    library.unlink()
    assert _by_key(look(extensions, "torch-extensions"))["add_one"].state == "compiling"
    for path in (*library.parent.iterdir(), library.parent):
        os.utime(path, (1e9, 1e9))
    assert _by_key(look(extensions, "torch-extensions"))["add_one"].state == "orphan"


def test_an_extension_of_another_python_or_of_headers_that_are_gone(extensions: Path, look: Look) -> None:
    shutil.copytree(extensions / "py311_cu130", extensions / "py39_cu118")
    found = {entry.path: entry for entry in look(extensions, "torch-extensions").entries}
    old = found["py39_cu118/add_one"]
    assert _rules(old) == ["toolchain-gone"] and "built for Python 3.9" in old.stale[0].evidence
    assert not found["py311_cu130/add_one"].stale
    file = extensions / "py311_cu130" / "add_one" / "build.ninja"
    file.write_text(file.read_text().replace(sys.prefix, "/nowhere/venv"))
    (stale,) = _by_key(look(extensions, "torch-extensions"))["add_one"].stale
    assert stale.rule == "toolchain-gone" and "/nowhere/venv/lib/" in stale.evidence


def test_flashinfers_own_build_is_one_operator(flashinfer: Path, look: Look) -> None:
    found = look(flashinfer, "flashinfer", ["sm_90"])
    entries = _by_key(found)
    assert entries.keys() == {"page", "tmp", "flashinfer_jit.log"}
    page = entries["page"]
    assert (page.path, page.sm, page.state, page.stale) == (OPERATOR, ("sm_80", "sm_90a"), "complete", ())
    assert page.producer.package == "flashinfer-python 0.7.2.post1"
    assert page.build_milliseconds == 244  # .ninja_log: from 1 to 245
    assert (entries["tmp"].part, entries["tmp"].state) == ("locks", "helper")
    assert found.size_on_disk == allocated(flashinfer)
    foreign = _by_key(look(flashinfer, "flashinfer", ["sm_120"]))["page"]
    assert _rules(foreign) == ["foreign-sm"] and "sm_80 and sm_90a" in foreign.stale[0].evidence


def test_an_operator_that_was_moved_is_built_anew(flashinfer: Path, look: Look) -> None:
    file = flashinfer / OPERATOR / "build.ninja"
    file.write_text(file.read_text().replace(str(flashinfer), MADE_IN))
    page = _by_key(look(flashinfer, "flashinfer"))["page"]
    assert page.state == "relocated" and _rules(page) == ["relocated"]
    assert f"{MADE_IN}/{OPERATOR}" in page.stale[0].evidence


def test_an_operator_of_a_release_that_no_environment_has(world: Path, flashinfer: Path, look: Look) -> None:
    packages = world / "venvs" / "a" / "lib" / "python3.11" / "site-packages"
    (packages / "flashinfer_python-0.7.3.dist-info").mkdir(parents=True)
    page = _by_key(look(flashinfer, "flashinfer"))["page"]
    assert _rules(page) == ["toolchain-gone"] and "there is 0.7.3" in page.stale[0].evidence
    (packages / "flashinfer_python-0.7.2.post1.dist-info").mkdir()
    environments._found = None
    assert not _by_key(look(flashinfer, "flashinfer"))["page"].stale


def test_an_operator_of_the_cute_dsl_has_no_library(flashinfer: Path, look: Look) -> None:
    folder = flashinfer / "0.7.2.post1" / "80_90a" / "cached_ops" / "gemm_sm_90a_cute_dsl"
    folder.mkdir()
    (folder / "gemm_128x128.o").write_bytes(b"\x7fELF")
    assert _by_key(look(flashinfer, "flashinfer"))[folder.name].state == "compiling"
    (folder / "meta.json").write_text('{"arch": "sm_90a"}')
    assert _by_key(look(flashinfer, "flashinfer"))[folder.name].state == "complete"


def test_an_operator_goes_whole_and_the_locks_stay(flashinfer: Path) -> None:
    draft = plan_kernels(flashinfer, kind="flashinfer", all=True)
    assert {item.key for item in draft.plan.items} == {"page", "flashinfer_jit.log"}
    assert [Path(one.path).name for one in draft.plan.blocked] == ["tmp"]
    assert carry_out(draft).freed == draft.plan.frees
    assert not (flashinfer / OPERATOR).exists() and (flashinfer / OPERATOR).with_name("tmp").exists()


def test_a_log_of_several_runs_tells_no_time(built: Path, tmp_path: Path) -> None:
    log = (built / "add_one" / ".ninja_log").read_text()
    (tmp_path / ".ninja_log").write_text(log + log.splitlines()[1] + "\n")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        assert ninja.milliseconds(handle) is None
    finally:
        os.close(handle)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_to_any_file_is_a_row(built: Path, data: st.DataObject) -> None:
    root = built.parent / "changed"
    (root / "add_one").mkdir(parents=True, exist_ok=True)
    for path in (built / "add_one").iterdir():
        (root / "add_one" / path.name).write_bytes(path.read_bytes())
    name = data.draw(st.sampled_from(["build.ninja", ".ninja_log", "add_one.so"]))
    raw = bytearray((root / "add_one" / name).read_bytes())
    del raw[data.draw(st.integers(0, len(raw))) :]
    for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (root / "add_one" / name).write_bytes(raw)
    scanner = Scanner([Location("torch-extensions", str(root), "")])
    (entry,) = scanner.scan().entries
    assert entry.state == "complete" and describe(entry, scanner).stages
