"""The verdict: what a run's time went into, in words that its own numbers bear out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cachetop.conversion.fold import Fold
from cachetop.conversion.folder import JobFolder, create
from cachetop.conversion.records import JobReport, Run
from cachetop.conversion.report import job, report

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
    broken = {"event": "job-finished", "status": "failed", "seconds": 0.1, "start": None, "phases": {}}
    failed = made([{"event": "job-started", "files": ["/docs/a.pdf"]}, broken])
    assert not [verdict for verdict in job(failed.id, before.id).verdict if verdict.cause == "comparison"]
