"""What the lanes draw, as text, for runs in every state and every size."""

from __future__ import annotations

import re

import msgspec
import pytest
from textual.strip import Strip

from cachetop.conversion.records import Load, Phase, Run, Stage, Tokens
from cachetop.conversion.waits import Waiting
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panel import figures, lanes, words
from cachetop_tui.panel.compact import draw_compact
from cachetop_tui.themes import palette
from support import runs

MOMENTS = {"thousand": 940.0, "importing": 1.4, "loading": 5.3, "downloading": 9.0, "shuffled": 4.2, "queued": 0.4}


def now_of(name: str) -> float:
    return runs.T0 + MOMENTS.get(name, 24.6)


def drawn(name: str, width: int = 122, height: int = 13, mode: str = "dark", ascii_only: bool = False) -> list[str]:
    canvas = Canvas(width, height, "side", palette(mode, ascii_only))
    lanes.draw(canvas, 0, figures.read(runs.ALL[name](), now_of(name)))
    return canvas.text()


def row(lines: list[str], label: str) -> str:
    return next(line for line in lines if line.strip().startswith(label))


def test_a_running_run_reads_like_the_design() -> None:
    lines = drawn("running")
    assert lines[0].startswith("  page 17 of 40   1.03 pages/s   24.6 s so far, about 22 s left")
    assert lines[0].rstrip().endswith("x cancel")
    assert "▼ now" in lines[1] and "WHAT IT MEANS" in lines[1]
    assert "4.9 s ✓" in row(lines, "import") and "new process: torch, docling" in row(lines, "import")
    assert "384 MB, all of it was warm in RAM" in row(lines, "A load")
    assert "1 kernel built in 250 ms" in row(lines, "B compile")
    assert "17 of 40" in row(lines, "C pages") and "≈ 22 s left" in row(lines, "C pages")
    assert "sets the pace" in row(lines, "table") and "7 pages ahead" in row(lines, "layout")
    assert "2.14 GiB since page 6" in "".join(lines)
    assert "▲ models" in lines[-1] and "▲ page 6" in lines[-1]


def test_a_lane_stands_where_the_phase_was() -> None:
    lines = drawn("done")
    first = {
        name: re.search(r"[█▉▊▋▌▍▎▏▐]", row(lines, name)[24:]) for name in ("import", "A load", "C pages", "export")
    }
    starts = [match.start() for match in first.values() if match]
    assert len(starts) == 4
    assert starts == sorted(starts) and starts[0] == 0 and starts[-1] > 55


def test_overlapping_phases_overlap() -> None:
    base = runs.done()
    late = Phase(name="load", spans=((runs.T0 + 10, runs.T0 + 20),), seconds=10.0)
    run = Run(job=base.job, status="success", finished=base.finished, pages=base.pages,
              phases=(late, next(p for p in base.phases if p.name == "convert")))  # fmt: skip
    found = figures.read(run, base.finished or 0)
    load, pages = lanes.lane(found, "load")[0], lanes.lane(found, "convert")[0]
    assert pages[0] < load[0] < load[1] < pages[1]


def test_load_is_split_into_reading_and_moving() -> None:
    spans = lanes.lane(figures.read(runs.running(), runs.T0 + 24.6), "load")
    assert [token for _, _, token in spans] == ["v.other", "p.disk", "p.vram", "p.disk", "p.vram"]
    assert spans[1][1] - spans[1][0] == pytest.approx(0.2)
    assert spans[2][1] - spans[2][0] == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("queued", ["queued", "waits for a worker"]),
        ("importing", ["importing", "1.4 s", "new process"]),
        ("loading", ["loading the models", "312 of 770", "docling-layout-heron, 172 MB"]),
        ("downloading", ["downloading 26 %, 44.6 MB of 172 MB"]),
        ("shuffled", ["page 6 of ?", "6 of ?"]),
        ("done", ["✓ done   40 pages", "in 46.7 s", "→ /home/ana/out/annual-report-2025.md", "wrote annual-report"]),
        ("native", ["✓ done   12 pages", "CPU run: no GPU kernels", "the native pipeline loads no models"]),
        ("resident", ["resident: nothing to import", "resident: pipeline already built"]),
        ("failed", ["✗ failed", "is not in the cache", "run `hf download", "not reached", "1.1 s ✗"]),
        ("cancelled", ["– cancelled   17 pages", "18.5 s ✓"]),
        (
            "partial",
            ["▲ partial   9 pages   3 files", "1 page failed", "2 files in /home/ana", "scan.pdf is encrypted"],
        ),
        ("lost", ["✗ lost   17 pages", "18.4 s ✗", "stderr.log"]),
        ("thousand", ["page 980 of 1,000", "15 min 40 s so far", "384 MB, 10 % was warm in RAM"]),
    ],
)
def test_every_state_says_what_it_is(name: str, words: list[str]) -> None:
    text = "\n".join(drawn(name))
    for word in words:
        assert word in text, f"{word!r} is missing in\n{text}"


@pytest.mark.parametrize("name", sorted(runs.ALL))
@pytest.mark.parametrize(("width", "height"), [(158, 13), (112, 6), (78, 10), (60, 5), (30, 4), (12, 3), (1, 1)])
def test_every_state_fits_every_size(name: str, width: int, height: int) -> None:
    lines = drawn(name, width, height)
    assert len(lines) == height
    assert all(width_of(line) == width for line in lines)


@pytest.mark.parametrize("name", sorted(runs.ALL))
@pytest.mark.parametrize("mode", ["dark", "light", "ansi", "plain"])
def test_every_state_has_styles_in_every_mode(name: str, mode: str) -> None:
    canvas = Canvas(112, 12, "side", palette(mode))
    lanes.draw(canvas, 0, figures.read(runs.ALL[name](), now_of(name)))
    strips = canvas.strips()
    assert all(strip.cell_length == 112 for strip in strips)
    if mode == "plain":
        assert not any(segment.style and segment.style.color for strip in strips for segment in strip)


@pytest.mark.parametrize("name", sorted(runs.ALL))
def test_ascii_is_ascii(name: str) -> None:
    text = "".join(drawn(name, ascii_only=True))
    assert text.isascii()


def test_ascii_lanes_carry_letters() -> None:
    lines = drawn("done", ascii_only=True)
    assert "iiii" in row(lines, "import") and "CCCC" in row(lines, "C pages") and "AA" in row(lines, "A load")
    assert "." in row(drawn("running", ascii_only=True), "C pages").split("table")[0]


def test_hostile_names_are_drawn_as_text() -> None:
    text = "\n".join(drawn("hostile"))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "[link=x]file[/link]" in text
    assert "hf_abcdefghij123" not in text and "token=****" in text


def test_unknown_is_not_zero() -> None:
    unknown = Load(repo="a/b", path=None, revision=None, bytes=10_000_000, resident_before=None,
                   started=runs.T0, seconds=1.0)  # fmt: skip
    run = Run(
        job=runs.job(), phases=(Phase(name="load", spans=((runs.T0, runs.T0 + 1),), seconds=1.0),), loads=(unknown,)
    )
    canvas = Canvas(122, 13, "side")
    lanes.draw(canvas, 0, figures.read(run, runs.T0 + 2))
    assert "10.0 MB, warm part unknown" in "\n".join(canvas.text())
    assert "0 %" not in "\n".join(canvas.text())


def three_lines(run: Run, width: int, now: float) -> list[Strip]:
    """A run where there is room for three lines."""
    canvas = Canvas(width, 3, "side", palette("dark"))
    draw_compact(canvas, 0, figures.read(run, now))
    return canvas.strips()


@pytest.mark.parametrize("name", sorted(runs.ALL))
@pytest.mark.parametrize("width", [160, 80, 60, 40, 8])
def test_three_lines_fit(name: str, width: int) -> None:
    strips = three_lines(runs.ALL[name](), width, now_of(name))
    assert len(strips) == 3
    assert all(strip.cell_length == width for strip in strips)


def test_three_lines_read_like_the_design() -> None:
    lines = [strip.text for strip in three_lines(runs.running(), 80, runs.T0 + 24.6)]
    assert lines[0].startswith(" 4 RUN A3F2") and "annual-report-2025.pdf   page 17 of 40   about 22 s left" in lines[0]
    assert "C pages" in lines[1]
    assert lines[2].startswith(" import 4.9 s  A load 1.2 s  B compile 250 ms  C pages 18.4 s")
    assert lines[2].rstrip().endswith("VRAM 2.14 GiB")


def test_the_pages_say_which_stage_they_wait_for_and_how_fast_tokens_come() -> None:
    call = Waiting(stage="layout_postprocess", pages=(7,), seconds=8.0, time=runs.T0 + 20)
    run = msgspec.structs.replace(runs.running(), waiting=call)
    assert words.pages(figures.read(run, runs.T0 + 24)).texts[0] == "waits for regions, page 7: 12 s so far"
    tokens = Tokens(pages=(3,), tokens=41, prompt=900, first=0.5, seconds=4.0, done=False, time=runs.T0 + 20)
    run = msgspec.structs.replace(runs.running(), tokens=(tokens,))
    assert words.pages(figures.read(run, runs.T0 + 24)).texts[0] == "10.0 tokens/s, 41 of page 3"


@pytest.mark.parametrize("total", [40, 1000])
def test_the_names_of_stages_are_whole(total: int) -> None:
    names = ("preprocess", "layout", "ocr", "layout_postprocess", "table", "assemble")
    stages = tuple(Stage(stage=name, page=1, end=runs.T0 + 9, seconds=0.5) for name in names)
    run = msgspec.structs.replace(runs.running(), stages=stages, vram=(), progress={"convert": (17, total, "pages")})
    canvas = Canvas(120, 20, "side", palette("dark", False))
    lanes.draw(canvas, 0, figures.read(run, runs.T0 + 24))
    text = canvas.text()
    for name in ("prepare", "regions", "assemble", "layout", "table"):
        assert any(line.split()[:1] == [name] for line in text), text
