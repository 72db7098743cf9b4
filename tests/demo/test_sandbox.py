"""The sandbox of `cachetop demo`: it builds real things and touches nothing outside its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from cachetop import locations
from cachetop.demo import handmade
from cachetop.demo.sandbox import MARKER, Sandbox, build, default_folder
from cachetop.hub import beside
from cachetop.hub.roots import roots as hub_roots

CACHE_VARIABLES = (
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TRITON_HOME",
    "TORCHINDUCTOR_CACHE_DIR", "PYTORCH_KERNEL_CACHE_PATH", "CUDA_CACHE_PATH", "TORCH_EXTENSIONS_DIR",
    "CACHETOP_STATE_DIR", "CACHETOP_CONFIG", "XDG_STATE_HOME", "XDG_CONFIG_HOME",
)  # fmt: skip
HEAVY = ("torch", "triton", "transformers", "docling_ibm_models")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python in which none of the heavy packages can be found."""
    for name in HEAVY:
        monkeypatch.setitem(sys.modules, name, None)


@dataclass(frozen=True)
class Told:
    """`cachetop demo` as it ran once in a process of its own, and its home folder before and after."""

    folder: Path
    code: int
    out: str
    err: str
    before: dict[str, int]
    after: dict[str, int]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The command, building a sandbox with everything this Python can make."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("whole") / "sandbox"
    (home / "run").mkdir(mode=0o700)
    env = {k: v for k, v in os.environ.items() if k not in CACHE_VARIABLES}
    env |= {"HOME": str(home), "TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    before = picture(home)
    command = [sys.executable, "-m", "cachetop", "demo", "--folder", str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    return Told(folder, done.returncode, done.stdout, done.stderr, before, picture(home))


@pytest.fixture
def whole(told: Told) -> Sandbox:
    """The sandbox that the command built."""
    return build(told.folder)


def picture(folder: Path) -> dict[str, int]:
    """Every path below a folder with its modification time."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_every_cache_of_the_environment_lies_inside(light: None, tmp_path: Path) -> None:
    sandbox = build(tmp_path / "demo")
    env = {**os.environ, **sandbox.environment()}
    inside = f"{sandbox.folder}/"
    for place in [locations.hub(env), *locations.kernel_roots(env)]:
        assert place.path.startswith(inside), place
    assert locations.hf_home(env)[0].startswith(inside)
    assert str(locations.state_dir(env)).startswith(inside)
    assert str(locations.runtime_dir(env)).startswith(inside)
    assert env["CACHETOP_DEMO"] == "1"


def test_the_users_own_variables_do_not_lead_out(light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HUGGINGFACE_HUB_CACHE",
        "HF_HUB_CACHE",
        "HF_HOME",
        "TRITON_HOME",
        "XDG_CACHE_HOME",
        "CUDA_CACHE_PATH",
        "CACHETOP_HUB_ROOTS",
        "DOCLING_ARTIFACTS_PATH",
        "HF_XET_CACHE",
        "OLLAMA_MODELS",
        "TORCH_HOME",
    ):
        monkeypatch.setenv(name, "/outside")
    settings = tmp_path / "config.toml"
    settings.write_text('[models]\nroots = ["/outside"]\n')
    monkeypatch.setenv("CACHETOP_CONFIG", str(settings))
    sandbox = build(tmp_path / "demo")
    for name in sandbox.environment():  # put back when the test ends
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(tempfile, "tempdir", None)
    sandbox.enter()
    roots = [*hub_roots(), *locations.kernel_roots(), *beside.places()]
    assert not [place.path for place in roots if "/outside" in place.path]
    assert locations.config_file() == sandbox.folder / "config.toml"


def test_without_torch_it_says_so_and_still_has_models_and_a_document(light: None, tmp_path: Path) -> None:
    sandbox = build(tmp_path / "demo")
    assert sandbox.whole
    assert sandbox.document.read_bytes().startswith(b"%PDF-")
    assert any("native pipeline" in note for note in sandbox.notes)
    assert any("No kernels" in note for note in sandbox.notes)
    assert sandbox.start_compiling() is None
    assert {repo.repo_id for repo in scan_cache_dir(tmp_path / "demo/huggingface/hub").repos} == {
        "cachetop-demo/tiny-encoder", "cachetop-demo/tiny-decoder", "cachetop-demo/pages",
    }  # fmt: skip


def test_without_docling_it_does_not_promise_conversions(
    light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docling", None)
    notes = build(tmp_path / "demo").notes
    assert any("no docling either" in note for note in notes)
    assert not any("native pipeline" in note for note in notes)


def test_it_is_used_again_and_nothing_is_made_twice(light: None, tmp_path: Path) -> None:
    first = build(tmp_path / "demo")
    before = picture(tmp_path / "demo")
    said: list[str] = []
    again = build(tmp_path / "demo", said.append)
    assert again == first
    assert said == []
    changed = dict(picture(tmp_path / "demo").items() ^ before.items())
    assert set(changed) <= {str(tmp_path / "demo" / "lock")}


def test_what_is_missing_from_an_older_sandbox_is_added(light: None, tmp_path: Path) -> None:
    sandbox = build(tmp_path / "demo")
    sandbox.document.unlink()
    marker = tmp_path / "demo" / MARKER
    done = json.loads(marker.read_text())
    del done["document"]
    marker.write_text(json.dumps(done))
    build(tmp_path / "demo")
    assert sandbox.document.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"document": '])
def test_a_torn_marker_is_read_as_nothing_done(light: None, tmp_path: Path, text: str) -> None:
    sandbox = build(tmp_path / "demo")
    (tmp_path / "demo" / MARKER).write_text(text)
    assert build(tmp_path / "demo").notes == sandbox.notes


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="no sandbox can be made"):
        build(tmp_path / "file")


def test_the_default_place_is_below_the_state_folder(world: Path) -> None:
    assert default_folder() == world / "state" / "demo"


def test_the_command_touches_nothing_outside(told: Told) -> None:
    assert told.code == 0, told.err
    assert told.after == told.before


def test_the_command_prints_a_labelled_report(told: Told) -> None:
    lines = told.out.splitlines()
    assert lines
    assert all(line.startswith("DEMO") for line in lines)
    assert "6 repos" in told.out
    assert "14 entries" in told.out
    assert "2 x, " in told.out
    assert "12 entries for an SM that no GPU here has" in told.out  # judged by the simulated GPUs, as in the app


def test_models_are_really_in_the_layout_of_the_cache(whole: Sandbox) -> None:
    found = scan_cache_dir(whole.folder / "huggingface" / "hub")
    assert found.warnings == []
    names = {repo.repo_id for repo in found.repos}
    assert {"docling-project/docling-layout-heron", "docling-project/docling-models"} <= names
    encoder = next(repo for repo in found.repos if repo.repo_id == "cachetop-demo/tiny-encoder")
    assert sorted(bool(revision.refs) for revision in encoder.revisions) == [False, True]


def test_handmade_weights_are_valid_safetensors(whole: Sandbox) -> None:
    from safetensors import safe_open

    (path,) = (whole.folder / "huggingface/hub/models--cachetop-demo--tiny-encoder/refs").iterdir()
    snapshot = path.parent.parent / "snapshots" / path.read_text()
    with safe_open(snapshot / "model.safetensors", framework="numpy") as tensors:
        assert tensors.get_slice("encoder.weight").get_shape() == [768, 768]


def test_the_handmade_partial_is_shorter_than_its_file_list_says(tmp_path: Path) -> None:
    handmade.write(tmp_path)
    repo = tmp_path / "models--cachetop-demo--tiny-decoder"
    (partial,) = repo.glob("blobs/*.incomplete")
    (tree,) = repo.glob("trees/*.json")
    listed = json.loads(tree.read_text())["files"]["model.safetensors"]
    assert partial.name.startswith(listed["lfs_sha256"])
    assert 0 < partial.stat().st_size < listed["size"]


def test_kernels_are_really_compiled_for_several_sms(whole: Sandbox) -> None:
    found = [json.loads(path.read_text()) for path in (whole.folder / "triton").glob("*/vector_add.json")]
    assert sorted(entry["target"]["arch"] for entry in found) == [75, 80, 86, 89, 90, 100, 120]
    assert all(path.read_bytes()[:4] == b"\x7fELF" for path in (whole.folder / "triton").glob("*/*.cubin"))


def test_kernels_appear_while_it_runs_and_stop_at_the_number_asked_for(whole: Sandbox) -> None:
    cache = whole.folder / "triton"
    before = {path.name for path in cache.iterdir()}
    process = whole.start_compiling(new=2, pause=0.01)
    assert process is not None
    assert process.wait(timeout=120) == 0
    assert len({path.name for path in cache.iterdir()} - before) == 2


def test_compiling_ends_with_the_process_that_started_it(whole: Sandbox) -> None:
    code = (
        "import sys; from pathlib import Path; from cachetop.demo.sandbox import Sandbox;"
        f"s = Sandbox(Path({str(whole.folder)!r}), Path({str(whole.document)!r}));"
        "print(s.start_compiling(pause=1).pid)"
    )
    entries = len(list((whole.folder / "triton").iterdir()))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    process, deadline = Path("/proc", told.stdout.strip()), time.monotonic() + 60
    while process.exists() and "triton_kernels" in process.joinpath("cmdline").read_text(errors="replace"):
        assert time.monotonic() < deadline, "the compiling process outlived its parent"
        time.sleep(0.1)
    assert len(list((whole.folder / "triton").iterdir())) <= entries + 5


def test_the_gpus_are_labelled_as_simulated(whole: Sandbox) -> None:
    source = whole.gpu()
    source.open()
    gpus = source.sample().gpus
    assert [gpu.index for gpu in gpus] == [0, 1] and len({gpu.key for gpu in gpus}) == 2
    assert all(gpu.simulated and "simulated" in gpu.name for gpu in gpus)
    assert gpus[0].processes and not gpus[1].processes


def test_the_command_refuses_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    told = subprocess.run(
        [sys.executable, "-m", "cachetop", "demo", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "not empty" in told.stderr
