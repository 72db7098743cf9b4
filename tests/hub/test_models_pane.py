"""What the models pane does with filters, other places, and a scan that goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cachetop.hub.choose import PRESETS
from cachetop.hub.choose import typed as written
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Beside, Models
from cachetop.hub.scan import Scanner
from cachetop_tui.panes import models as pane
from support import hubcache

WHISPER = Beside(kind="whisper", path="/home/me/.cache/whisper", reason="default", size=75_000_000,
                 size_on_disk=75_000_000, files=1, note="Models of openai-whisper.")  # fmt: skip


@pytest.fixture
def models(cache: Path, scanner: Scanner) -> Models:
    hubcache.healthy(cache, "org/good", weights=90_000)
    hubcache.repo(cache, "org/half").partial("e" * 64, b"x" * 5000)
    return with_detail(scanner.scan(), scanner)


def texts(models: Models, view: pane.View | None = None, width: int = 90) -> list[str]:
    view = view or pane.View()
    return [pane.line(row, width, view, 0.0).text for row in pane.rows(models, width, view)]


def test_the_filter_line_takes_filters_and_names(models: Models) -> None:
    for typed, expected in (
        ("partial", "half"),
        ("size>50KB", "good"),
        ("ORG/G", "good"),
        ("resident>90% org", "good"),
    ):
        (line,) = texts(models, pane.View(filter=typed))
        assert expected in line
    assert "No repo has 'partial good'" in texts(models, pane.View(filter="partial good"))[0]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_title_calls_a_preset_by_its_name(models: Models, preset: str) -> None:
    def title(typed: str) -> str:
        return pane.headers(models, 90, 20, pane.View(filter=typed), True)[0].text

    assert f"preset: {preset} " in title(written(preset)) and "filter:" not in title(written(preset))
    assert "filter: org" in title("org") and "preset:" not in title("org")


@pytest.mark.parametrize("width", [48, 90])
def test_other_places_come_last_and_not_under_a_filter(models: Models, width: int) -> None:
    seen = msgspec.structs.replace(models, beside=(WHISPER,))
    last = texts(seen, width=width)[-1]
    assert "whisper" in last and "75.0 MB" in last
    assert not any("whisper" in line for line in texts(seen, pane.View(filter="org"), width))


def test_another_place_says_what_is_wrong_with_it_where_there_is_room(models: Models) -> None:
    wrong = msgspec.structs.replace(WHISPER, size=None, problem="It is the folder of [b]ollama[/b], and counted there.")
    last = texts(msgspec.structs.replace(models, beside=(wrong,)), width=160)[-1]
    assert "/home/me/.cache/whisper" in last.replace("~", "/home/me") and "It is the folder of [b]oll" in last


def test_an_empty_pane_does_not_claim_to_be_done_while_scanning() -> None:
    assert texts(Models(scanning=True)) == []
    header = pane.headers(Models(scanning=True), 90, 20, pane.View(), True)[0].text
    assert "scanning" in header
    assert "No models here yet." in texts(Models())[0]


def test_a_download_that_was_cut_off_makes_no_repo_look_colder(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache, "org/more", weights=90_000).partial("e" * 64, b"x" * 900_000)
    (line,) = [line for line in texts(with_detail(scanner.scan(), scanner)) if "more" in line]
    assert "100 %" in line, "as `cachetop models` and the filter resident>90% say"


def test_a_cut_off_download_is_a_dead_partial(models: Models) -> None:
    line = next(line for line in texts(models) if "half" in line)
    assert "dead partial" in line
