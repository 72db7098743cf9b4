"""The native pipeline: one real job over good and bad files, looked at from all sides."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from support.pdf import encrypted
from support.workers import Event, check_schema, environment, make_job, named, run


class Outcome(NamedTuple):
    folder: Path
    job: Path
    code: int
    events: list[Event]

    def document(self, name: str) -> Event:
        [found] = [
            event for event in named(self.events, "document-finished") if event["file"] == str(self.folder / name)
        ]
        return found

    def complaint(self, name: str) -> str:
        """The message of the error that names the file."""
        [found] = [event for event in named(self.events, "error") if f"/{name} " in event["message"]]
        return str(found["message"])


GOOD = ("good.pdf", "page.html", "notes.md", "same/good.pdf")
BAD = ("missing.pdf", "folder", "empty.pdf", "garbage.pdf", "locked.pdf", "noise.xyz", "picture.png", "pipe.pdf")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, papers: dict[int, Path]) -> Outcome:
    """One job under `--pipeline native` with every kind of file."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "same").mkdir()
    (folder / "folder").mkdir()
    (folder / "good.pdf").write_bytes(papers[3].read_bytes())
    (folder / "same" / "good.pdf").write_bytes(papers[1].read_bytes())
    (folder / "page.html").write_text("<h1>A heading</h1><p>A paragraph</p>")
    (folder / "notes.md").write_text("# Notes\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    (folder / "empty.pdf").touch()
    (folder / "garbage.pdf").write_text("this is no PDF")
    (folder / "locked.pdf").write_bytes(encrypted("a secret"))
    (folder / "noise.xyz").write_bytes(hashlib.sha256(b"noise").digest() * 90)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    os.mkfifo(folder / "pipe.pdf")
    job = make_job(
        folder / "job", [folder / name for name in (*BAD, *GOOD)], pipeline="native", to=["md", "json", "html", "text"]
    )
    code, events = run(job, environment(folder / "home"))
    return Outcome(folder, job, code, events)


def test_the_events_are_what_the_contract_says(outcome: Outcome) -> None:
    check_schema(outcome.events, "job")
    last = outcome.events[-1]
    assert outcome.code == 1
    assert last["status"] == "partial"
    assert last["start"] is None
    assert list(last["phases"]) == ["import", "convert", "export"]
    assert outcome.events[0]["start"] is None
    assert outcome.events[0]["versions"]["docling-slim"].startswith("2.")


def test_good_files_are_converted_whatever_the_others_are(outcome: Outcome) -> None:
    for name in GOOD:
        done = outcome.document(name)
        assert done["status"] == "success", name
        assert [Path(output).suffix for output in done["outputs"]] == [".md", ".json", ".html", ".txt"]
        assert all(Path(output).parent == outcome.job / "outputs" for output in done["outputs"])
    assert outcome.document("page.html")["pages"] == 0
    assert "# A heading" in Path(outcome.document("page.html")["outputs"][0]).read_text()
    good = outcome.document("same/good.pdf")
    assert json.loads(Path(good["outputs"][1]).read_text())["schema_name"] == "DoclingDocument"


def test_two_inputs_of_one_name_get_two_outputs(outcome: Outcome) -> None:
    outputs = [output for event in named(outcome.events, "document-finished") for output in event["outputs"]]
    assert len(outputs) == len(set(outputs)) == 4 * len(GOOD)
    assert "good-2.md" in {Path(output).name for output in outputs}


def test_every_page_is_reported(outcome: Outcome) -> None:
    path = str(outcome.folder / "good.pdf")
    pages = [event for event in named(outcome.events, "page-finished") if event["file"] == path]
    assert sorted(event["page"] for event in pages) == [1, 2, 3]
    assert all(event["success"] and event["pages"] == 3 for event in pages)
    progress = [event for event in named(outcome.events, "progress") if event["phase"] == "convert"]
    assert [event["done"] for event in progress] == [1, 2, 3, 4]
    assert {event["unit"] for event in progress} == {"pages"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.pdf", "does not exist"),
        ("folder", "is a folder"),
        ("empty.pdf", "is empty"),
        ("garbage.pdf", "has the name of a PDF, but is none"),
        ("locked.pdf", "is encrypted and needs a password"),
        ("noise.xyz", "is in no format that can be converted here"),
        ("picture.png", "is an image, and the native pipeline cannot read images"),
        ("pipe.pdf", "is no regular file"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(outcome: Outcome, name: str, said: str) -> None:
    done = outcome.document(name)
    assert done["status"] in ("failure", "skipped")
    assert done["outputs"] == []
    assert said in outcome.complaint(name)


def test_no_model_ran_and_that_is_said(outcome: Outcome) -> None:
    [pipeline] = named(outcome.events, "pipeline")
    assert (pipeline["asked"], pipeline["chosen"]) == ("native", "native")
    [device] = named(outcome.events, "device")
    assert device["chosen"] == "cpu"
    [hooks] = named(outcome.events, "hooks")
    assert "progress" in hooks["active"]
    assert [entry["name"] for entry in hooks["inactive"]] == ["stages"]
    [note] = named(outcome.events, "compile-note")
    assert note["message"] == "CPU run: no GPU kernels"
    assert not named(outcome.events, "model-loading", "model-loaded", "kernel-compiled", "kernel-hit", "download")


def test_a_job_folder_is_private(outcome: Outcome) -> None:
    for name in ("events.jsonl", "lock", "stderr.log"):
        assert (outcome.job / name).stat().st_mode & 0o777 == 0o600, name


def test_an_existing_output_is_left_alone_without_force(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    kept = output / "paper1.md"
    kept.write_text("mine")
    (output / "paper3.md").symlink_to(tmp_path / "elsewhere")
    files = [papers[1], papers[3]]

    code, events = run(make_job(tmp_path / "a", files, pipeline="native", output=str(output)), bare)
    assert code == 1
    assert events[-1]["status"] == "failed"
    assert kept.read_text() == "mine"
    assert [f"{kept} exists" in event["message"] for event in named(events, "error")] == [True, False]

    code, events = run(make_job(tmp_path / "b", files, pipeline="native", output=str(output), force=True), bare)
    assert (code, events[-1]["status"]) == (0, "success")
    assert "Paragraph 1 of page 1" in kept.read_text()
    # a link in the way is replaced, never followed
    assert not (tmp_path / "elsewhere").exists()
    assert sorted(path.name for path in output.iterdir()) == ["paper1.md", "paper3.md"]
