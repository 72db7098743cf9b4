"""The report on a run as a document: at every width, of every kind of run, without a control character."""

from __future__ import annotations

import msgspec
import pytest

from cachetop.conversion.records import Allocated, Run
from cachetop.conversion.report import report
from cachetop.conversion.verdicts import Examined
from cachetop_tui.documents.report import lines
from cachetop_tui.paint import width_of
from cachetop_tui.panel import words as panel_words
from cachetop_tui.panel.figures import read
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


def test_the_vram_is_told_by_phase_and_by_what_held_it() -> None:
    mib = 2**20
    allocator = Allocated(gpu=1, time=1.0, allocated=500 * mib, reserved=700 * mib, process=1100 * mib, peak=900 * mib)
    peaks = ((1, "load", 1000 * mib), (1, "convert", 2000 * mib))
    run = msgspec.structs.replace(runs.done(), allocators=(allocator,), phase_vram=peaks)
    told = words(run)
    assert any("VRAM OF GPU 1" in line and "at most 2.14 GiB" in line for line in told)
    rows = {line.rpartition("  ")[0].strip(): line.rpartition("  ")[2] for line in told}
    assert rows["A load peak"] == "1000 MiB" and rows["C pages peak"] == "1.95 GiB"
    assert rows[f"weights {runs.LAYOUT}"] == "164 MiB"
    assert rows["kept by the allocator"] == "200 MiB" and rows["context and libraries"] == "400 MiB"
    assert rows["activations, at most"] == "533 MiB"
    note = panel_words.vram(read(run, run.finished or 0.0), 1)
    assert note.fit(80) == "2.14 GiB: weights 367 MiB, activations 533 MiB, context 400 MiB"
    verdict = next(one.message for one in report(run).verdict if one.cause == "vram")
    assert verdict == (
        "GPU 1 held at most 2.14 GiB, while converting: weights 367 MiB, activations 533 MiB, context 400 MiB"
    )
    assert any("Not measured: activations" in line for line in words(runs.done()))


def test_a_model_in_two_workers_is_said() -> None:
    one = runs.jobs().workers[0]
    two = msgspec.structs.replace(one, id="w2", models=(runs.TABLES,))
    told = [advice.message for advice in report(runs.done(), None, (one, two)).advice]
    assert [message for message in told if runs.TABLES in message and "w1 and w2" in message]
    assert not [message for message in told if runs.LAYOUT in message]


@pytest.mark.parametrize("name", sorted(runs.ALL))
@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_run_fits_every_width(name: str, width: int) -> None:
    for line in lines(examined(runs.ALL[name](), runs.done()), width, runs.T0):
        assert "\x1b" not in line.text and "\x07" not in line.text
        for mark in line.marks:
            end = mark.x + (width_of(mark.text) if hasattr(mark, "text") else getattr(mark, "width", 1))
            assert end <= width, (line.text, mark)
            assert mark.x >= 0
