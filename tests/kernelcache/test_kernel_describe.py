"""One entry in depth: against NVIDIA's own tools, its stages as text, as JSON, as a document."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import triton

from cachetop.base.users import user_name
from cachetop.cli import kernels as verb
from cachetop.cli.exits import Refused
from cachetop.kernelcache import resources, sass
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import stage_text
from cachetop.locations import Location
from cachetop_tui.documents.kernel_code import coloured
from support.triton_cache import compile_kernels

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
STAGES = ["source", "ttir", "ttgir", "llir", "ptx", "cubin", "json", "group"]


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SMs that the shared cache lacks, and a kernel that spills."""
    folder = tmp_path_factory.mktemp("elsewhere")
    compile_kernels(folder / "cache", folder / "work", "add_kernel", "50,52,53,60,61,62,70,72,87,103,110,121")
    return compile_kernels(folder / "cache", folder / "work", "spill_kernel", "90")


def _picture(root: Path) -> tuple[Scanner, list[Entry]]:
    scanner = Scanner([Location("triton", str(root), "the test says so")])
    return scanner, list(with_detail(scanner.scan(), scanner, None).entries)


def _one(root: Path, sm: str = "sm_90") -> tuple[Scanner, Entry]:
    scanner, entries = _picture(root)
    return scanner, next(entry for entry in entries if entry.sm == (sm,) and entry.name != "add_kernel")


def test_resources_are_those_that_nvidias_tools_print(compiled: Path, elsewhere: Path) -> None:
    seen = set()
    for path in [*compiled.glob("*/*.cubin"), *elsewhere.glob("*/*.cubin")]:
        said = subprocess.run(
            [TOOLS / "cuobjdump", "--dump-resource-usage", path], capture_output=True, text=True, check=True
        ).stdout
        usage = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", said)
        assert usage is not None
        found = resources.read(str(path))
        assert (found.registers, found.stack, found.shared_static) == tuple(map(int, usage.groups()))
        warps = json.loads(path.with_suffix(".json").read_text())["num_warps"]
        assert found.threads == 32 * warps
        seen.add(path.name)
    assert seen == {"add_kernel.cubin", "softmax_kernel.cubin", "spill_kernel.cubin"}


def test_spills_and_barriers_are_those_of_the_code(compiled: Path, elsewhere: Path) -> None:
    (spilling,) = elsewhere.glob("*/spill_kernel.cubin")
    for path in [spilling, *compiled.glob("*/*.cubin")]:
        code = subprocess.run([TOOLS / "nvdisasm", "-c", path], capture_output=True, text=True, check=True).stdout
        found = resources.read(str(path))
        assert found.spills == len(re.findall(r"\b(?:STL|LDL)\b", code))
        assert (found.barriers or 0) == len(set(re.findall(r"\bBAR\.SYNC\S* (0x\w+)", code)))
    assert (resources.read(str(spilling)).spills or 0) > 50


def test_a_description_holds_all_that_the_files_say(compiled: Path) -> None:
    scanner, entry = _one(compiled)
    found = describe(entry, scanner)
    folder = compiled / entry.key
    assert [stage.name for stage in found.stages] == STAGES
    assert {stage.file: stage.size for stage in found.stages} == {p.name: p.stat().st_size for p in folder.iterdir()}
    assert (found.options["num_warps"], found.options["num_stages"], found.options["enable_fp_fusion"]) == (4, 3, True)
    assert not found.options.keys() & {"hash", "target", "shared", "extern_libs"}
    assert found.resources is not None
    assert found.resources.shared_dynamic == json.loads((folder / "softmax_kernel.json").read_text())["shared"]
    assert found.rebuild_milliseconds == entry.build_milliseconds
    took = [stage.milliseconds for stage in found.stages[1:7]]
    assert all(one is not None and one >= 0 for one in took)
    assert sum(one or 0 for one in took) <= (found.rebuild_milliseconds or 0) + 0.01
    assert found.source is not None and found.source.endswith("program.py") and found.source_line
    assert found.location == str(folder)
    assert found.producer.cuda is not None and found.producer.triton == "3.8.0"


def test_text_of_a_stage_is_bounded_and_cleaned(cache: Path) -> None:
    scanner, entry = _one(cache)
    whole = stage_text(entry, scanner, "ptx")
    assert not whole.cut and any(line.startswith(".target sm_90a") for line in whole.lines)
    file = cache / entry.key / "softmax_kernel.ptx"
    file.write_bytes(b"\x1b[2J evil\n" + b"x" * 3_000_000)
    cut = stage_text(entry, scanner, "ptx", 1000)
    assert cut.cut and cut.size == file.stat().st_size
    assert "\x1b" not in cut.lines[0] and sum(map(len, cut.lines)) < 1000
    for stage, reason in (("cubin", "no text"), ("nonsense", "it has source")):
        with pytest.raises(ValueError, match=reason):
            stage_text(entry, scanner, stage)


def test_a_stage_that_leads_elsewhere_is_not_followed(cache: Path, tmp_path: Path) -> None:
    scanner, entry = _one(cache)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    file = cache / entry.key / "softmax_kernel.ptx"
    file.unlink()
    file.symlink_to(secret)
    assert "ptx" not in [stage.name for stage in describe(entry, scanner).stages]
    with pytest.raises(ValueError, match="no stage"):
        stage_text(entry, scanner, "ptx")


def test_an_entry_that_went_is_described_with_a_problem(cache: Path) -> None:
    scanner, entry = _one(cache)
    for path in (cache / entry.key).iterdir():
        path.unlink()
    found = describe(entry, scanner)
    assert [problem.rule for problem in found.problems] == ["gone"]
    assert (found.resources, found.stages, found.options) == (None, (), {})


def test_sass_comes_from_the_users_disassembler_and_leaves_no_trace(
    cache: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner, entry = _one(cache)
    file = cache / entry.key / "softmax_kernel.cubin"
    os.utime(file, (1, file.stat().st_mtime))
    text = sass.disassemble(entry, scanner, str(TOOLS / "nvdisasm"))
    assert any("EXIT" in line for line in text.lines)
    assert file.stat().st_atime == 1
    monkeypatch.setattr("sys.prefix", str(world))
    assert sass.nvdisasm({"PATH": str(world)}) is None
    assert sass.nvdisasm({"PATH": str(TOOLS)}) == str(TOOLS / "nvdisasm")
    monkeypatch.setenv("PATH", str(world))
    with pytest.raises(ValueError, match="nvdisasm was not found"):
        sass.disassemble(entry, scanner)


def test_no_tool_is_run_from_an_environment_that_only_an_entry_names(cache: Path, world: Path) -> None:
    """An entry can name any path: what lies there must not be executed."""
    scanner, entry = _one(cache)
    evil = world / "evil" / "lib" / "python3.11" / "site-packages" / "triton" / "backends" / "nvidia"
    (evil / "bin").mkdir(parents=True)
    (evil / "bin" / "nvdisasm").write_text(f"#!/bin/sh\ntouch {world}/ran\n")
    (evil / "bin" / "nvdisasm").chmod(0o755)
    file = cache / entry.key / "softmax_kernel.json"
    said = json.loads(file.read_text())
    said["extern_libs"] = [["libdevice", str(evil / "lib" / "libdevice.10.bc")]]
    file.write_text(json.dumps(said))
    scanner, entry = _one(cache)
    assert entry.producer.environment == str(world / "evil")
    describe(entry, scanner)
    try:
        sass.disassemble(entry, scanner)
    except ValueError:
        pass  # where there is no tool at all
    assert not (world / "ran").exists()


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    top = argparse.ArgumentParser()
    verb.add(top.add_subparsers())
    args = top.parse_args(["kernels", *words])
    code = args.run(args)
    done = capsys.readouterr()
    return code, done.out, done.err


@pytest.fixture
def entry(cache: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(cache))
    return _one(cache)[1]


def test_show_prints_the_contract(capsys: pytest.CaptureFixture[str], entry: Entry) -> None:
    code, out, _ = _run(capsys, "show", entry.key, "--json")
    said: dict[str, Any] = json.loads(out)
    assert (code, said["schema"], said["key"]) == (0, "cachetop.kernel/1", entry.key)
    assert {"cache", "kind", "name", "sm", "size_on_disk", "files", "created", "last_used", "state", "producer",
            "stale", "problems", "options", "stages", "rebuild_milliseconds"} <= said.keys()  # fmt: skip
    assert said["resources"].keys() == {
        "registers", "stack", "spills", "shared_static", "shared_dynamic", "threads", "barriers"
    }  # fmt: skip
    assert all(stage.keys() >= {"name", "file", "size"} for stage in said["stages"])


def test_show_for_people(capsys: pytest.CaptureFixture[str], entry: Entry) -> None:
    code, out, _ = _run(capsys, "show", entry.key[:10], "--assume-sm", "80")
    assert code == 0 and out.startswith("softmax_kernel: sm_90a, complete\n")
    assert (
        re.search(r"registers +\d+\n +stack +\d+ B\n", out)
        and "num_warps = 4" in out
        and re.search(r"\n  stale\n  ! foreign-sm +it is for sm_90", out)
    )
    code, out, _ = _run(capsys, "show", entry.key, "--stage", "ttgir")
    assert code == 0 and "tt.func" in out
    code, out, _ = _run(capsys, "show", entry.key, "--stage", "sass", "--nvdisasm", str(TOOLS / "nvdisasm"))
    assert code == 0 and "EXIT" in out


def test_show_says_rule_by_rule_what_it_found(capsys: pytest.CaptureFixture[str], entry: Entry) -> None:
    code, out, _ = _run(capsys, "show", entry.key, "--assume-sm", "90")
    assert code == 0 and re.search(r"\n  not stale\n    foreign-sm +a GPU here has sm_90\n", out)
    _, out, _ = _run(capsys, "show", entry.key, "--assume-sm", "90", "--json")
    found = {one["rule"]: (one["holds"], one["evidence"]) for one in json.loads(out)["checks"]}
    assert found["foreign-sm"] == (True, "a GPU here has sm_90") and found["truncated"][0] is True


def test_who_builds_it_is_known_from_the_files_and_their_names(cache: Path) -> None:
    half = cache / ("A" * 52)
    temporary = half / f"tmp.pid_{os.getpid()}_0123"
    temporary.mkdir(parents=True)
    (temporary / "add_kernel.ttir").write_text("x")
    scanner, entries = _picture(cache)
    by_key = {entry.key: describe(entry, scanner).built_by for entry in entries}
    mine = user_name(os.geteuid())
    assert by_key.pop(half.name).to_dict() == {"user": mine, "pid": os.getpid(), "running": True}
    assert {who.user for who in by_key.values()} == {mine} and {who.pid for who in by_key.values()} == {None}


def test_show_says_what_is_wrong(capsys: pytest.CaptureFixture[str], entry: Entry, cache: Path) -> None:
    assert _run(capsys, "show", "NOSUCHKEY")[0] == 1
    assert "ptx" in _run(capsys, "show", entry.key, "--stage", "wasm")[2]
    for words in (["show"], ["ls", entry.key]):
        with pytest.raises(Refused):
            _run(capsys, *words)


def test_colours_change_no_character(compiled: Path) -> None:
    scanner, entry = _one(compiled)
    words = set()
    for stage in ("source", "ttir", "ttgir", "llir", "ptx", "json"):
        for line in stage_text(entry, scanner, stage).lines:
            pieces = list(coloured(stage, line))
            assert "".join(piece for piece, _ in pieces) == line
            words |= {word for _, word in pieces}
    assert {"s.dir", "s.var", "s.num", "s.key", "s.com", "s.type"} <= words
