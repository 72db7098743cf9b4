"""The arithmetic under the lanes: axis, pace and estimate, parts that must not overlap."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.conversion.records import Document, Phase, Run, Stage
from cachetop_tui import cut
from cachetop_tui.paint import width_of
from cachetop_tui.panel import figures, lanes, stages
from cachetop_tui.panel.axis import STEPS, Axis, length_for
from support import runs

spans = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50), st.sampled_from("abc")).map(
        lambda one: (min(one[:2]), max(one[:2]), one[2])
    ),
    max_size=12,
)


def converting(pages: int, total: int | None, every: float = 1.0) -> Run:
    return Run(
        job=runs.job(),
        phases=(Phase(name="convert", spans=((runs.T0, None),)),),
        documents=(Document(file=runs.FILE, pages=total, pages_done=pages),),
        pages=tuple((i + 1, runs.T0 + (i + 1) * every, True) for i in range(pages)),
    )


@given(spans)
def test_flat_parts_are_sorted_and_apart(parts: list[tuple[float, float, str]]) -> None:
    flat = lanes.flat(parts)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(flat))
    if parts and parts[-1][1] - parts[-1][0] > 1e-6:
        assert parts[-1] in flat, "the last one wins whole"


@given(spans)
def test_flat_covers_what_the_parts_cover(parts: list[tuple[float, float, str]]) -> None:
    flat = lanes.flat(parts)
    for tenth in range(0, 500, 7):
        moment = tenth / 10 + 0.033
        wanted = next((token for a, b, token in reversed(parts) if a < moment < b), None)
        got = next((token for a, b, token in flat if a < moment < b), None)
        assert got == wanted


@given(st.floats(0, 200_000), st.integers(1, 300))
def test_the_axis_holds_the_run_and_its_labels(seconds: float, width: int) -> None:
    axis = Axis(runs.T0, length_for(seconds, True), width)
    assert axis.length >= seconds
    assert axis.length in STEPS or axis.length % 86400 == 0
    assert 0 <= axis.cell(runs.T0 + seconds) < width
    labels = axis.labels()
    assert all(cell + len(text) <= width for cell, text in labels)
    ends = [cell + len(text) for cell, text in labels]
    assert all(end < cell for end, (cell, _) in zip(ends, labels[1:], strict=False)), "labels stand apart"


def test_the_axis_grows_in_steps_and_a_finished_run_fills_it() -> None:
    assert length_for(24.6, True) == 30 and length_for(30.1, True) == 60 and length_for(0.4, True) == 1
    assert length_for(24.6, False) == 24.6


def test_no_estimate_before_the_second_page_or_without_a_total() -> None:
    assert figures.read(converting(1, 10), runs.T0 + 1.5).left is None
    assert figures.read(converting(5, None), runs.T0 + 5.5).left is None
    assert figures.read(converting(5, 10), runs.T0 + 5.0).left == pytest.approx(5.0)


@given(st.integers(2, 60), st.integers(0, 60), st.floats(0, 10))
def test_the_estimate_is_never_in_the_past(pages: int, more: int, later: float) -> None:
    now = runs.T0 + pages + later
    left = figures.read(converting(pages, pages + more), now).left
    assert left is None or 0 <= left <= (more + 1) * max(1.0, later) + 1


def test_silence_is_told_instead_of_an_estimate() -> None:
    found = figures.read(converting(5, 10), runs.T0 + 60)
    assert found.left is None and found.silent == pytest.approx(55.0)
    assert figures.read(converting(10, 10), runs.T0 + 60).silent is None, "all pages are in"


def test_a_phase_that_never_finished_is_broken_once_the_run_is_over() -> None:
    found = figures.read(runs.lost(), runs.T0 + 9999)
    assert found.broken("convert") and not found.broken("import")
    assert found.elapsed == pytest.approx(24.6), "up to the last thing heard of it"
    assert not figures.read(runs.running(), runs.T0 + 24.6).broken("convert")


@given(st.lists(st.tuples(st.integers(1, 99), st.floats(0, 100), st.floats(0, 30)), max_size=60), st.integers(1, 120))
def test_every_page_of_a_stage_is_seen(items: list[tuple[int, float, float]], width: int) -> None:
    made = [Stage(stage="ocr", page=p, end=runs.T0 + end, seconds=seconds) for p, end, seconds in items]
    axis = Axis(runs.T0, 100.0, width)
    tokens = stages.halves(axis, made)
    assert len(tokens) == width * 2
    for one in made:
        last = max(0, min(width * 2 - 1, round((one.end - runs.T0) / 100 * width * 2) - 1))
        assert any(tokens[max(0, last - 1) : last + 2]), "there is a dash where the page ended"


@given(st.text(max_size=40), st.integers(0, 30))
def test_cut_names_fit(text: str, width: int) -> None:
    assert width_of(cut.head(text, width)) <= width
    assert width_of(cut.middle(text, width)) <= width
    assert width_of(cut.file_name(text, width)) <= max(width, 0)


def test_cut_names_keep_what_tells_them_apart() -> None:
    assert cut.middle("triton_poi_fused_add_backward_7", 20).endswith("ward_7")
    assert cut.file_name("/a/annual-report-2025.pdf", 18) == "annual-report-2025", "the extension goes first"
    assert cut.file_name("/a/annual-report-2025.pdf", 16) == "annual-re…t-2025"
    assert cut.path_name("/home/ana/very/long/way/to/file.md", 20).endswith("to/file.md")
