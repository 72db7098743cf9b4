"""How records show themselves in a notebook: escaped, masked, self-contained, and as good in plain text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cachetop
from cachetop.base.record import Problem, Record
from cachetop.conversion.records import Job, Jobs
from cachetop.gpu.records import Gpu, Gpus, Memory, Process
from cachetop.hub.records import File, Models, Repo, Revision
from cachetop.kernelcache.records import Cache, Entry, Kernels, Producer
from cachetop.notebook.records import KernelUse, ModelRead, Report, TorchCompile, VramUse
from cachetop.notebook.sheet import MOST_ROWS
from support import hubcache

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)> \'" onmouseover="x'
ALLOWED = {"div", "style", "h4", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "p", "span", "i"}


class Reader(HTMLParser):
    """Collects every tag, attribute and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def records(text: str) -> list[Record]:
    """One of each that is shown, with `text` wherever a text comes from elsewhere."""
    problem = Problem(rule=text, message=text)
    files = (File(name=text, size=3, size_on_disk=4, blob=text, resident=1),)
    revision = Revision(
        commit=text, refs=(text,), size=3, size_on_disk=4, reclaimable=4, detached=True, complete=False, files=files,
        missing=(text,),
    )  # fmt: skip
    repo = Repo(
        id=text, type=text, root=text, size=3, size_on_disk=4, reclaimable=4, last_used=None, last_modified=1.0,
        problems=(problem,), revisions=(revision,), partials=(),
    )  # fmt: skip
    entry = Entry(
        cache=text, kind=text, key=text, name=text, sm=(text,), size_on_disk=4, files=1, created=1.0, last_used=None,
        state=text, producer=Producer(), problems=(problem,),
    )  # fmt: skip
    cache = Cache(
        id=text, kind=text, path=text, reason=text, exists=True, size_on_disk=4, filesystem=text, problem=text
    )
    process = Process(pid=1, user=text, command=text, memory=None)
    gpu = Gpu(
        index=0, uuid=text, name=text, sm=text, memory=Memory(total=4, used=3, free=1, reserved=None), utilization=1,
        temperature=None, power=1.0, processes=(process,), unattributed=None, problem=text,
    )  # fmt: skip
    job = Job(id=text, state=text, files=(text,), pipeline=text, device=text, started=1.0, seconds=None, folder=text)
    report = Report(
        models=(ModelRead(repo=text, revision=text, files=1, bytes=3, resident_before=None, evidence=text),),
        kernels=(KernelUse(cache=text, key=text, name=text, sm=(text,), milliseconds=None, hit=False),),
        vram=(VramUse(gpu=0, before=None, peak=1, after=1 << 30),),
        problems=(problem,),
        torch=TorchCompile(
            graphs=1, cache_hits=0, cache_misses=1, cache_bypassed=0, graph_breaks=1, recompiles=0, reasons=(text,)
        ),
    )
    return [
        Models(repos=(repo,), problems=(problem,)),
        Kernels(caches=(cache,), entries=(entry,)),
        Gpus(available=True, reason=text, driver=text, gpus=(gpu,)),
        Jobs(jobs=(job,)),
        report,
        repo,
        problem,
    ]


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.just(HOSTILE), st.text(max_size=60)))
def test_no_text_becomes_html(text: str) -> None:
    for record in records(text):
        shown = record._repr_html_()
        reader = Reader()
        reader.feed(shown)
        reader.close()
        assert reader.tags <= ALLOWED
        assert set(reader.attributes) <= {"class", "style"}
        assert all(value.startswith("width:") for value in reader.attributes.get("style", ()))
        assert "url(" not in shown and "@import" not in shown.split("</style>")[0]


@pytest.mark.parametrize("number", range(7))
def test_secrets_are_masked_and_control_characters_gone(number: int) -> None:
    record = records("HF_TOKEN=hf_abcdefghijklm\x1b[31m\u202e")[number]
    bundle = record._repr_mimebundle_()
    for form in ("text/plain", "text/html"):
        assert "abcdefghijklm" not in bundle[form]
        assert "\x1b" not in bundle[form]
        assert "\u202e" not in bundle[form]
        assert "****" in bundle[form]


def test_html_and_plain_text_say_the_same() -> None:
    for record in records("org/model"):
        reader = Reader()
        reader.feed(record._repr_html_())
        plain = record._repr_mimebundle_()["text/plain"].split()
        for word in " ".join(reader.words).split():
            assert word in plain or word in (" ".join(plain))


def test_a_report_carries_its_json() -> None:
    bundle = records("x")[4]._repr_mimebundle_()
    told = bundle["application/vnd.cachetop.report.v1+json"]
    assert json.loads(json.dumps(told))["schema"] == "cachetop.report/1"


def test_a_long_list_is_cut_and_says_so(world: Path) -> None:
    cache = world / ".cache" / "huggingface" / "hub"
    for number in range(MOST_ROWS + 3):
        hubcache.healthy(cache, f"org/model-{number}", weights=64)
    found = cachetop.models()
    assert found._repr_html_().count("<tr>") == MOST_ROWS + 1
    for shown in (found._repr_html_(), found._repr_mimebundle_()["text/plain"]):
        assert "and 3 more" in shown


def test_unknown_is_a_question_mark() -> None:
    report = records("x")[4]
    assert isinstance(report, Report)
    plain = report._repr_mimebundle_()["text/plain"]
    assert [line.split()[2:4] for line in plain.splitlines() if line.startswith("  GPU 0")] == [["?", "0.00"]]
    assert "?" in plain.split("IN RAM BEFORE")[1].splitlines()[1]


@pytest.mark.parametrize("sanitize", [False, True])
def test_it_survives_nbconvert(world: Path, sanitize: bool) -> None:
    import nbformat
    from nbconvert import HTMLExporter

    hubcache.healthy(world / ".cache" / "huggingface" / "hub", "org/model")
    v4: Any = nbformat.v4
    exporter: Any = HTMLExporter  # neither has types
    bundle = cachetop.models()._repr_mimebundle_()
    cell = v4.new_code_cell("cachetop.models()", outputs=[v4.new_output("display_data", bundle)])
    page, _ = exporter(sanitize_html=sanitize).from_notebook_node(v4.new_notebook(cells=[cell]))
    shown = page[page.index('class="cachetop"') :]
    assert "org/model" in shown and ('class="ct-bar"' in shown or sanitize)
    assert "<script" not in bundle["text/html"] and "://" not in bundle["text/html"]
