"""The report on a run as a document: at every width, of every kind of run, without a control character."""

from __future__ import annotations

import pytest

from cachetop.conversion.records import Examined, Run
from cachetop.conversion.report import report
from cachetop_tui.documents.report import lines
from cachetop_tui.paint import width_of
from support import runs


def examined(run: Run, other: Run | None = None) -> Examined:
    return Examined(report=report(run, other), run=run, other=other)


def words(run: Run, other: Run | None = None, width: int = 140) -> list[str]:
    return [line.text for line in lines(examined(run, other), width, runs.T0)]


def test_the_verdict_comes_first_then_the_bars_and_the_reasons() -> None:
    told = words(runs.resident(), runs.done())
    verdict = next(n for n, line in enumerate(told) if "faster than" in line)
    bars = next(n for n, line in enumerate(told) if line.startswith("WHERE THE TIME WENT"))
    assert verdict < bars
    assert any(line.startswith("this run  resident") for line in told)
    assert any(line.startswith("run a3f2  disk-warm") for line in told)
    assert any(line.startswith("import") and "same process" in line for line in told)
    assert any("those of the resident worker" in line for line in told)


def test_one_run_alone_has_no_second_bar() -> None:
    told = words(runs.done())
    assert "both bars on one scale" not in "\n".join(told)
    assert any("softmax_kernel" in line and "compiled in 250 ms" in line for line in told)
    assert any(line.startswith("runs on") and "only sm_90" in line for line in told)
    assert any("peak 2.14 GiB" in line for line in told)


@pytest.mark.parametrize("name", sorted(runs.ALL))
@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_run_fits_every_width(name: str, width: int) -> None:
    for line in lines(examined(runs.ALL[name](), runs.done()), width, runs.T0):
        assert "\x1b" not in line.text and "\x07" not in line.text
        for mark in line.marks:
            end = mark.x + (width_of(mark.text) if hasattr(mark, "text") else getattr(mark, "width", 1))
            assert end <= width, (line.text, mark)
            assert mark.x >= 0
