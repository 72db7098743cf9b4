"""docling's enrichments and another VLM preset, really run, with tiny models of their architectures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import enriching
from support.workers import check_schema, environment, make_job, named, run

CODE = "docling-project/CodeFormulaV2"
DESCRIBING = "HuggingFaceTB/SmolVLM-256M-Instruct"
CLASSIFYING = "docling-project/DocumentFigureClassifier-v2.5"
SMOLDOCLING = "docling-project/SmolDocling-256M-preview"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("enriching") / "hf"
    subprocess.run([sys.executable, enriching.__file__, str(made)], check=True, capture_output=True)
    return made


def test_every_enrichment_loads_its_model_and_does_its_work(
    tmp_path: Path, papers: dict[int, Path], home: Path
) -> None:
    switches = ("do_formula_enrichment", "do_picture_classification", "do_picture_description")
    options = {**dict.fromkeys(switches, True), "do_ocr": False, "do_table_structure": False}
    job = make_job(tmp_path / "job", [papers[1]], pipeline="standard", to=["json"], docling=options)
    code, told = run(job, environment(tmp_path / "home", HF_HOME=str(home), HF_HUB_OFFLINE="1"))
    check_schema(told, "job")
    assert code == 0, named(told, "error")
    assert {CODE, DESCRIBING, CLASSIFYING} < {event["repo"] for event in named(told, "model-loaded")}
    steps = {event["stage"]: event for event in named(told, "stage-finished") if event["page"] is None}
    assert {"picture_classification", "picture_description"} <= set(steps)
    assert all(event["seconds"] > 0 and event["done"] == event["total"] for event in steps.values())
    [picture, *_] = json.loads((job / "outputs" / "paper1.json").read_text())["pictures"]
    kinds = {note["kind"]: note for note in picture["annotations"]}
    assert {one["class_name"] for one in kinds["classification"]["predicted_classes"]} == {"bar_chart", "logo", "map"}
    assert "word119" in kinds["description"]["text"]


def test_another_preset_reads_pages_with_its_own_model(tmp_path: Path, papers: dict[int, Path], home: Path) -> None:
    job = make_job(tmp_path / "job", [papers[1]], pipeline="vlm", docling={"vlm_preset": "smoldocling"})
    code, told = run(job, environment(tmp_path / "home", HF_HOME=str(home), HF_HUB_OFFLINE="1"))
    assert code == 0, named(told, "error")
    assert [event["repo"] for event in named(told, "model-loaded")] == [SMOLDOCLING]
    assert "word119" in (job / "outputs" / "paper1.md").read_text()
    [pipeline] = named(told, "pipeline")
    assert str(home) in pipeline["reason"]
