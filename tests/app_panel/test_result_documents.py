"""What a run wrote, in the app: Markdown rendered, JSON as a tree that folds, its folder, its text copied."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it.token import Token

from cachetop.conversion.again import cold
from cachetop.conversion.folder import JobFolder, create
from cachetop_tui.documents import markdown, result, tree
from cachetop_tui.marks import Line
from cachetop_tui.panel import acting
from cachetop_tui.panel.acting import ReportWanted
from cachetop_tui.panel.conversion import ConversionPanel
from cachetop_tui.workbench import opening
from cachetop_tui.workbench.document import DocumentView
from cachetop_tui.workbench.tabs import Tab
from support import runs
from support.stage_app import StageApp, screen_lines, until

MARKDOWN = """# A title

Some *marked* text with a [link](https://example.org) that is so long that it must be wrapped somewhere at the side.

- one
- two
  1. inner

| name | amount |
|---|---|
| apples | 3 |
| \x1b[31mpears | 4 |

```
code   kept
```

<b>raw</b> [red]markup[/red]
"""


def written(tmp_path: Path, **outputs: str) -> JobFolder:
    """A job that ended with these outputs, by format."""
    folder = create({"files": [str(tmp_path / "paper.pdf")], "pipeline": "native", "device": "cpu", "to": list(outputs),
                     "docling": {"do_ocr": False}, "page_range": [2, 3], "python": "/opt/python"})  # fmt: skip
    folder.outputs.mkdir()
    paths = []
    for kind, text in outputs.items():
        paths.append(folder.outputs / f"paper.{kind}")
        paths[-1].write_text(text)
    told = [
        {"event": "document-finished", "file": str(tmp_path / "paper.pdf"), "status": "success", "pages": 1,
         "seconds": 1.0, "outputs": [str(path) for path in paths]},
        {"event": "job-finished", "status": "success", "seconds": 1.0, "start": None, "phases": {}},
    ]  # fmt: skip
    folder.events.write_text("".join(json.dumps({"seq": 1, "time": 1.0, **event}) + "\n" for event in told))
    return folder


def test_markdown_is_rendered_and_nothing_in_it_is_obeyed() -> None:
    shown = [line.text for line in markdown.render(MARKDOWN, 60)]
    text = "\n".join(shown)
    assert shown[0] == "A title" and "# A title" not in text
    assert "Some marked text with a link that is so long" in text and max(map(len, shown)) <= 60
    assert "•   one".replace("   ", " ") in text.replace("•   ", "• ") and "1. inner" in text.replace("1.   ", "1. ")
    assert any("apples" in line and "3" in line for line in shown)
    assert "code   kept" in text and "<b>raw</b> [red]markup[/red]" in text
    assert "\x1b" not in text
    assert markdown.render("", 40) == []


def test_a_long_text_in_pieces_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    part = "## Head\n\nWords *go* on.\n\n- one\n- two\n\n~~~\n# no heading\n\nkept\n~~~\n\nWords\n\n"
    text = part * 40
    whole = [line.text for line in markdown.render(text, 60)]
    monkeypatch.setattr(markdown, "_PIECE", 100)
    pieces = list(markdown._pieces(text))
    assert "".join(pieces) == text and len(pieces) == 20 and max(map(len, pieces)) < 400
    assert [line.text for line in markdown.in_pieces(text, 60)] == whole
    assert max(map(len, markdown._pieces("word " * 5000))) <= 1700, "nor is one line without an end taken whole"


def test_of_a_very_long_result_the_beginning_is_shown_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "LINES", 50)
    for kind in ("md", "txt"):
        job = written(tmp_path, **{kind: "line\n\n" * 500})
        lines = [line.text.strip() for line in result.lines(result.load_text(job.id), 300, 0.0)]
        assert len(lines) < 60 and "The whole, 3.00 KB, is" in lines[-1].replace("the whole", "The whole")
        assert str(job.outputs / f"paper.{kind}") in lines[-1]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda one: st.lists(one) | st.dictionaries(st.text(max_size=3), one),
        max_leaves=30,
    )
)
def test_json_in_parts_is_the_json(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result, "_PART", 8)
        assert result._tree(json.dumps(value).encode(), "/a.json") == value


def test_json_of_very_many_values_is_refused_and_not_a_number_is_read() -> None:
    with pytest.raises(ValueError, match=r"a\.json holds more than 400,000 values"):
        result._tree(b"[" + b"[]," * 400_001 + b"[]]", "/a.json")
    assert str(result._tree(b'{"a": NaN}', "/a.json")) == "{'a': nan}"


async def test_a_result_is_laid_out_beside_the_event_loop_once_for_a_width(tmp_path: Path) -> None:
    asked: list[tuple[int, bool]] = []

    def lines(record: str, width: int, now: float) -> list[Line]:
        asked.append((width, threading.current_thread() is threading.main_thread()))
        assert go.wait(20)
        return markdown.render(record, width)

    go = threading.Event()
    document = replace(opening.result_document(runs.job("done", files=("/p/paper.pdf",))), lines=lines)
    tab = Tab(document, record="# A title\n\nwords")
    async with StageApp(DocumentView()).run_test(size=(80, 12)) as pilot:
        view = pilot.app.query_one(DocumentView)
        view.styles.display = "block"
        await pilot.pause()
        view.show(tab)
        await pilot.pause()
        assert any("laying it out" in line for line in screen_lines(pilot.app))
        go.set()
        await until(pilot, lambda: any("A title" in line for line in screen_lines(pilot.app)))
        view.focus()
        await pilot.press("down", "up")
        view.update_lines()
        assert asked == [(view.size.width, False)]
        await pilot.resize_terminal(60, 12)
        await until(pilot, lambda: len(asked) == 2)
        assert asked[1] == (view.size.width, False)
        await until(pilot, lambda: tab.laid is not None and tab.laid[1] == view.size.width)


def test_of_a_long_table_no_more_rows_are_read_than_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = markdown._Renderer._words

    def noting(self: markdown._Renderer, token: Token) -> str:
        read.append(token.content)
        return original(self, token)

    monkeypatch.setattr(markdown._Renderer, "_words", noting)
    table = "|a|b|\n|-|-|\n" + "|x|y|\n" * 500
    assert len(markdown.render(table, 60, 20)) == 20 and len(read) < 50
    assert len(markdown.render(table, 60)) == 503


def test_an_empty_item_keeps_its_mark_to_itself() -> None:
    shown = [line.text.strip() for line in markdown.render("- one\n-\n\nA paragraph.", 60)]
    assert [line for line in shown if line] == ["• one", "•", "A paragraph."]


def test_columns_for_which_there_is_no_room_are_said() -> None:
    columns = 26
    table = "|" + "a|" * columns + "\n|" + "-|" * columns + "\n|" + "1|" * columns
    text = "\n".join(line.text for line in markdown.render(table, 200))
    assert "and 2 more columns" in text


def test_a_tree_lays_out_only_what_is_unfolded() -> None:
    value = {"a": {"deep": [1, 2, {"x": None}]}, "many": list(range(2000)), "text": "\x1b[31mred", "empty": []}
    rows = tree.rows(value, {}, 80)
    assert [row.open for row in rows] == [True, False, False, None, None]
    assert rows[2].subject.text.endswith("[2,000]") and "\x1b" not in rows[3].subject.text
    opened = tree.rows(value, {rows[1].key: True, rows[2].key: True}, 80)
    assert any("deep: " in row.subject.text.replace(":  ", ": ") for row in opened)
    assert opened[-3].subject.text.strip() == "and 1,500 more"
    assert [row.key for row in tree.rows(value, {"$": False}, 80)] == ["$"]


def test_what_is_read_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = written(tmp_path, json='{"a": 1}', md="# Hello")
    assert result.load_text(both.id) == (str(both.outputs / "paper.md"), "# Hello")
    assert result.load_tree(both.id) == {"a": 1}
    assert result.folder_of(both.id) == str(both.outputs)
    only = written(tmp_path, html="<p>&amp;</p>")
    assert "<p>&amp;</p>" in "".join(line.text for line in result.lines(result.load_text(only.id), 80, 0.0))
    fenced = written(tmp_path, txt="before\n````\n# no heading\n````\nafter")
    shown = [line.text.strip() for line in result.lines(result.load_text(fenced.id), 80, 0.0)]
    assert "# no heading" in shown and shown.count("````") == 2, "text is shown as it is"
    deep = written(tmp_path, json="[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        result.load_tree(deep.id)
    with pytest.raises(LookupError, match="--to json"):
        result.load_tree(only.id)
    with pytest.raises(LookupError, match="wrote nothing"):
        result.load_text(create({"files": ["/a.pdf"]}).id)
    (both.outputs / "paper.md").unlink()
    with pytest.raises(FileNotFoundError):
        result.load_text(both.id)
    monkeypatch.setattr(result, "MOST", 3)
    with pytest.raises(ValueError, match="larger"):
        result.load_tree(both.id)


async def test_the_tree_folds_under_the_keys(tmp_path: Path) -> None:
    document = opening.tree_document(runs.job("done", files=("/p/paper.pdf",)))
    async with StageApp(DocumentView()).run_test(size=(80, 12)) as pilot:
        view = pilot.app.query_one(DocumentView)
        view.styles.display = "block"
        await pilot.pause()
        view.show(Tab(document, record={"body": {"label": "x"}, "n": 1}))
        view.focus()
        await pilot.press("down", "right")
        assert any("label:" in line for line in screen_lines(pilot.app))
        await pilot.press("left")
        assert not any("label:" in line for line in screen_lines(pilot.app))


async def test_keys_of_an_ended_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path, md="# Hello")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run = runs.done()
    run = msgspec.structs.replace(run, job=runs.job("done", id=folder.id, files=run.job.files, seconds=1.0))
    seen: list[str] = []
    monkeypatch.setattr(ConversionPanel, "post_message", spy(ConversionPanel.post_message, seen))
    async with StageApp(ConversionPanel(id="conversion")).run_test(size=(120, 15)) as pilot:
        panel = pilot.app.query_one(ConversionPanel)
        panel.show(runs.jobs(run), (run,), runs.T0)
        panel.focus()
        await pilot.press("e", "J")
        assert seen == ["result", "tree"]
        await pilot.press("Y")
        await until(pilot, lambda: pilot.app.clipboard == "# Hello")
        await pilot.press("O")
        await until(pilot, lambda: pilot.app.clipboard == str(folder.outputs))
        monkeypatch.setattr(acting, "_MOST_COPIED", 3)
        await pilot.press("Y")
        await pilot.pause()
        assert pilot.app.clipboard == str(folder.outputs), "too long for a terminal"
        panel.show(runs.jobs(runs.running()), (runs.running(),), runs.T0)
        await pilot.press("e")
        assert seen == ["result", "tree"], "a run that goes on has none yet"


def spy(original: Callable[..., object], seen: list[str]) -> Callable[..., bool]:
    """`post_message` that notes which documents are wanted."""

    def post(self: object, message: object) -> bool:
        if isinstance(message, ReportWanted):
            seen.append(message.what)
        return bool(original(self, message))

    return post


def test_run_cold_takes_the_same_options(tmp_path: Path) -> None:
    again = cold(written(tmp_path, md="x").id)
    assert again["files"] == [str(tmp_path / "paper.pdf")] and again["python"] == "/opt/python"
    assert again["options"].cold and again["options"].docling == {"do_ocr": False}
    assert again["options"].page_range == (2, 3) and again["to"] == ["md"]
