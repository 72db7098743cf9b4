"""The notebooks of the documentation, executed by a real kernel: every report against what really happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import notebooks

NAMES = ("model", "compile", "triton", "docling")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_transformers_model_from_a_tiny_cache(tmp_path: Path) -> None:
    done = notebooks.execute(notebooks.read("model"), tmp_path)
    loaded, failed = notebooks.reports(done)
    (row,) = loaded["models"]
    assert row["repo"] == "docling-project/docling-layout-heron"
    assert len(row["revision"]) == 40
    assert row["evidence"] == "mapped"  # transformers maps the weights, and `model` holds them
    assert {"config.json", "model.safetensors"} <= set(row["names"])
    assert 0 < row["resident_before"] <= row["bytes"]
    assert loaded["downloads"] == loaded["kernels"] == loaded["vram"] == []
    assert loaded["vram_reason"] or loaded["vram"]
    assert [row["names"] for row in failed["models"]] == [["config.json"]]
    assert [problem["rule"] for problem in failed["problems"]] == ["exception"]


def test_torch_compile(tmp_path: Path) -> None:
    new, again, disk, broken = notebooks.reports(notebooks.execute(notebooks.read("compile"), tmp_path))
    graph = next(row for row in new["kernels"] if row["part"] == "fxgraph")
    assert not graph["hit"] and graph["milliseconds"] > 0
    assert [row["hit"] for row in new["kernels"] if row["part"] == "cpp"]
    assert (new["torch"]["graphs"], new["torch"]["cache_misses"], new["torch"]["cache_hits"]) == (1, 1, 0)
    assert again["kernels"] == [] and again["torch"] is None
    assert [(row["key"], row["hit"]) for row in disk["kernels"]] == [(graph["key"], True)]
    assert (disk["torch"]["cache_misses"], disk["torch"]["cache_hits"]) == (0, 1)
    assert disk["seconds"] < new["seconds"]
    # one print, seen while each of the two types was compiled; both halves were compiled again for the second type
    assert (broken["torch"]["graph_breaks"], broken["torch"]["recompiles"]) == (2, 2)
    assert any("dtype mismatch" in reason for reason in broken["torch"]["reasons"])


def test_triton_ahead_of_time(tmp_path: Path) -> None:
    done = notebooks.execute(notebooks.read("triton"), tmp_path)
    new, again = notebooks.reports(done)
    assert [(row["name"], row["sm"], row["hit"]) for row in new["kernels"]] == [
        ("add_kernel", ["sm_90"], False),
        ("add_kernel", ["sm_80"], False),
    ]
    assert all(row["milliseconds"] > 0 and row["evidence"] == "listener" for row in new["kernels"])
    (hit,) = again["kernels"]
    assert hit["hit"] and hit["key"] == new["kernels"][0]["key"]
    assert hit["milliseconds"] < new["kernels"][0]["milliseconds"]
    assert "sm_90" in notebooks.bundles(done)[-1]["text/plain"]


def test_a_docling_conversion(tmp_path: Path) -> None:
    done = notebooks.execute(notebooks.read("docling"), tmp_path)
    phases = notebooks.bundles(done)[0]["text/plain"]
    assert "success" in phases and "3 of 3 pages" in phases
    assert "('paper', 3," in notebooks.bundles(done)[-1]["text/plain"]
    printed = next(output for cell in done.cells for output in cell.get("outputs", []) if output.get("text"))
    assert "Kernels and models" in printed["text"]


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_notebooks_have_their_outputs(name: str) -> None:
    saved = notebooks.read(name)
    code: list[Any] = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert notebooks.bundles(saved)
    text = (notebooks.FOLDER / f"{name}.ipynb").read_text()
    assert "<script" not in text
    assert len(text) < 100_000


def test_two_kernels_at_once_report_each_their_own(tmp_path: Path, world: Path) -> None:
    from support import hubcache

    cache = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(cache, "org/model")
    other = tmp_path / "other.py"
    path = cache / "models--org--model" / "snapshots" / hubcache.COMMIT / "config.json"
    cell = f"%%cachetop\nx = open({str(path)!r}).read()"
    other.write_text(
        "from pathlib import Path\nimport sys\nsys.path[:0] = [sys.argv[1]]\nfrom support import notebooks\n"
        f"done = notebooks.execute(notebooks.of_cells('%load_ext cachetop', {cell!r}), Path(sys.argv[2]))\n"
        "print([row['evidence'] for row in notebooks.reports(done)[0]['models']])\n"
    )
    outer = (
        "%%cachetop\nimport subprocess, sys\n"
        f"said = subprocess.run([sys.executable, {str(other)!r}, {str(Path(notebooks.__file__).parents[1])!r}, "
        f"{str(tmp_path)!r}], capture_output=True, text=True)\nsaid.stdout + said.stderr[-500:]"
    )
    done = notebooks.execute(notebooks.of_cells("%load_ext cachetop", outer), tmp_path)
    (report,) = notebooks.reports(done)
    said = next(data["text/plain"] for data in notebooks.bundles(done) if notebooks.REPORT not in data)
    assert "'opened'" in said  # the other kernel's own report
    assert [row["evidence"] for row in report["models"]] == ["opened-elsewhere"]


def test_a_download_in_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.slow_hub import COMMIT, FILES, slow_hub

    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    fetch = "%%cachetop\nfrom huggingface_hub import snapshot_download\npath = snapshot_download('org/slow')"
    read = "%%cachetop\nlen(open(path + '/part1.safetensors', 'rb').read())"
    with slow_hub(1e9) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        done = notebooks.execute(notebooks.of_cells("%load_ext cachetop", fetch, fetch, read), tmp_path)
    first, again, last = notebooks.reports(done)
    rows = {(row["repo"], row["revision"], row["file"], row["bytes"], row["complete"]) for row in first["downloads"]}
    assert rows == {("org/slow", COMMIT, name, len(data), True) for name, data in FILES.items()}
    assert again["downloads"] == again["models"] == last["downloads"] == []
    (row,) = last["models"]
    assert (row["repo"], row["revision"], row["names"]) == ("org/slow", COMMIT, ["part1.safetensors"])
    assert row["resident_before"] == row["bytes"] == len(FILES["part1.safetensors"])  # it was written just now
