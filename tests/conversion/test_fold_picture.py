"""Folding events into a picture: complete, cheap, and unmoved by nonsense."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.conversion.fold import Fold
from cachetop.conversion.records import Job, Run

FILE = "/docs/a.pdf"


def job(**changes: Any) -> Job:
    given: dict[str, Any] = {
        "id": "20261123-140211-a3f2", "state": "running", "files": (FILE,), "pipeline": "auto", "device": "auto",
        "started": 1000.0, "seconds": None, "folder": "/state/x",
    }  # fmt: skip
    return Job(**{**given, **changes})


def fold(*events: dict[str, Any], **changes: Any) -> Run:
    one = Fold(job(**changes))
    for number, event in enumerate(events, 1):
        one.feed({"seq": number, "time": 1000.0 + number, **event})
    return one.run()


def test_a_whole_run() -> None:
    run = fold(
        {"event": "job-started", "files": [FILE], "python": "/bin/python", "versions": {"docling": "2.143.0"}},
        {"event": "pipeline", "asked": "auto", "chosen": "standard", "reason": "torch is there"},
        {"event": "phase-started", "phase": "import"},
        {"event": "phase-finished", "phase": "import", "seconds": 3.5},
        {"event": "phase-started", "phase": "load"},
        {"event": "model-loading", "repo": "org/m", "path": "/m", "revision": "abc", "bytes": 100,
         "resident_before": 95},
        {"event": "model-read", "repo": "org/m", "file": "model.safetensors", "bytes": 100, "seconds": 0.5},
        {"event": "model-moved", "repo": "org/m", "from": "cpu", "to": "cuda:0", "bytes": 100, "seconds": 0.25},
        {"event": "model-loaded", "repo": "org/m", "path": "/m", "revision": "abc", "bytes": 100, "parameters": 25,
         "seconds": 0.75, "device": "cuda:0", "vram": 128},
        {"event": "phase-finished", "phase": "load", "seconds": 0.8},
        {"event": "vram", "gpu": 0, "used": 4096},
        {"event": "phase-started", "phase": "convert"},
        {"event": "kernel-compiled", "cache": "triton", "key": "K", "name": "add", "sm": "sm_90", "milliseconds": 12.5},
        {"event": "stage-finished", "file": FILE, "page": 2, "stage": "layout", "seconds": 0.1},
        {"event": "page-finished", "file": FILE, "page": 2, "pages": 2, "seconds": None, "success": True},
        {"event": "page-finished", "file": FILE, "page": 1, "pages": 2, "seconds": None, "success": False},
        {"event": "progress", "phase": "convert", "done": 2, "total": 2, "unit": "pages"},
        {"event": "warning", "message": "OCR is off", "hint": "install onnxruntime"},
        {"event": "document-finished", "file": FILE, "status": "success", "pages": 2, "seconds": 1.0,
         "outputs": ["/o/a.md"]},
        {"event": "job-finished", "status": "success", "seconds": 6.0, "start": "disk-warm",
         "phases": {"convert": 1.5}},
    )  # fmt: skip
    assert (run.job.state, run.job.seconds, run.status, run.start) == ("done", 6.0, "success", "disk-warm")
    assert [(phase.name, phase.seconds, phase.open) for phase in run.phases] == [
        ("import", 3.5, False), ("load", 0.8, False), ("convert", 1.5, False),
    ]  # fmt: skip
    assert run.phases[2].spans == ((1012.0, 1020.0),)  # closed by the end of the job
    load = run.loads[0]
    assert (load.read_seconds, load.moved_seconds, load.seconds, load.parameters) == (0.5, 0.25, 0.75, 25)
    assert (load.resident_before, load.device, load.vram) == (95, "cuda:0", 128)
    assert run.documents[0].outputs == ("/o/a.md",) and run.documents[0].pages_done == 2
    assert [page[0] for page in run.pages] == [2, 1] and [page[2] for page in run.pages] == [True, False]
    assert run.kernels[0].name == "add" and not run.kernels[0].hit
    assert run.notices[0].hint == "install onnxruntime"
    assert run.vram == ((1011.0, 0, 4096),)
    assert (run.pipeline, run.pipeline_reason) == ("standard", "torch is there")


def test_a_lost_job_has_no_open_phase_and_a_running_one_has() -> None:
    event = {"event": "phase-started", "phase": "load"}
    assert fold(event).phases[0].open
    lost = fold(event, {"event": "vram", "gpu": 0, "used": 1}, state="lost").phases[0]
    assert lost.spans == ((1001.0, 1002.0),) and lost.seconds is None


def test_two_loads_of_one_repo_are_told_apart() -> None:
    loading = {"event": "model-loading", "repo": "org/m", "path": None, "bytes": 5, "resident_before": None}
    loaded = {"event": "model-loaded", "repo": "org/m", "path": None, "bytes": 5, "seconds": 1.0, "device": "cpu"}
    loads = fold(loading, loaded, loading).loads
    assert [load.seconds for load in loads] == [1.0, None]


VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["load", "success"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["phase", "seconds", "time", "file", "files", "page", "pages", "repo", "path", "bytes", "status", "phases", "start",
     "versions", "outputs", "checks", "inactive", "message", "hint", "gpu", "used", "done", "total", "success", "name"]
)  # fmt: skip
EVENT = st.sampled_from(
    ["job-started", "job-finished", "hooks", "phase-started", "phase-finished", "progress", "download", "model-loading",
     "model-read", "model-moved", "model-loaded", "kernel-hit", "stage-finished", "page-finished", "document-finished",
     "vram", "warning", "error", "device", "pipeline", "compile-note", "no-such-event"]
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.tuples(EVENT, st.dictionaries(KEYS, VALUES, max_size=6)), max_size=25))
def test_nonsense_never_raises_and_the_picture_stays_json(events: list[tuple[str, dict[str, Any]]]) -> None:
    one = Fold(job())
    for name, fields in events:
        one.feed({**fields, "event": name})
        run = one.run()
        told = json.loads(run.to_json())
        assert told["job"]["id"] == job().id
        assert all(end is None or end >= start for phase in run.phases for start, end in phase.spans)


def test_unchanged_parts_are_reused() -> None:
    one = Fold(job())
    one.feed({"event": "stage-finished", "page": 1, "stage": "layout", "seconds": 1.0, "time": 1001.0})
    first = one.run()
    assert one.run() is first
    one.feed({"event": "vram", "gpu": 0, "used": 1, "time": 1002.0})
    second = one.run()
    assert second is not first and second.stages is first.stages and second.documents is first.documents


def test_a_thousand_pages_seen_after_each_event_stay_cheap() -> None:
    def took(pages: int) -> float:
        one = Fold(job())
        began = time.process_time()
        for page in range(1, pages + 1):
            for stage in ("preprocess", "layout", "ocr", "table", "assemble"):
                one.feed(
                    {"event": "stage-finished", "file": FILE, "page": page, "stage": stage, "seconds": 0.1, "time": 1.0}
                )
            one.feed({"event": "page-finished", "file": FILE, "page": page, "pages": pages, "time": 1.0})
            one.run()
        assert len(one.run().stages) == 5 * pages
        return time.process_time() - began

    took(50)
    # far below quadratic: ten times the pages cost nowhere near a hundred times as much
    assert took(1000) < 40 * max(took(100), 0.005)
