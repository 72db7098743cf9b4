"""The model pipelines with tiny models: loads, stages, the resident second run, cancel and unload."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from support.workers import Event, Running, ask, check_schema, environment, events, make_job, named, run

LAYOUT = "docling-project/docling-layout-heron"
TABLES = "docling-project/docling-models"


class Resident(NamedTuple):
    folder: Path
    first: list[Event]
    second: list[Event]
    cancelled: list[Event]
    after: list[Event]
    status: dict[str, object]
    answers: dict[str, dict[str, object]]
    mode: int
    code: int
    socket: Path


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory, papers: dict[int, Path], tiny_hub: Path) -> Resident:
    """The life of one resident worker: two jobs, a cancelled one, one more, and its end."""
    folder = tmp_path_factory.mktemp("resident")
    socket = folder / "w.sock"
    options = {"pipeline": "standard", "socket": str(socket), "worker": "w1"}
    jobs = {
        name: make_job(folder / name, [papers[40 if name == "long" else 1]], **options)
        for name in ("second", "long", "after")
    }
    gpu = {"index": 1, "uuid": "GPU-0", "name": "a GPU", "free": None, "lock": str(folder / "GPU-0.lock")}
    first = make_job(folder / "first", [papers[1]], keep_warm=60, **options, gpus=[gpu])
    other = make_job(folder / "other", [papers[1]], pipeline="vlm")
    env = environment(folder / "home", HF_HOME=str(tiny_hub))
    answers = {}
    with Running(first, env) as worker:
        worker.wait_for(lambda event: event["event"] == "phase-started")
        answers["busy"] = ask(socket, cmd="convert", job=str(jobs["second"]))
        worker.finished()
        mode = socket.stat().st_mode
        with (folder / "GPU-0.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it runs on the CPU: others may have the GPU
        answers["convert"] = ask(socket, cmd="convert", job=str(jobs["second"]))
        worker.finished(jobs["second"])
        status = ask(socket, cmd="status")
        answers["other"] = ask(socket, cmd="convert", job=str(other))
        answers["nonsense"] = ask(socket, cmd="dance")
        assert ask(socket, cmd="convert", job=str(jobs["long"]))["ok"]
        worker.wait_for(lambda event: event["event"] == "page-finished", jobs["long"])
        answers["wrong"] = ask(socket, cmd="cancel", job="second")
        answers["cancel"] = ask(socket, cmd="cancel", job="long")
        worker.finished(jobs["long"], 10)
        assert ask(socket, cmd="convert", job=str(jobs["after"]))["ok"]
        worker.finished(jobs["after"])
        answers["unload"] = ask(socket, cmd="unload")
        code = worker.ended(20)
    first_told, second, cancelled, after = (events(folder / name) for name in ("first", "second", "long", "after"))
    return Resident(folder, first_told, second, cancelled, after, status, answers, mode, code, socket)


def test_the_first_run_loads_every_model_and_says_from_where(resident: Resident, tiny_hub: Path) -> None:
    check_schema(resident.first, "first")
    last = resident.first[-1]
    assert last["status"] == "success"
    assert last["start"] in ("cold", "disk-warm")
    assert {"import", "load", "convert", "export"} <= set(last["phases"])
    loaded = {event["repo"]: event for event in named(resident.first, "model-loaded")}
    weights = tiny_hub / "hub" / ("models--" + LAYOUT.replace("/", "--")) / "snapshots"
    [commit] = os.listdir(weights)
    assert loaded[LAYOUT]["revision"] == commit
    assert loaded[LAYOUT]["bytes"] == (weights / commit / "model.safetensors").stat().st_size
    assert loaded[LAYOUT]["parameters"] > 100_000
    assert loaded[LAYOUT]["device"] == loaded[TABLES]["device"] == "cpu"
    assert loaded[LAYOUT]["vram"] is None
    loading = {event["repo"]: event for event in named(resident.first, "model-loading")}
    assert loading.keys() == loaded.keys()
    for repo in (LAYOUT, TABLES):
        assert (
            loading[repo]["resident_before"] is None or 0 <= loading[repo]["resident_before"] <= loading[repo]["bytes"]
        )
    tensors = [event for event in named(resident.first, "progress") if event["unit"] == "tensors"]
    assert tensors[-1]["done"] == tensors[-1]["total"] > 100


def test_a_load_is_told_in_its_order(resident: Resident) -> None:
    order = [event["event"] for event in resident.first if event.get("repo") == TABLES]
    assert order == ["model-loading", "model-read", "model-loaded"]


def test_every_stage_of_every_page_is_timed(resident: Resident) -> None:
    stages = {event["stage"] for event in named(resident.first, "stage-finished")}
    assert {"preprocess", "layout", "ocr", "table", "assemble"} <= stages
    [page] = named(resident.first, "page-finished")
    spent = sum(event["seconds"] for event in named(resident.first, "stage-finished") if event["page"] == 1)
    assert page["seconds"] == pytest.approx(spent, abs=1e-4)


def test_it_takes_its_turn_on_a_gpu_before_it_imports_torch(resident: Resident) -> None:
    names = [event["event"] for event in resident.first]
    [gpu] = named(resident.first, "gpu")
    assert (gpu["index"], gpu["uuid"], gpu["waited"]) == (1, "GPU-0", 0.0)
    assert names.index("gpu") < names.index("phase-started")
    [device] = named(resident.first, "device")
    assert device["chosen"] == "cpu" and device["checks"], "it had one, and there was no driver for it"


def test_every_hook_is_listed(resident: Resident) -> None:
    [hooks] = named(resident.first, "hooks")
    assert {
        "progress",
        "stages",
        "downloads",
        "model-load",
        "weights",
        "safetensors",
        "model-move",
        "onnx",
        "ocr-downloads",
    } == set(hooks["active"])
    assert hooks["inactive"] == []


def test_the_second_run_of_a_resident_worker_neither_imports_nor_loads(resident: Resident) -> None:
    check_schema(resident.second, "second")
    assert resident.second[0]["start"] == resident.second[-1]["start"] == "resident"
    assert set(resident.second[-1]["phases"]) == {"convert", "export"}
    assert not named(resident.second, "model-loading", "model-loaded")
    assert named(resident.second, "hooks", "device")
    one, two = ((resident.folder / name / "outputs" / "paper1.md").read_text() for name in ("first", "second"))
    assert one == two


def test_a_cancelled_job_ends_soon_and_the_models_stay(resident: Resident) -> None:
    check_schema(resident.cancelled, "long")
    assert resident.cancelled[-1]["status"] == "cancelled"
    [document] = named(resident.cancelled, "document-finished")
    assert document["status"] == "cancelled"
    [kept] = document["outputs"]
    assert kept.endswith("paper40.partial.md") and Path(kept).stat().st_size > 100, "the finished pages are kept"
    assert document["pages"] == sum(event["success"] for event in named(resident.cancelled, "page-finished")) < 40
    assert resident.after[-1]["status"] == "success"
    assert resident.after[-1]["start"] == "resident"
    assert not named(resident.after, "model-loading")


def test_the_socket_answers_as_agreed(resident: Resident) -> None:
    answers = resident.answers
    assert (answers["busy"]["ok"], answers["busy"]["busy"]) == (False, True)
    assert all(answers[name]["ok"] for name in ("convert", "cancel", "unload"))
    assert not any(answers[name]["ok"] for name in ("other", "wrong", "nonsense"))
    status = resident.status
    assert (status["id"], status["pipeline"], status["device"], status["busy"]) == ("w1", "standard", "cpu", False)
    assert isinstance(status["models"], list) and {LAYOUT, TABLES} <= set(status["models"])
    assert stat.S_ISSOCK(resident.mode) and resident.mode & 0o777 == 0o600


def test_an_unloaded_worker_is_gone_with_its_socket(resident: Resident) -> None:
    assert resident.code == 0
    assert not resident.socket.exists()


def test_an_idle_worker_leaves_by_itself(tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]) -> None:
    socket = tmp_path / "w.sock"
    job = make_job(tmp_path / "job", [papers[1]], pipeline="native", keep_warm=0.3, socket=str(socket))
    code, told = run(job, bare)
    assert (code, told[-1]["status"]) == (0, "success")
    assert not socket.exists()


def test_auto_takes_the_models_that_are_there(tmp_path: Path, tiny_hub: Path) -> None:
    """Notes need no model, so choosing is all that happens: it is quick, and nothing is loaded."""
    notes = tmp_path / "notes.md"
    notes.write_text("# Notes")
    told = run(make_job(tmp_path / "a", [notes]), environment(tmp_path / "home", HF_HOME=str(tiny_hub)))[1]
    [pipeline] = named(told, "pipeline")
    assert (pipeline["chosen"], told[-1]["status"]) == ("standard", "success")
    assert str(tiny_hub) in pipeline["reason"]
    assert not named(told, "model-loading")
