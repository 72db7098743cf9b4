"""Two runs side by side: bars that add up, reasons, and the estimate of first calls."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.conversion.compare import bars, compare, exclusive, first_calls
from cachetop.conversion.fold import Fold
from cachetop.conversion.records import KernelSeen, Load, Phase, Run, Stage
from cachetop.conversion.report import report
from cachetop.conversion.two_things import rows
from cachetop.conversion.workers import Live
from support import runs


def staged(*seconds: float, batch: int = 1) -> Run:
    """A run whose one stage took this long for each page."""
    items = tuple(
        Stage(stage="layout", page=n + 1, end=runs.T0 + n, seconds=one, batch=batch) for n, one in enumerate(seconds)
    )
    return msgspec.structs.replace(runs.done(), stages=items)


def test_the_first_call_is_compared_with_the_later_ones() -> None:
    assert first_calls(staged(3.0, 1.0, 1.0, 1.0)) == {"layout": pytest.approx(2.0)}
    assert first_calls(staged(1.0, 1.0, 1.0)) == {}
    assert first_calls(staged(5.0)) == {}, "nothing to compare with"
    assert first_calls(staged(2.0, 2.0, 1.0, 1.0, batch=2)) == {"layout": pytest.approx(2.0)}
    told = report(staged(3.0, 1.0, 1.0))
    assert any(one.cause == "first-call" and one.message.startswith("estimate") for one in told.verdict)


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=30))
def test_the_estimate_never_exceeds_what_was_measured(seconds: list[float]) -> None:
    assert sum(first_calls(staged(*seconds)).values()) <= seconds[0]


def test_what_was_compiled_while_pages_ran_is_counted_once() -> None:
    run = msgspec.structs.replace(
        runs.done(),
        phases=(
            Phase(name="compile", spans=((runs.T0 + 2, runs.T0 + 8),), seconds=6.0),
            Phase(name="convert", spans=((runs.T0 + 1, runs.T0 + 10),), seconds=9.0),
        ),
        job=runs.job("done", seconds=10.0),
    )
    assert exclusive(run) == {"compile": 6.0, "convert": pytest.approx(3.0)}
    assert bars(run) == [("compile", 6.0), ("convert", pytest.approx(3.0)), ("", pytest.approx(1.0))]
    assert any("compiling kernels" in one.message for one in report(run).verdict if one.cause == "largest")


def test_each_phase_says_why_it_differs() -> None:
    told = compare(runs.resident(), runs.done())
    assert told.start == ("resident", "disk-warm")
    assert told.reasons["import"].startswith("same process")
    assert "2 models" in told.reasons["load"]
    cold = msgspec.structs.replace(runs.done(), start="cold", loads=runs.loads(0.0))
    assert compare(cold, runs.done()).reasons["load"] == "0 B of 384 MB were in RAM; then 384 MB of 384 MB were in RAM"


def test_a_stage_that_takes_most_is_named_with_its_switch() -> None:
    told = report(runs.done())
    [advice] = [one for one in told.advice if "--no-tables" in one.message]
    assert "51%" in advice.message or "table stage is" in advice.message
    assert not any("--no-ocr" in one.message for one in told.advice)


def test_a_model_that_was_loaded_twice_is_named() -> None:
    load = Load(repo="o/m", path=None, revision=None, bytes=10, resident_before=0, started=runs.T0, seconds=1.0)
    again = msgspec.structs.replace(load, bytes=384_000_000, seconds=2.5)
    run = msgspec.structs.replace(runs.done(), loads=(load, again, again))
    [advice] = [one for one in report(run).advice if "o/m was loaded 3 times" in one.message]
    assert advice.saves == 5.0
    assert "(copies beyond the first took 5.0 s to load and hold 768 MB more)" in advice.message
    unfinished = msgspec.structs.replace(run, loads=(load, msgspec.structs.replace(again, seconds=None, bytes=0)))
    [advice] = [one for one in report(unfinished).advice if "o/m was loaded 2 times" in one.message]
    assert advice.saves is None and "copies beyond" not in advice.message


def test_a_model_in_two_workers_is_named_with_what_the_second_costs() -> None:
    told = [
        {"models": ["o/m", "o/n"], "held": [{"model": "o/m", "bytes": 10, "seconds": seconds}]} for seconds in (1, 3)
    ]
    resident = tuple(Live(Path(f"/run/w{pid}.sock"), pid, answer).record() for pid, answer in enumerate(told, 1))
    measured, unknown = [one for one in report(runs.done(), None, resident).advice if "resident workers" in one.message]
    assert measured.saves == 3.0 and "o/m is loaded in 2 resident workers (w1 and w2)" in measured.message
    assert "(copies beyond the first took 3.0 s to load and hold 10 B more)" in measured.message
    assert unknown.saves is None and "o/n" in unknown.message and "copies" not in unknown.message


def test_model_and_kernels_stand_side_by_side() -> None:
    told = {what: (models, kernels) for what, models, kernels in rows(runs.done())}
    assert told["in this run"] == ("2", "1 compiled, 0 from a cache")
    assert told["bytes"][0] == "384 MB" and told["bytes"][1] == "?"
    assert told["runs on"] == ("any machine with room for it", "only sm_90")
    assert {what: kernels for what, _, kernels in rows(runs.native())}["bytes"] == "–"


def test_tokens_and_waiting_are_folded() -> None:
    fold = Fold(runs.job())
    fold.feed({"event": "waiting", "time": runs.T0, "stage": "vlm", "pages": [3], "seconds": 5.0})
    waiting = fold.run().waiting
    assert waiting is not None and (waiting.stage, waiting.pages) == ("vlm", (3,))
    for count, done in ((10, False), (21, True)):
        fold.feed(
            {"event": "tokens", "time": runs.T0, "pages": [3], "tokens": count, "prompt": 9, "first": 0.5,
             "seconds": 2.0, "done": done}
        )  # fmt: skip
    fold.feed({"event": "tokens", "time": runs.T0, "pages": [4], "tokens": 1, "first": 0.5, "seconds": 0.0})
    fold.feed({"event": "stage-finished", "time": runs.T0, "stage": "vlm", "page": 3, "seconds": 6.0})
    run = fold.run()
    assert [(one.pages, one.tokens, one.rate) for one in run.tokens] == [((3,), 21, 10.0), ((4,), 1, None)]
    assert run.waiting is None
    assert report(run).tokens == 22


def test_a_sum_of_which_a_part_is_unknown_says_so() -> None:
    run = runs.done()
    kernels = [
        KernelSeen(
            cache="triton", key=None, name=None, sm=None, milliseconds=took, hit=False, time=run.job.started,
            bytes=size, files=files,
        )
        for took, size, files in ((1500.0, 4000, 8), (None, None, None))
    ]  # fmt: skip
    run = msgspec.structs.replace(run, kernels=tuple(kernels))
    told = {what: text for what, _, text in rows(run)}
    assert (told["bytes"], told["files"]) == ("at least 4.00 KB", "at least 8")
    assert told["lost, it costs"] == "at least 1.5 s of compiling, as measured here"
    (said,) = [one.message for one in report(run).verdict if one.cause == "compile"]
    assert said == "2 kernels compiled (at least 1.5 s), 0 taken from a cache"
