"""The first run ever: models come from the hub, and the run says how much of them; then they read pages."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from support.hub import serving
from support.workers import Event, check_schema, environment, make_job, named, run

VLM = "ibm-granite/granite-docling-258M"


class First(NamedTuple):
    code: int
    told: list[Event]
    outputs: Path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, papers: dict[int, Path], tiny_hub: Path) -> First:
    """One run of the vlm pipeline with an empty cache."""
    folder = tmp_path_factory.mktemp("first")
    job = make_job(folder / "job", [papers[3]], pipeline="vlm", to=["md", "doctags"])
    with serving(tiny_hub / "hub") as endpoint:
        code, told = run(job, environment(folder / "home", HF_ENDPOINT=endpoint))
    return First(code, told, job / "outputs")


def test_missing_models_are_downloaded_and_reported(first: First) -> None:
    told = first.told
    check_schema(told, "job")
    assert first.code == 0, named(told, "error")
    [pipeline] = named(told, "pipeline")
    assert "will be downloaded" in pipeline["reason"]
    downloads = named(told, "download")
    assert {event["repo"] for event in downloads} == {VLM}
    got = [event["bytes"] for event in downloads]
    assert got == sorted(got)
    [loaded] = named(told, "model-loaded")
    assert downloads[-1]["bytes"] == downloads[-1]["total"] >= loaded["bytes"]
    assert loaded["repo"] == VLM
    order = [event["event"] for event in told]
    assert order.index("download") < order.index("model-loading")
    assert told[-1]["start"] in ("cold", "disk-warm")


def test_each_step_is_told_before_it_begins(first: First) -> None:
    steps = [(event["phase"], event["what"]) for event in named(first.told, "step")]
    assert steps == [("import", "torch"), ("import", "transformers"), ("import", "docling"), ("load", VLM)]
    order = [event["event"] for event in first.told]
    assert order.index("download") > len(order) - 1 - order[::-1].index("step"), "the hub is asked before it answers"


def test_vlm_reads_pages_one_by_one(first: First) -> None:
    stages = named(first.told, "stage-finished")
    assert {(event["stage"], event["batch"]) for event in stages} == {("vlm", 1)}
    assert sorted(event["page"] for event in stages) == [1, 2, 3]
    assert "word119" in (first.outputs / "paper3.md").read_text()
    [second] = [event for event in named(first.told, "tokens") if event["done"] and event["pages"] == [2]]
    assert second["tokens"] == 128 and second["first"] > 0 and second["seconds"] > 0
    assert len([event for event in named(first.told, "tokens") if event["done"]]) == 3
    assert "<doctag>" in (first.outputs / "paper3.doctags").read_text()
