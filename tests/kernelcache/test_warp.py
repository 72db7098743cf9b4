"""Warp's cache: what Warp 1.19 wrote on a CPU, and what its NVRTC compiled for four GPUs, byte for byte."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import triton
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.cli import kernel_show
from cachetop.kernelcache import environments, resources
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import stage_text
from cachetop.locations import Location, kernel_roots
from cachetop_tui.documents import kernel
from support.pruning import allocated, carry_out, plan_kernels

Look = Callable[..., Kernels]
GPU, CPU = "wp___main___d285e53", "wp___main___ad5fd97"
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
RECORDED = Path(__file__).parent / "recorded" / "warp-1.19.tar.xz"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache as it was recorded, with its times. Shared: not to be changed."""
    return unpack(tmp_path_factory.mktemp("warp"))


@pytest.fixture
def warp(tmp_path: Path) -> Path:
    """A cache of this test's own."""
    return unpack(tmp_path / "warp")


def unpack(folder: Path) -> Path:
    with tarfile.open(RECORDED) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _by_key(found: Kernels) -> dict[str, Entry]:
    return {entry.key: entry for entry in found.entries}


def _environment(world: Path, name: str, package: str) -> None:
    (world / "venvs" / name / "lib" / "python3.11" / "site-packages" / f"{package}.dist-info").mkdir(parents=True)
    environments._found = None


def test_a_module_is_one_entry_with_every_target_it_was_built_for(recorded: Path, look: Look) -> None:
    found = _by_key(look(recorded, "warp"))
    assert found.keys() == {GPU, CPU}
    assert found[GPU].sm == ("sm_75", "sm_86", "sm_90", "sm_120") and found[CPU].sm == ()
    for entry in found.values():
        assert (entry.name, entry.state, entry.part, entry.stale) == ("__main__", "complete", "module", ())
        assert entry.path == f"1.19.0/{entry.key}" and entry.producer.package == "warp-lang 1.19.0"
        assert entry.size_on_disk == allocated(recorded / entry.path)
    assert found[CPU].build_milliseconds == pytest.approx(1896.03, abs=0.01)  # Warp itself said 1904.98
    assert found[GPU].build_milliseconds == pytest.approx(488.4, abs=0.01)


def test_machine_code_is_looked_for_by_exact_sm_and_ptx_by_that_and_newer(warp: Path, look: Look) -> None:
    def foreign(sm: str) -> bool:
        entry = _by_key(look(warp, "warp", [sm]))[GPU]
        return "foreign-sm" in [one.rule for one in entry.stale]

    assert not any(map(foreign, ("sm_75", "sm_80", "sm_120", "sm_121"))) and foreign("sm_70")
    (warp / "1.19.0" / GPU / f"{GPU}.sm75.ptx").unlink()
    assert foreign("sm_89") and foreign("sm_121") and not foreign("sm_86")
    (warp / "1.19.0" / GPU / f"{GPU}.o").write_bytes(b"\x7fELF")
    assert not foreign("sm_89")  # the CPU can use it


def test_a_build_in_flight_an_abandoned_one_and_one_of_an_old_release(warp: Path, look: Look) -> None:
    for name in (f"{GPU}_p{os.getpid()}_t140", f"{GPU}_p999999999_t140"):
        (warp / "1.19.0" / name).mkdir()
        (warp / "1.19.0" / name / f"{GPU}.cu").write_text("x")
    (warp / "wp_old").mkdir()  # where releases before 1.13 wrote, without hash
    for ending in ("meta", "sm86.cubin", "cu"):
        (warp / "1.19.0" / GPU / f"{GPU}.{ending}").rename(warp / "wp_old" / f"wp_old.{ending}")
    (warp / "1.19.0" / "lto").mkdir()
    (warp / "1.19.0" / "lto" / "0123456789abcdef.lto").write_bytes(b"x")
    old = time.time() - 3600
    for path in (warp / "1.19.0" / f"{GPU}_p999999999_t140", warp / "1.19.0" / f"{GPU}_p{os.getpid()}_t140"):
        os.utime(path / f"{GPU}.cu", (old, old))
        os.utime(path, (old, old))
    found = _by_key(look(warp, "warp"))
    assert found["wp_old"].path == "wp_old" and found["wp_old"].name == "old" and found["wp_old"].sm == ("sm_86",)
    assert found[f"{GPU}_p999999999_t140"].state == "orphan" and found["lto"].state == "helper"
    # this process is younger than the folder: it has only inherited the number
    assert found[f"{GPU}_p{os.getpid()}_t140"].state == "orphan"
    os.utime(warp / "1.19.0" / f"{GPU}_p{os.getpid()}_t140")
    assert _by_key(look(warp, "warp"))[f"{GPU}_p{os.getpid()}_t140"].state == "compiling"


def test_another_target_is_seen_by_the_next_look_and_the_rest_stays_the_same(warp: Path) -> None:
    scanner = Scanner([Location("warp", str(warp), "")])
    before = _by_key(scanner.scan())
    (warp / "1.19.0" / GPU / f"{GPU}.sm89.cubin").write_bytes(b"x")
    after = _by_key(scanner.scan(quick=True))
    assert "sm_89" in after[GPU].sm and after[CPU] is before[CPU]
    assert scanner.owner("warp", f"1.19.0/{GPU}/{GPU}.sm89.cubin") == after[GPU].path
    assert scanner.location(after[GPU]) == str(warp / "1.19.0" / GPU)


def test_what_is_damaged_is_named(warp: Path, look: Look) -> None:
    code = warp / "1.19.0" / GPU / f"{GPU}.sm90.cubin"
    code.write_bytes(code.read_bytes()[:20_000])
    (stale,) = _by_key(look(warp, "warp"))[GPU].stale
    assert stale.rule == "truncated" and "sm90.cubin cannot be loaded" in stale.evidence
    (warp / "1.19.0" / CPU / f"{CPU}.meta").write_bytes(b'{"add": ')
    assert [one.rule for one in _by_key(look(warp, "warp"))[CPU].stale] == ["truncated"]


def test_the_release_of_no_environment_here_and_a_newer_build_of_the_same(world: Path, warp: Path, look: Look) -> None:
    _environment(world, "a", "warp_lang-1.20.1")
    (warp / "1.19.0").rename(warp / "1.18.0")
    unpack(warp)
    (warp / "1.19.0").rename(warp / "1.20.1")
    found = {entry.path: entry for entry in look(warp, "warp").entries}
    old = found[f"1.18.0/{GPU}"]
    rules = {one.rule: one.evidence for one in old.stale}
    assert "superseded" in rules and "warp-lang 1.20.1" in rules["superseded"]
    assert not found[f"1.20.1/{GPU}"].stale and "toolchain-gone" in rules
    _environment(world, "b", "warp_lang-1.18.0")
    assert not {entry.path: entry for entry in look(warp, "warp").entries}[f"1.18.0/{GPU}"].stale


def test_an_access_is_a_use_but_no_proof_of_a_second_one(warp: Path, look: Look) -> None:
    meta = warp / "1.19.0" / GPU / f"{GPU}.meta"
    moment = time.time()
    os.utime(meta, (moment - 50 * 86400, moment - 90 * 86400))
    entry = _by_key(look(warp, "warp"))[GPU]
    if entry.last_used is not None:  # a mount without access times tells nothing
        assert entry.last_used == pytest.approx(moment - 50 * 86400, abs=1) and entry.reused is None
        assert [one.rule for one in entry.stale] == ["unused"]


def test_show_has_the_source_and_the_ptx(recorded: Path) -> None:
    scanner = Scanner([Location("warp", str(recorded), "")])
    entry = _by_key(scanner.scan())[GPU]
    found = describe(entry, scanner)
    assert {stage.name for stage in found.stages} == {"cu", "cubin", "meta", "ptx"}
    assert any(line.startswith(".target sm_75") for line in stage_text(entry, scanner, "ptx").lines)
    assert stage_text(entry, scanner, "cu").lines[0] == "#define WP_NO_BFLOAT16"


def test_every_function_takes_what_nvidias_tool_says(recorded: Path) -> None:
    """Cubins of NVRTC 13.4, of four functions each."""
    for path in sorted((recorded / "1.19.0" / GPU).glob("*.cubin")):
        command = [str(CUOBJDUMP), "--dump-resource-usage", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        wanted = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)", said)
        found = resources.every(str(path))
        assert len(found) == 4
        assert sorted(wanted) == [
            (name, str(one.registers), str(one.stack), str(one.shared_static)) for name, one in found
        ]
    scanner = Scanner([Location("warp", str(recorded), "")])
    described = describe(_by_key(scanner.scan())[GPU], scanner)
    assert len(described.functions) == 12 and described.resources is None
    text = "\n".join(kernel_show.lines(described))
    assert "add_c8f19614_cuda_kernel_forward" in text and "registers 24" in text
    document = "\n".join(line.text for line in kernel.functions(described, 120))
    assert "FUNCTIONS" in document and "add_c8f19614_cuda_kernel_forward" in document


def test_a_module_goes_whole_and_one_that_is_being_built_stays(warp: Path) -> None:
    (warp / "1.19.0" / f"{CPU}_p1_t2").mkdir()
    (warp / "1.19.0" / f"{CPU}_p1_t2" / "x.cpp").write_text("x")
    draft = plan_kernels(warp, kind="warp", all=True)
    assert sorted(item.key for item in draft.plan.items) == sorted([GPU, CPU])
    assert "compiling" in draft.plan.blocked[0].reason
    before = allocated(warp)
    result = carry_out(draft)
    assert result.freed == draft.plan.frees == before - allocated(warp)
    assert [path.name for path in (warp / "1.19.0").iterdir()] == [f"{CPU}_p1_t2"]


def test_where_it_is(world: Path) -> None:
    found = {one.kind: one for one in kernel_roots({"HOME": str(world), "XDG_CACHE_HOME": "/x"})}
    assert found["warp"].path == "/x/warp" and found["warp"].variable == "XDG_CACHE_HOME"
    found = {one.kind: one for one in kernel_roots({"HOME": str(world), "WARP_CACHE_PATH": "/w"})}
    assert found["warp"].path == "/w"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_to_any_file_is_a_row(recorded: Path, data: st.DataObject) -> None:
    folder = recorded.parent / "changed"
    here = folder / "1.19.0" / GPU
    here.mkdir(parents=True, exist_ok=True)
    for path in (recorded / "1.19.0" / GPU).iterdir():
        (here / path.name).write_bytes(path.read_bytes())
    name = data.draw(st.sampled_from(sorted(path.name for path in here.iterdir())))
    raw = bytearray((here / name).read_bytes())
    del raw[data.draw(st.integers(0, len(raw))) :]
    for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (here / name).write_bytes(raw)
    scanner = Scanner([Location("warp", str(folder), "")])
    (entry,) = scanner.scan().entries
    assert entry.state == "complete" and describe(entry, scanner).stages
