"""The verdict: what a run's time went into, in words that its own numbers bear out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cachetop.conversion.fold import Fold
from cachetop.conversion.folder import JobFolder, create
from cachetop.conversion.records import Run
from cachetop.conversion.report import job, report
from cachetop.conversion.verdicts import JobReport

SPEC = {"files": ["/docs/a.pdf"], "pipeline": "auto", "device": "auto"}
COLD: list[dict[str, Any]] = [
    {"event": "job-started", "files": ["/docs/a.pdf"]},
    {"event": "device", "asked": "auto", "chosen": "cpu",
     "checks": [{"check": "driver", "ok": False, "message": "libcuda.so.1 cannot be loaded"}]},
    {"event": "phase-finished", "phase": "import", "seconds": 4.0},
    {"event": "model-loading", "repo": "org/m", "bytes": 200_000_000, "resident_before": 10_000_000},
    {"event": "model-loaded", "repo": "org/m", "bytes": 200_000_000, "seconds": 1.0, "device": "cpu"},
    {"event": "phase-finished", "phase": "load", "seconds": 1.0},
    {"event": "stage-finished", "page": 1, "stage": "layout", "seconds": 0.5},
    {"event": "stage-finished", "page": 2, "stage": "layout", "seconds": 0.5},
    {"event": "stage-finished", "page": 1, "stage": "table", "seconds": 0.25},
    {"event": "page-finished", "file": "/docs/a.pdf", "page": 1, "pages": 2},
    {"event": "page-finished", "file": "/docs/a.pdf", "page": 2, "pages": 2},
    {"event": "compile-note", "message": "CPU run: no GPU kernels"},
    {"event": "job-finished", "status": "success", "seconds": 7.0, "start": "cold",
     "phases": {"import": 4.0, "load": 1.0, "convert": 2.0}},
]  # fmt: skip
WARM: list[dict[str, Any]] = [
    {"event": "job-started", "files": ["/docs/a.pdf"], "start": "resident"},
    {"event": "page-finished", "file": "/docs/a.pdf", "page": 1, "pages": 2},
    {"event": "page-finished", "file": "/docs/a.pdf", "page": 2, "pages": 2},
    {"event": "job-finished", "status": "success", "seconds": 1.75, "start": "resident", "phases": {"convert": 1.75}},
]


def made(events: list[dict[str, Any]], **spec: Any) -> JobFolder:
    folder = create({**SPEC, **spec})
    stamped = [{"seq": n, "time": 1000.0 + n, **event} for n, event in enumerate(events, 1)]
    folder.events.write_text("".join(json.dumps(event) + "\n" for event in stamped))
    return folder


def said(found: JobReport, cause: str) -> str:
    (message,) = (verdict.message for verdict in found.verdict if verdict.cause == cause)
    return message


def test_a_cold_run_says_what_was_cold_and_what_would_help() -> None:
    found = job(made(COLD).id)
    assert (found.schema, found.state, found.pages, found.start) == ("cachetop.job/1", "done", 2, "cold")
    assert found.phases == {"import": 4.0, "load": 1.0, "convert": 2.0}
    assert found.stages == {"layout": 1.0, "table": 0.25}
    assert "57%" in said(found, "largest") and "importing" in said(found, "largest")
    assert "10.0 MB of 200 MB" in said(found, "start")
    assert said(found, "compile") == "nothing was compiled: CPU run: no GPU kernels"
    assert "1.0 s a page" in said(found, "convert") and "layout" in said(found, "convert")
    assert "libcuda" in said(found, "device")
    assert next(advice.saves for advice in found.advice if "--keep-warm" in advice.message) == 5.0
    assert found.comparison is None


def test_a_resident_run_is_compared_with_the_run_before_it() -> None:
    first = made(COLD)
    made(WARM, files=["/docs/other.pdf"])
    failed = made([{"event": "job-finished", "status": "failed", "seconds": 0.1, "phases": {}}])
    found = job(made(WARM).id)
    assert found.comparison is not None and found.comparison.against == first.id
    assert found.comparison.phases == {"import": (None, 4.0), "load": (None, 1.0), "convert": (1.75, 2.0)}
    message = said(found, "comparison")
    assert "faster" in message and "resident against cold" in message and "import −4.0 s" in message
    assert not found.advice
    against = job(found.id, failed.id).comparison
    assert against is not None and against.against == failed.id


def test_what_was_not_measured_is_not_said() -> None:
    found = job(made([{"event": "job-started", "files": ["/docs/a.pdf"]}]).id)
    assert found.state == "lost" and found.seconds is None and found.phases == {} and found.start is None
    assert [verdict.cause for verdict in found.verdict] == ["lost"]
    assert found.advice == () and found.pages == 0


def test_a_failure_comes_first() -> None:
    events: list[dict[str, Any]] = [
        {"event": "error", "message": "org/m is not in the cache", "hint": "unset HF_HUB_OFFLINE"},
        {"event": "job-finished", "status": "failed", "seconds": 3.0, "phases": {"import": 2.9}, "start": None},
    ]
    found = job(made(events).id)
    assert found.verdict[0].message == "org/m is not in the cache"
    assert [advice.message for advice in found.advice] == ["unset HF_HUB_OFFLINE"]


def test_kernels_that_were_compiled_are_counted_apart_from_hits() -> None:
    kernel = {"cache": "triton", "key": None, "name": "k", "sm": "sm_90"}
    run = folded(
        [
            {"event": "kernel-compiled", **kernel, "milliseconds": 1500},
            {"event": "kernel-hit", **kernel, "milliseconds": None},
            {"event": "kernel-hit", **kernel, "milliseconds": None},
        ]
    )
    assert said(report(run), "compile") == "1 kernel compiled (1.5 s), 2 taken from a cache"


def folded(events: list[dict[str, Any]]) -> Run:
    listed = made(events).job()
    assert listed is not None
    fold = Fold(listed)
    for event in events:
        fold.feed(event)
    return fold.run()


def test_a_job_that_cannot_be_read_is_said() -> None:
    folder = made(WARM)
    (folder.path / "job.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        job(folder.id)


def test_a_run_that_broke_off_is_not_called_faster() -> None:
    before = made(COLD)
    broken = {"event": "job-finished", "status": "failed", "seconds": 0.1, "start": None, "phases": {}}
    failed = made([{"event": "job-started", "files": ["/docs/a.pdf"]}, broken])
    assert not [verdict for verdict in job(failed.id, before.id).verdict if verdict.cause == "comparison"]
