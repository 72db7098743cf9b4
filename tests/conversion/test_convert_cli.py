"""`cachetop convert` and `cachetop jobs` as a person runs them: real processes, the real worker, real PDFs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cachetop.conversion.folder import JobFolder, find
from cachetop.conversion.workers import unload
from cachetop.demo.paper import write_pdf

CACHETOP = [sys.executable, "-m", "cachetop"]
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def nobody_stays(world: Path) -> Iterator[None]:
    yield
    unload()


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_pdf(tmp_path / "paper.pdf", 6)
    return "paper.pdf"


def cachetop(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CACHETOP, *words], capture_output=True, text=True, timeout=PATIENCE)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def test_a_conversion_streams_its_events_and_writes_its_outputs(paper: str, tmp_path: Path) -> None:
    done = cachetop("convert", paper, "--pipeline", "native", "--to", "md", "--to", "html", "--output", "out", "--json")
    events = lines(done.stdout)
    assert done.returncode == 0, done.stderr
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "job-started" and events[-1]["event"] == "job-finished"
    assert {event["job"] for event in events} == {find().id}
    assert events[-1]["status"] == "success" and set(events[-1]["phases"]) >= {"import", "convert", "export"}
    assert sorted(event["page"] for event in events if event["event"] == "page-finished") == [1, 2, 3, 4, 5, 6]
    written = next(event for event in events if event["event"] == "document-finished")["outputs"]
    assert sorted(written) == [str(tmp_path / "out" / name) for name in ("paper.html", "paper.md")]
    assert all(Path(path).stat().st_size > 100 for path in written)

    again = cachetop("convert", paper, "--pipeline", "native", "--output", "out")
    assert again.returncode == 1 and "--force" in again.stderr and again.stdout == ""


def test_a_resident_worker_is_used_by_itself_until_it_is_unloaded(paper: str, tmp_path: Path) -> None:
    first = cachetop("convert", paper, "--pipeline", "native", "--keep-warm", "60")
    assert first.returncode == 0, first.stderr
    assert [Path(line).name for line in first.stdout.splitlines()] == ["paper.md"]
    assert "import" in first.stderr and "success" in first.stderr

    listed = json.loads(cachetop("jobs", "--json").stdout)
    (worker,) = listed["workers"]
    assert worker["pipeline"] == "native" and worker["memory"] > 1 << 20 and worker["idle_seconds"] is not None

    second = lines(cachetop("convert", paper, "--pipeline", "native", "--to", "json", "--json").stdout)
    assert second[0]["start"] == second[-1]["start"] == "resident"
    assert not {"import", "load"} & set(second[-1]["phases"])

    other = lines(cachetop("convert", paper, "--pipeline", "native", "--device", "cpu", "--json").stdout)
    assert "import" in other[-1]["phases"]  # other options: a process of its own

    report = json.loads(cachetop("jobs", "show", second[0]["job"], "--json").stdout)
    assert report["schema"] == "cachetop.job/1" and report["start"] == "resident" and report["pages"] == 6
    assert report["comparison"]["against"] == find(listed["jobs"][0]["id"]).id
    assert report["comparison"]["phases"]["import"][0] is None and report["comparison"]["phases"]["import"][1] > 0
    assert "resident" in {verdict["message"].split(":")[0] for verdict in report["verdict"]}

    gone = cachetop("jobs", "unload", worker["id"])
    assert gone.returncode == 0 and worker["id"] in gone.stderr
    until(lambda: not Path(f"/proc/{worker['pid']}").exists())
    assert json.loads(cachetop("jobs", "ls", "--json").stdout)["workers"] == []
    assert cachetop("jobs", "unload", "nobody").returncode == 2


def test_a_detached_job_goes_on_is_attached_and_its_death_is_told(paper: str) -> None:
    started = cachetop("convert", paper, "--pipeline", "native", "--detach")
    assert started.returncode == 0
    folder = find(started.stdout.strip())
    attached = cachetop("jobs", "attach", folder.id)
    assert attached.returncode == 0 and attached.stdout.endswith("paper.md\n")

    folder = find(cachetop("convert", paper, "--pipeline", "native", "--detach").stdout.strip())
    until(folder.holder)
    os.kill(folder.holder() or 0, signal.SIGKILL)
    until(lambda: folder.holder() is None)
    (job, before) = json.loads(cachetop("jobs", "--json").stdout)["jobs"]
    assert (job["id"], job["state"], before["state"]) == (folder.id, "lost", "done")
    assert "vanished" in cachetop("jobs", "show", folder.id).stdout
    told = cachetop("jobs", "attach", folder.id, "--json")
    assert told.returncode == 1 and lines(told.stdout)[-1]["reason"] == "worker-died"
    assert json.loads(cachetop("jobs", "--json").stdout)["jobs"][0]["state"] == "failed"


def test_ctrl_c_cancels_and_the_stream_still_ends(paper: str) -> None:
    running = subprocess.Popen(
        [*CACHETOP, "convert", paper, "--pipeline", "native", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert running.stdout and running.stderr
    first = running.stdout.readline()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
    rest, told = running.stdout.read(), running.stderr.read()
    assert running.wait(PATIENCE) == 130 and "cancelling" in told
    events = lines(first + rest)
    assert events[-1]["event"] == "job-finished" and events[-1]["status"] == "cancelled"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert cachetop("jobs", "cancel", find().id).returncode == 0


def test_cancelling_from_another_terminal(paper: str) -> None:
    job = cachetop("convert", paper, "--pipeline", "native", "--detach").stdout.strip()
    until(JobFolder(find(job).path).holder)
    cancelled = cachetop("jobs", "cancel", job, "--json")
    assert cancelled.returncode == 0
    assert json.loads(cancelled.stdout)["jobs"][0]["state"] == "cancelled"
    assert cachetop("jobs", "attach", job).returncode == 1


def test_a_missing_file_is_an_error_of_the_job_and_the_others_go_on(paper: str) -> None:
    done = cachetop("convert", "nowhere.pdf", paper, "--pipeline", "native")
    assert done.returncode == 1
    assert "nowhere.pdf" in done.stderr and "does not exist" in done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["paper.md"]
    job = json.loads(cachetop("jobs", "--json").stdout)["jobs"][0]
    assert (job["state"], job["status"]) == ("failed", "partial")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--device", "gpu"), 2, "not a device"),
        (("--python", "/no/such/python"), 2, "no Python interpreter"),
        (("--keep-warm", "soon"), 2, "seconds"),
        (("--output", "paper.pdf"), 2, "is a file"),
        (("--device", "cuda:99"), 3, "cuda:99"),
    ],
)
def test_exit_codes(paper: str, words: tuple[str, ...], code: int, said: str) -> None:
    done = cachetop("convert", paper, *words)
    assert (done.returncode, said in done.stderr, done.stdout) == (code, True, ""), done.stderr


def test_jobs_without_any() -> None:
    assert cachetop("jobs").returncode == 0
    assert json.loads(cachetop("jobs", "--json").stdout) == {"schema": "cachetop.jobs/1", "jobs": [], "workers": []}
    assert cachetop("jobs", "show").returncode == 2
