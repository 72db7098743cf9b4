"""The dialog that starts a conversion: files by keyboard, fields, and what it hands back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cachetop.conversion.interpreters import Interpreter
from cachetop.conversion.options import make
from cachetop.conversion.records import Jobs
from cachetop.gpu.records import Gpu, Gpus, Memory
from cachetop_tui.dialogs import folders, options
from cachetop_tui.dialogs.fields import Choice, Press, Sentence, Ticks
from cachetop_tui.dialogs.keys import KeyList, KeysScreen
from cachetop_tui.dialogs.picker import FilePicker
from cachetop_tui.dialogs.start import StartDialog, StartRequest
from support import runs
from support.slow_hub import slow_hub
from support.stage_app import StageApp, screen_lines, until

GPUS = Gpus(
    available=True,
    gpus=(
        Gpu(
            index=1, uuid="GPU-1", name="H100 \x1b[31m80GB", sm="sm_90",
            memory=Memory(total=80 << 30, used=10 << 30, free=70 << 30, reserved=None), utilization=1,
            temperature=40, power=99.0, processes=(), unattributed=None,
        ),
    ),
)  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub, and a folder with documents, folders, a hidden file, something else and hostile names."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("b.pdf", "A.docx", "notes.txt", ".hidden.pdf", "\x1b[31mred\x1b[0m[bold].pdf", "名前.md"):
        (tmp_path / name).write_bytes(b"x" * 1200)
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "inner.html").write_text("<p>")
    (tmp_path / "gone.pdf").symlink_to(tmp_path / "nowhere")
    (tmp_path / os.fsdecode(b"bad\xff.pdf")).write_bytes(b"x")
    return tmp_path


async def opened(
    pilot: Pilot[None], folder: Path, jobs: Jobs | None = None, gpus: Gpus | None = None
) -> tuple[StartDialog, list[StartRequest | None]]:
    """The dialog, once its folder is listed and the interpreters are in; and where its answer goes."""
    answers: list[StartRequest | None] = []
    dialog = StartDialog(jobs, gpus, str(folder))
    await pilot.app.push_screen(dialog, answers.append)
    await until(pilot, lambda: bool(dialog.query_one(FilePicker).row))
    await until(pilot, lambda: len(dialog.query_one("#python", Choice).options) > 1)
    return dialog, answers


async def test_two_enters_start_the_document_under_the_cursor(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        picker = dialog.query_one(FilePicker)
        while picker.row is not None and picker.row.name != "b.pdf":
            await pilot.press("down")
        await pilot.press("enter", "enter")
        assert answers == [StartRequest(files=(str(shelf / "b.pdf"),))]


async def test_every_field_is_reached_by_tab_and_lands_in_the_request(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf, gpus=GPUS)
        dialog.query_one(FilePicker).take(str(shelf / "A.docx"))
        order = []
        for _ in range(12):
            order.append(dialog.focused.id if dialog.focused else None)
            await pilot.press("tab")
        assert order == [
            "files",
            "pipeline",
            "device",
            "python",
            "to",
            "extras",
            "pages",
            "password",
            "output",
            "keep",
            "start",
            "cancel",
        ]
        dialog.query_one("#pipeline").focus()
        await pilot.press("right", "right", "right", "down", "left", "down", "down")
        await pilot.press("right", "space", "tab", "space", "tab", *"2-5", "tab", *"sesame", "tab")
        await pilot.press(*"out", "tab", *"600", "tab", "enter")
        assert answers == [
            StartRequest(
                files=(str(shelf / "A.docx"),), pipeline="native", device="cuda:1", to=("md", "json"),
                output=str(shelf / "out"), python=None, keep_warm=600.0,
                options=make({"do_ocr": False}, page_range=(2, 5), password="sesame"),
            )
        ]  # fmt: skip


async def test_what_is_typed_in_the_list_goes_to_the_path(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        picker = dialog.query_one(FilePicker)
        assert isinstance(dialog.focused, FilePicker) and not dialog.query_one("#path-label", Sentence).marked
        await pilot.press("j", "k")
        path = dialog.query_one("#path", Input)
        assert path.value == "jk" and path.has_focus
        assert dialog.query_one("#path-label", Sentence).marked, "the focused line has its mark"
        path.value = "A.d"
        await until(pilot, lambda: picker.row is not None and picker.row.name == "A.docx")


async def test_enter_on_an_option_starts_once_a_file_is_chosen(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        dialog.query_one("#pipeline").focus()
        await pilot.press("enter")
        assert not answers and isinstance(dialog.focused, FilePicker)
        dialog.query_one(FilePicker).take(str(shelf / "b.pdf"))
        dialog.query_one("#device").focus()
        await pilot.press("enter")
        assert answers == [StartRequest(files=(str(shelf / "b.pdf"),))]


async def test_every_option_comes_into_sight_on_a_narrow_screen(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        ticks = dialog.query_one("#extras", Ticks)
        ticks.focus()
        for word in ticks.words:
            await pilot.pause()
            line = next(text for text in screen_lines(pilot.app) if "Options" in text)
            assert word in line, line
            await pilot.press("right")


async def test_a_range_that_is_none_is_said_and_nothing_starts(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        dialog.query_one(FilePicker).take(str(shelf / "b.pdf"))
        dialog.query_one("#pages", Input).value = "5-2"
        dialog.action_start()
        assert not answers and "FIRST-LAST" in dialog.query_one("#problem", Sentence).text


def test_a_cold_run_is_not_offered_where_nothing_may_be_changed() -> None:
    assert options.COLD in options.extras(False) and options.COLD not in options.extras(True)
    assert options.asked(("OCR", "tables"), "", "") == make()
    assert options.asked(("OCR", "tables", options.COLD, options.COMPILE), "", "").cold


def test_a_demo_begins_in_its_own_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "documents").mkdir()
    monkeypatch.setenv("CACHETOP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert StartDialog()._base == str(tmp_path)
    monkeypatch.setenv("CACHETOP_DEMO", "1")
    assert StartDialog()._base == str(tmp_path / "documents")


async def test_escape_and_cancel_return_nothing(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        _, answers = await opened(pilot, shelf)
        await pilot.press("escape")
        dialog, more = await opened(pilot, shelf)
        dialog.query_one("#cancel").focus()
        await pilot.press("enter")
        assert answers == [None] and more == [None]


async def test_starting_without_a_file_says_what_to_do(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        dialog.query_one("#start", Press).focus()
        await pilot.press("enter")
        assert answers == [] and isinstance(dialog.focused, FilePicker)
        assert "Choose at least one file" in dialog.query_one("#problem", Sentence).text


async def test_an_absurd_time_to_keep_warm_is_refused(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        dialog.query_one(FilePicker).take(str(shelf / "b.pdf"))
        dialog.query_one("#keep", Input).value = "999999"
        dialog.query_one("#start", Press).focus()
        await pilot.press("enter")
        assert answers == [] and "from 0 to 604,800" in dialog.query_one("#problem", Sentence).text
        dialog.query_one("#keep", Input).value = "--5"
        await pilot.press("enter")
        assert answers == [] and "from 0 to 604,800" in dialog.query_one("#problem", Sentence).text
        dialog.query_one("#keep", Input).value = "1_000"
        dialog.query_one("#start", Press).focus()
        await pilot.press("enter")
        await until(pilot, lambda: bool(answers))
        assert answers[0] is not None and answers[0].keep_warm == 1000.0, "what is taken is what was typed"


async def test_folders_by_keyboard(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        picker = dialog.query_one(FilePicker)
        while picker.row is not None and picker.row.name != "sub":
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: picker.folder == str(shelf / "sub"))
        assert picker.row is not None and picker.row.name == "inner.html", "the first document, not the parent"
        await pilot.press("backspace")
        await until(pilot, lambda: picker.folder == str(shelf))
        assert picker.row.name == "sub", "the cursor stands on the folder it came from"


async def test_several_files_by_space(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        picker = dialog.query_one(FilePicker)
        await pilot.press("home", "down", "space", "space")
        assert len(picker.files) == 2
        assert dialog.query_one("#chosen", Sentence).text.startswith("2 files: ")
        await pilot.press("up", "space")
        assert len(picker.files) == 1, "a second Space takes the mark away"
        await pilot.press("up", "up", "enter")
        assert dialog.focused is not None and dialog.focused.id == "start" and answers == []


async def test_a_typed_path_filters_completes_and_takes(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        picker, typed = dialog.query_one(FilePicker), dialog.query_one("#path", Input)
        typed.focus()
        await pilot.press(*"su")
        await until(pilot, lambda: picker.row is not None and picker.row.name == "sub")
        await until(pilot, lambda: typed._suggestion == "sub/")
        await pilot.press("right", *"in")
        await until(pilot, lambda: picker.row is not None and picker.row.name == "inner.html")
        await until(pilot, lambda: typed._suggestion == "sub/inner.html")
        await pilot.press("right", "enter")
        await until(pilot, lambda: picker.files == (str(shelf / "sub" / "inner.html"),))
        assert dialog.focused is not None and dialog.focused.id == "start"
        typed.value = "nothing-here.pdf"
        typed.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "does not exist" in dialog.query_one("#problem", Sentence).text)


async def test_a_folder_that_cannot_be_read_says_why(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        dialog.query_one(FilePicker).look(str(shelf / "b.pdf"))
        await until(pilot, lambda: "cannot be listed: Not a directory" in dialog.query_one("#problem", Sentence).text)
        await pilot.press("backspace")
        await until(pilot, lambda: dialog.query_one("#problem", Sentence).text == "")


async def test_recent_files_come_first(shelf: Path) -> None:
    jobs = Jobs(jobs=(runs.job("done", files=(str(shelf / "sub" / "inner.html"), "/nowhere/at-all.pdf")),))
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf, jobs)
        row = dialog.query_one(FilePicker).row
        assert row is not None and row.kind == "recent" and row.path == str(shelf / "sub" / "inner.html")


@pytest.mark.parametrize("size", [(160, 45), (80, 24), (60, 20)])
@pytest.mark.parametrize(
    ("theme", "bare"), [("cachetop-dark", False), ("cachetop-light", False), ("cachetop-ansi", True)]
)
async def test_it_fits_and_draws_hostile_names_as_text(
    shelf: Path, size: tuple[int, int], theme: str, bare: bool
) -> None:
    app = StageApp(theme=theme, ascii_only=bare)
    async with app.run_test(size=size) as pilot:
        dialog, _ = await opened(pilot, shelf, gpus=GPUS)
        await pilot.pause()
        lines = screen_lines(app)
        text = "\n".join(lines)
        assert "\x1b" not in text
        assert "[31mred" in text and "[bold].pdf" in text
        for word in ("Path", "Pipeline", "Device", "Python", "Formats", "Output", "Keep warm", "Start", "Cancel"):
            assert word in text
        assert ".hidden" not in text
        if bare:
            own = [line for line in lines if "Path" not in line and "Output" not in line and "Keep" not in line]
            assert "".join(own).isascii()
        assert dialog.query_one("#start").region.bottom <= size[1]


def test_documents_come_first_and_hidden_ones_stay_away(shelf: Path) -> None:
    found = folders.listing(str(shelf))
    kinds = [entry.kind for entry in found.entries]
    assert kinds == sorted(kinds, key=["parent", "document", "folder", "other"].index)
    names = [entry.name for entry in found.entries]
    assert ".hidden.pdf" not in names and "gone.pdf" not in names and "notes.txt" in names
    assert any("bad" in name for name in names), "a name that is no UTF-8"
    assert [e.name for e in folders.listing(str(shelf), ".h").entries] == [".hidden.pdf"]


def test_a_huge_folder_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST", 10)
    for number in range(30):
        (tmp_path / f"{number}.pdf").touch()
    found = folders.listing(str(tmp_path))
    assert found.cut and len(found.entries) == 11


def test_completion(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.complete("su", str(shelf)) == "sub/"
    assert folders.complete("sub/d", str(shelf)) == "sub/deep/"
    assert folders.complete("zzz", str(shelf)) is None
    assert folders.complete("", str(shelf)) is None
    (shelf / "b2.pdf").touch()
    assert folders.complete("b.", str(shelf)) == "b.pdf"
    monkeypatch.setenv("HOME", str(shelf))
    assert folders.complete("~/su", "/") == "~/sub/"
    assert folders.expand("~/x", "/") == str(shelf / "x")
    os.mkfifo(shelf / "pipe.pdf")
    assert folders.complete("pi", str(shelf)) is None, "only files and folders"


def test_devices_follow_the_gpus() -> None:
    assert [one.value for one in options.devices(None)] == ["auto", "cpu"]
    none = options.devices(Gpus(available=False, reason="no NVIDIA driver"))
    assert [one.value for one in none] == ["auto", "cpu"] and "no NVIDIA driver" in none[0].note
    some = options.devices(GPUS)
    assert [one.value for one in some] == ["auto", "cpu", "cuda", "cuda:1"]
    assert "70.0 GiB free" in some[-1].note and "\x1b" not in some[-1].note


def test_interpreters_of_this_folder_are_marked_and_last() -> None:
    def one(path: str, docling: str | None, here: bool = False) -> Interpreter:
        return Interpreter(path=path, origin="", python="3.11.9", docling=docling, slim=False, torch=None, cuda=None,
                           transformers=None, onnxruntime=None, from_here=here)  # fmt: skip

    found = options.named([one("/here", "2.1", True), one("/none", None), one("/good", "2.1")])
    assert [option.value for option in found] == ["/good", "/here", "/none"]
    assert "from this folder" in found[1].note and found[1].word == "warn"
    assert found[2].note == "no docling"


def test_nothing_in_this_folder_is_run_to_list_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / ".venv" / "bin" / "python"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    binary.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    found = options.interpreters()
    assert any(option.value == str(binary) for option in found)
    assert not (tmp_path / "ran").exists()
    assert found[0].value == "", "it is listed, never chosen"


async def test_ticks_keep_one(shelf: Path) -> None:
    async with StageApp().run_test(size=(80, 24)) as pilot:
        dialog, _ = await opened(pilot, shelf)
        ticks = dialog.query_one("#to", Ticks)
        ticks.focus()
        await pilot.press("space")
        assert ticks.values == ("md",)


async def test_the_keys_screen_lists_commands_and_panels() -> None:
    app = StageApp()
    async with app.run_test(size=(100, 60)) as pilot:
        await app.push_screen(KeysScreen())
        await pilot.pause()
        assert "EVERYWHERE" in "\n".join(screen_lines(app))
        text = "\n".join(row.subject[0] for row in app.screen.query_one(KeyList).shown_rows)
        assert "Leave at once" in text and "IN THE RUNS" in text and "Cancel the run that is shown" in text
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, KeysScreen)


async def test_models_that_are_missing_are_named_with_their_size_before_they_are_fetched(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_hub(1e9) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        async with StageApp().run_test(size=(120, 30)) as pilot:
            dialog, answers = await opened(pilot, shelf)
            await until(pilot, lambda: "fetches first: docling-layout-heron" in "\n".join(screen_lines(pilot.app)))
            dialog.query_one(FilePicker).take(str(shelf / "b.pdf"))
            dialog.query_one("#pipeline").focus()
            await pilot.press("right", "right")
            await until(pilot, lambda: "fetches 1.20 MB first: granite-docling" in "\n".join(screen_lines(pilot.app)))
            await pilot.press("enter")
            await until(pilot, lambda: "granite-docling-258M (1.20 MB)" in "\n".join(screen_lines(pilot.app)))
            assert answers == [], "it asks first"
            await pilot.press("enter")
            assert [answer.pipeline for answer in answers if answer] == ["vlm"]


async def test_auto_without_a_hub_needs_no_second_word(shelf: Path) -> None:
    async with StageApp().run_test(size=(120, 30)) as pilot:
        dialog, answers = await opened(pilot, shelf)
        await until(pilot, lambda: "HF_HUB_OFFLINE forbids" in "\n".join(screen_lines(pilot.app)))
        dialog.query_one(FilePicker).take(str(shelf / "b.pdf"))
        dialog.query_one("#pipeline").focus()
        await pilot.press("enter")
        assert [answer.pipeline for answer in answers if answer] == ["auto"], "auto does without"
