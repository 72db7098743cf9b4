"""Filters, orders and presets over repos, and what a person types into the filter line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop import cli
from cachetop.hub import choose
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop_tui.panes import models as pane
from support import hubcache


@pytest.fixture
def models(cache: Path, scanner: Scanner) -> Models:
    hubcache.healthy(cache, "org/good", weights=90_000)
    half = hubcache.repo(cache, "org/half")
    half.partial("e" * 64, b"x" * 5000)
    old = hubcache.healthy(cache, "org/old")
    old.file("config.json", b"older", commit=hubcache.OTHER)
    lone = hubcache.repo(cache, "org/lone")
    lone.file("config.json", b"{}")
    sick = hubcache.healthy(cache, "org/sick", "dataset")
    (sick.path / "refs" / "bad").write_bytes(b"\xff")
    return with_detail(scanner.scan(), scanner)


def kept(models: Models, *filters: str) -> set[str]:
    return {repo.id.removeprefix("org/") for repo in models.repos if choose.keep(filters)(repo)}


def test_words_and_keys(models: Models) -> None:
    assert kept(models, "partial") == kept(models, "partial=stale") == {"half"}
    assert kept(models, "partial=live") == set()
    assert kept(models, "detached") == kept(models, "detached>0") == {"old", "lone"}
    assert kept(models, "superseded") == {"old"}  # nothing took the place of the lone one
    assert kept(models, "problem") >= {"sick"} and kept(models, "problem=bad-ref") == {"sick"}
    assert kept(models, "resident", "size>80KB") == kept(models, "resident>90%", "size>80KB") == {"good"}
    assert kept(models, "resident>80KB") == {"good"}
    assert "half" not in kept(models, "resident<1%")  # it has no file to ask about
    assert kept(models, "type=dataset") == {"sick"}
    with pytest.raises(ValueError, match="is not a filter"):
        choose.keep(["size"])
    with pytest.raises(ValueError, match="is not a size"):
        choose.keep(["resident>lots"])


def test_presets_and_orders(models: Models) -> None:
    for preset in choose.PRESETS.values():
        filtered = [repo for repo in models.repos if choose.keep(preset.filters)(repo)]
        assert sorted(repo.id for repo in choose.arrange(preset.sort)(filtered)) == sorted(r.id for r in filtered)
    biggest = choose.arrange(choose.PRESETS["biggest"].sort)(models.repos)
    assert biggest[0].id == "org/good"
    assert kept(models, *choose.PRESETS["stale-partials"].filters) == {"half"}
    with pytest.raises(ValueError, match="is no order"):
        choose.arrange("colour")


def test_the_filter_line(models: Models) -> None:
    def found(text: str) -> set[str]:
        return {repo.id.removeprefix("org/") for repo in models.repos if choose.search(text).keep(repo)}

    assert found("GOOD") == found("org/good") == {"good"}
    assert found("detached o") == {"old", "lone"}
    assert found("dataset") == {"sick"}
    assert found("size>80KB") == {"good"}
    assert found("size>") == found("size>80K") | found("size<=80K")  # still being typed
    assert found("nothing like it") == set()


def test_what_looks_like_a_filter_and_is_none_is_said_and_hides_nothing(models: Models) -> None:
    for text, said in (
        ("size>bogus", "bogus"),
        ("sizee>1GB", "'sizee' is not a filter here"),
        ("accessed>7x", "7x"),
        ("sort=colour", "is no order"),
        ("good type=x size>oops", "oops"),
    ):
        search = choose.search(text)
        assert search.wrong is not None and said in search.wrong, text
    rows = pane.rows(models, 90, pane.View(filter="size>bogus"))
    assert rows[0].kind == "note" and [row.kind for row in rows].count("repo") == len(models.repos)
    for text in ("size>", "sort=", "size>1GB detached", "good", ""):
        assert choose.search(text).wrong is None, text
    head = pane.headers(models, 90, 20, pane.View(filter="size>80KB"), True)[0].text
    assert f"1 of {len(models.repos)} repos" in head


def test_spaces_around_a_sign_mean_nothing(models: Models) -> None:
    for text in ("size > 80KB", "size >80KB", "size>= 80KB", "type = dataset good"):
        tight = text.replace(" >", ">").replace("> ", ">").replace(">= ", ">=").replace(" = ", "=")
        assert [choose.search(text).keep(repo) for repo in models.repos] == [
            choose.search(tight).keep(repo) for repo in models.repos
        ]
        assert choose.search(text).wrong is None


@given(st.text(max_size=30))
def test_nothing_typed_into_the_line_fails(text: str) -> None:
    choose.search(text)


def test_what_needs_the_second_pass() -> None:
    assert choose.needs_detail(["resident>5%"], "size") and choose.needs_detail(["partial"], "size")
    assert choose.needs_detail([], "resident:asc")
    assert not choose.needs_detail(["size>1GB", "detached", "superseded"], "accessed")


@pytest.mark.parametrize("preset", choose.PRESETS)
def test_a_preset_has_the_same_rows_in_the_app_and_on_the_command_line(
    models: Models, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "--preset", preset, "-q"]) == 0
    listed = capsys.readouterr().out.split()
    rows = pane.rows(models, 90, pane.View(filter=choose.typed(preset)))
    assert [f"{row.subject.type}/{row.subject.id}" for row in rows if row.kind == "repo"] == listed
