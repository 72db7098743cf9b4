"""docling's enrichments and another VLM preset, really run, with tiny models of their architectures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import enriching
from support.workers import Event, check_schema, environment, make_job, named, run

CODE = "docling-project/CodeFormulaV2"
DESCRIBING = "HuggingFaceTB/SmolVLM-256M-Instruct"
CLASSIFYING = "docling-project/DocumentFigureClassifier-v2.5"
SMOLDOCLING = "docling-project/SmolDocling-256M-preview"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache for each kind that its layout model finds."""
    made = tmp_path_factory.mktemp("enriching") / "hf"
    subprocess.run([sys.executable, enriching.__file__, str(made)], check=True, capture_output=True)
    return made


def enriched(folder: Path, home: Path, paper: Path, *switches: str) -> tuple[list[Event], dict[str, Any]]:
    """The events of a run with these switches on, and its document."""
    options = {**dict.fromkeys(switches, True), "do_ocr": False, "do_table_structure": False}
    job = make_job(folder / "job", [paper], pipeline="standard", to=["json"], docling=options)
    code, told = run(job, environment(folder / "home", HF_HOME=str(home), HF_HUB_OFFLINE="1"))
    check_schema(told, "job")
    assert code == 0, named(told, "error")
    steps = [event for event in named(told, "stage-finished") if event["page"] is None]
    assert steps and all(event["seconds"] > 0 and event["done"] == event["total"] for event in steps)
    return told, json.loads((job / "outputs" / f"{paper.stem}.json").read_text())


def test_pictures_are_classified_and_described(tmp_path: Path, papers: dict[int, Path], homes: Path) -> None:
    switches = ("do_picture_classification", "do_picture_description")
    told, document = enriched(tmp_path, homes / "picture", papers[1], *switches)
    assert {DESCRIBING, CLASSIFYING} < {event["repo"] for event in named(told, "model-loaded")}
    steps = {event["stage"] for event in named(told, "stage-finished") if event["page"] is None}
    assert steps == {"picture_classification", "picture_description"}
    [picture, *_] = document["pictures"]
    kinds = {note["kind"]: note for note in picture["annotations"]}
    assert {one["class_name"] for one in kinds["classification"]["predicted_classes"]} == {"bar_chart", "logo", "map"}
    assert "word119" in kinds["description"]["text"]


@pytest.mark.parametrize("kind", ["formula", "code"])
def test_formulas_and_code_are_read_by_their_model(
    tmp_path: Path, papers: dict[int, Path], homes: Path, kind: str
) -> None:
    told, document = enriched(tmp_path, homes / kind, papers[1], f"do_{kind}_enrichment")
    assert CODE in {event["repo"] for event in named(told, "model-loaded")}
    [item] = [text for text in document["texts"] if text["label"] == kind]
    assert "Paragraph 1 of page 1" in item["orig"] and "Paragraph" not in item["text"]
    assert item["text"].split()[1:4] == ["word0", "word1", "word2"] and "word119" in item["text"]
    assert [event["stage"] for event in named(told, "stage-finished") if event["page"] is None] == ["code_formula"]


def test_another_preset_reads_pages_with_its_own_model(tmp_path: Path, papers: dict[int, Path], homes: Path) -> None:
    home = homes / "picture"
    job = make_job(tmp_path / "job", [papers[1]], pipeline="vlm", docling={"vlm_preset": "smoldocling"})
    code, told = run(job, environment(tmp_path / "home", HF_HOME=str(home), HF_HUB_OFFLINE="1"))
    assert code == 0, named(told, "error")
    assert [event["repo"] for event in named(told, "model-loaded")] == [SMOLDOCLING]
    assert "word119" in (job / "outputs" / "paper1.md").read_text()
    [pipeline] = named(told, "pipeline")
    assert str(home) in pipeline["reason"]
