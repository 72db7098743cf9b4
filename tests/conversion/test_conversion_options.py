"""docling's options: checked before a job is made, and doing what they say in a real native run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.conversion.launch import convert
from cachetop.conversion.options import SWITCHES, fresh_folders, make, pages
from cachetop.conversion.records import Run
from cachetop.conversion.workers import fingerprint, unload
from cachetop.demo.paper import write_pdf
from support.pdf import encrypted


@pytest.fixture
def unloaded(world: Path) -> Iterator[None]:
    yield
    unload()


def errors(run: Run) -> str:
    return " ".join(notice.message for notice in run.notices if notice.level == "error")


def test_pages_passwords_and_a_resident_native_worker(tmp_path: Path, unloaded: None) -> None:
    write_pdf(tmp_path / "paper.pdf", 9)
    (tmp_path / "locked.pdf").write_bytes(encrypted("sesame"))
    first = convert(tmp_path / "paper.pdf", pipeline="native", keep_warm=60, options=make(page_range=(3, 5))).wait(120)
    assert first.status == "success" and sorted(page for page, _, _ in first.pages) == [3, 4, 5]
    assert first.progress["convert"][:2] == (3, 3)

    opened = convert(tmp_path / "locked.pdf", pipeline="native", keep_warm=60, options=make(password="sesame"))
    run = opened.wait(60)
    assert (run.status, run.start) == ("success", "resident"), run.notices
    assert "sesame" not in "".join(path.read_text() for path in opened.folder.glob("*.json*"))
    assert not (opened.folder / "password").exists()

    wrong = convert(tmp_path / "locked.pdf", pipeline="native", keep_warm=60, options=make(password="open")).wait(60)
    assert wrong.status == "failed" and "does not open it" in errors(wrong)
    without = convert(tmp_path / "locked.pdf", pipeline="native", keep_warm=60).wait(60)
    assert without.status == "failed" and "needs a password" in errors(without)


def test_a_long_native_job_lets_go_softly_and_its_finished_pages_stay(tmp_path: Path, unloaded: None) -> None:
    write_pdf(tmp_path / "short.pdf", 1)
    write_pdf(tmp_path / "long.pdf", 1500)
    convert(tmp_path / "short.pdf", pipeline="native", keep_warm=60).wait(120)
    long = convert(tmp_path / "long.pdf", pipeline="native", keep_warm=60)
    next(event for event in long.events(60) if event["event"] == "page-finished")
    job = long.cancel()
    assert job is not None and job.state == "cancelled"
    [document] = long.run().documents
    assert [Path(path).name for path in document.outputs] == ["long.partial.md"]
    assert "Section of page" in Path(document.outputs[0]).read_text()
    assert convert(tmp_path / "short.pdf", pipeline="native", keep_warm=60).wait(60).start == "resident"


def test_a_second_job_waits_for_the_resident_worker_and_can_be_cancelled_meanwhile(
    tmp_path: Path, unloaded: None
) -> None:
    write_pdf(tmp_path / "short.pdf", 1)
    write_pdf(tmp_path / "long.pdf", 60)
    long = convert(tmp_path / "long.pdf", pipeline="native", keep_warm=60)
    next(event for event in long.events(60) if event["event"] == "phase-started")
    waits = convert(tmp_path / "short.pdf", pipeline="native", keep_warm=60)
    dropped = convert(tmp_path / "short.pdf", pipeline="native", keep_warm=60)
    assert waits.job().state == dropped.job().state == "queued"
    assert waits.job().pid == long.job().pid
    job = dropped.cancel()
    assert job is not None and job.state == "cancelled"
    assert long.job().state == "running", "the one that runs is left alone"
    run = waits.wait(120)
    assert (run.status, run.start) == ("success", "resident")
    assert long.job().state == "done" and dropped.job().state == "cancelled"


def test_a_run_of_missing_files_does_not_import_docling(tmp_path: Path) -> None:
    run = convert(tmp_path / "nowhere.pdf", pipeline="native").wait(60)
    assert run.status == "failed" and "does not exist" in errors(run)
    assert not run.phases and run.pipeline is None


def test_a_cold_run_is_refused_where_nothing_may_be_changed() -> None:
    with pytest.raises(ValueError, match="READ_ONLY"):
        make(cold=True, env={"CACHETOP_READ_ONLY": "1"})
    assert make(cold=True, env={}).spec()["cold"] is True


def test_only_doclings_own_switches_are_taken_and_defaults_are_left_to_docling() -> None:
    assert make({}).spec() == {"docling": {}, "compile": False, "page_range": None, "cold": False}
    assert make(dict.fromkeys(SWITCHES, True), ocr_lang=["de"]).docling["ocr_lang"] == ["de"]
    for wrong in ({"do_everything": True}, {"__class__": True}):
        with pytest.raises(ValueError, match="no switch"):
            make(wrong)
    with pytest.raises(ValueError, match="language"):
        make(ocr_lang=["../x"])
    with pytest.raises(ValueError, match="password"):
        make(password="a\0b")


def test_options_that_change_the_pipeline_need_another_worker() -> None:
    spec = {"device": "cpu", "pipeline": "standard", **make().spec()}
    other = {**spec, **make({"do_ocr": False}).spec()}
    same = {**spec, **make(page_range=(1, 2)).spec()}
    assert fingerprint("/p", spec, {}) != fingerprint("/p", other, {})
    assert fingerprint("/p", spec, {}) == fingerprint("/p", same, {})


def test_fresh_folders_lie_in_the_jobs_own(tmp_path: Path) -> None:
    assert all(Path(path).is_relative_to(tmp_path) for path in fresh_folders(tmp_path).values())
    assert not os.listdir(tmp_path)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_range_is_read_as_it_is_written(first: int, more: int) -> None:
    assert pages(f"{first}-{first + more}") == (first, first + more)
    assert pages(f" {first} ") == (first, first)


@pytest.mark.parametrize("text", ["", "0", "3-2", "-1", "1-", "a-b", "1-2-3", "9999999999"])
def test_what_is_no_range_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="FIRST-LAST"):
        pages(text)
