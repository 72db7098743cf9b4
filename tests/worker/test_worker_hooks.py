"""Hooks whose events need a compiler or a second device, run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.conversion.worker.device import Choice, covers
from cachetop.conversion.worker.kernels import Roots
from support.workers import Event, environment, events, named

START = """
import sys
from cachetop.conversion.worker.record import Recorder
recorder = Recorder()
recorder.open(sys.argv[1] + "/events.jsonl", "probe")
"""

COMPILE = (
    START
    + """
import torch, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from cachetop.conversion.worker.kernels import KernelWatch
watch = KernelWatch(recorder)
watch.open({"triton": sys.argv[1] + "/triton"})
for _, hook in watch.hooks():
    hook()

@triton.jit
def add(x, y, o, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(o + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n), mask=i < n)

source = triton.compiler.ASTSource(
    fn=add, signature={"x": "*fp32", "y": "*fp32", "o": "*fp32", "n": "i32", "BLOCK": "constexpr"},
    constexprs={"BLOCK": 256},
)
for _ in range(2):
    triton.compile(source, target=GPUTarget("cuda", 80, 32))
torch.compile(lambda x: x + 1, backend="aot_eager")(torch.ones(3))
assert watch.roots.changed() == ["triton"], watch.roots.changed()
assert watch.seen == 2
recorder.finish("success", None, "", None)
"""
)

MOVE = (
    START
    + """
from cachetop.conversion.worker.hooks import ModelWatch
watch = ModelWatch(recorder)
watch.install_torch()
assert watch.inactive == [], watch.inactive
import pathlib
from transformers import AutoModelForObjectDetection
folder = next(pathlib.Path(sys.argv[2]).glob("hub/models--*layout-heron/snapshots/*"))
model = AutoModelForObjectDetection.from_pretrained(str(folder))
model.to("meta")
model.to("meta")
recorder.finish("success", *watch.start(), None)
"""
)


def probe(folder: Path, script: str, *more: str, **env: str) -> list[Event]:
    """Run a script that records its events in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), *more],
        env=environment(folder / "home", **env), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return events(folder)


def test_a_compiled_kernel_and_a_hit_are_told_apart(tmp_path: Path) -> None:
    # triton.compile gets its kernel from a file: the script must be one
    (tmp_path / "compile.py").write_text(COMPILE)
    run = f"import runpy; runpy.run_path({str(tmp_path / 'compile.py')!r}, run_name='__main__')"
    told = probe(tmp_path, run, TRITON_CACHE_DIR=str(tmp_path / "triton"))
    compiled, hit = named(told, "kernel-compiled", "kernel-hit")
    assert (compiled["event"], hit["event"]) == ("kernel-compiled", "kernel-hit")
    for event in (compiled, hit):
        assert (event["cache"], event["name"], event["sm"]) == ("triton", "add", "sm_80")
        assert (tmp_path / "triton" / event["key"] / "add.cubin").is_file()
    assert compiled["milliseconds"] > hit["milliseconds"]
    triton, dynamo = named(told, "phase-finished")
    assert triton["phase"] == dynamo["phase"] == "compile"
    assert triton["seconds"] == pytest.approx(compiled["milliseconds"] / 1000, abs=1e-3)
    assert dynamo["seconds"] > 0


def test_a_move_to_another_device_belongs_to_its_model(tmp_path: Path, tiny_hub: Path) -> None:
    """torch's meta device stands in for a GPU: a move to it is a move."""
    told = probe(tmp_path, MOVE, str(tiny_hub))
    names = [event["event"] for event in told if event["event"].startswith("model-")]
    assert names == ["model-loading", "model-read", "model-moved", "model-loaded"]
    [moved], [loaded] = named(told, "model-moved"), named(told, "model-loaded")
    assert (moved["from"], moved["to"], moved["repo"]) == ("cpu", "meta", "docling-project/docling-layout-heron")
    assert moved["bytes"] == 4 * loaded["parameters"]
    assert loaded["device"] == "meta"
    assert loaded["seconds"] >= moved["seconds"]


SM = st.tuples(st.integers(5, 12), st.integers(0, 9))


@given(SM, SM)
def test_sass_runs_within_its_major_version_only(built: tuple[int, int], gpu: tuple[int, int]) -> None:
    fits = built[0] == gpu[0] and built[1] <= gpu[1]
    assert covers([f"sm_{built[0]}{built[1]}"], *gpu) is fits
    assert covers([f"sm_{built[0]}{built[1]}a"], *gpu) is (built == gpu)


@given(SM, SM, st.lists(st.text(max_size=8)))
def test_ptx_runs_on_everything_newer(built: tuple[int, int], gpu: tuple[int, int], noise: list[str]) -> None:
    noise = [name for name in noise if not name.startswith(("sm_", "compute_"))]
    assert covers([*noise, f"compute_{built[0]}{built[1]}"], *gpu) is (built <= gpu)
    assert covers(noise, *gpu) is False


def test_the_compile_note_follows_from_what_was_watched(tmp_path: Path) -> None:
    gpu = Choice("cuda", "cuda:0", sm="sm_90", sm_shipped=True)
    (tmp_path / "triton").mkdir()
    roots = Roots({"triton": str(tmp_path / "triton"), "nvrtc": str(tmp_path / "none")})
    assert roots.note(Choice("auto")) == "CPU run: no GPU kernels"
    assert (
        roots.note(gpu)
        == "Nothing compiled: nothing changed in 2 watched kernel caches, and torch ships kernels for sm_90"
    )
    (tmp_path / "triton" / "ENTRY").mkdir()
    assert "triton changed" in roots.note(gpu)
    assert "no kernel cache was watched" in Roots({}).note(gpu)


@pytest.mark.parametrize("found", [True, False])
def test_rapidocrs_own_download_is_said(tmp_path: Path, found: bool) -> None:
    """From a server on the loopback; a failure says what to do, and is RapidOCR's to raise."""
    (tmp_path / "served").mkdir()
    if found:
        (tmp_path / "served" / "rec_arabic.onnx").write_bytes(b"x" * 70_000)
    script = (
        START
        + """
import http.server, functools, logging, threading
from pathlib import Path
from cachetop.conversion.worker.downloads import watch_rapidocr
from rapidocr.utils.download_file import DownloadFile, DownloadFileInput
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/served")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
watch_rapidocr(recorder)
wanted = DownloadFileInput(
    file_url=f"http://127.0.0.1:{server.server_address[1]}/rec_arabic.onnx",
    save_path=Path(sys.argv[1]) / "models" / "rec_arabic.onnx", logger=logging.getLogger("x"),
)
for _ in range(2):
    try:
        DownloadFile.run(wanted)
    except Exception as error:
        print(error)
recorder.finish("success", None, "", None)
"""
    )
    told = probe(tmp_path, script)
    warnings = named(told, "warning")
    assert "RapidOCR fetches rec_arabic.onnx from 127.0.0.1" in warnings[0]["message"]
    if found:
        assert len(warnings) == 1, "the second time it is there"
        assert (named(told, "download")[-1]["bytes"], named(told, "download")[-1]["total"]) == (70_000, 70_000)
    else:
        assert "could not fetch" in warnings[1]["message"] and "--no-ocr" in warnings[1]["hint"]
        assert not named(told, "download")
