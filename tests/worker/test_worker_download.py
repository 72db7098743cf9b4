"""The first run ever: models come from the hub, and the run says how much of them."""

from __future__ import annotations

from pathlib import Path

from support.hub import serving
from support.workers import check_schema, environment, make_job, named, run

VLM = "ibm-granite/granite-docling-258M"


def test_missing_models_are_downloaded_and_reported(tmp_path: Path, papers: dict[int, Path], tiny_hub: Path) -> None:
    with serving(tiny_hub / "hub") as endpoint:
        env = environment(tmp_path / "home", HF_ENDPOINT=endpoint)
        code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline="vlm"), env)
    check_schema(told, "job")
    assert code == 0, named(told, "error")
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
