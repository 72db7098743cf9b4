"""Several hub caches at once: named by a flag, a variable or the configuration, each repo with its root."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cachetop
from cachetop import cli, locations
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner
from cachetop.inventory import Inventory
from cachetop.prune.execute import execute
from cachetop.prune.plan import plan
from cachetop_tui.panes import models as pane
from cachetop_tui.prune.opening import marked
from support import hubcache


@pytest.fixture
def other(cache: Path, world: Path) -> Path:
    """A second root, which holds a repo of the same name and one more."""
    path = world / "data" / "hub"
    path.mkdir(parents=True)
    hubcache.healthy(cache, "org/same", weights=10_000)
    hubcache.healthy(path, "org/same", weights=20_000)
    hubcache.healthy(path, "org/more")
    return path


def test_flag_beats_variable_beats_file(other: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = world / "config.toml"
    file.write_text('[models]\nroots = ["~/data/hub", "/from/file"]\n')
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    assert [root.path for root in roots()[1:]] == [str(other), "/from/file"]
    assert "config.toml" in roots()[1].reason
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", f"$HOME/data/hub{os.pathsep}/from/variable")
    assert [root.path for root in roots()[1:]] == [str(other), "/from/variable"]
    assert [root.path for root in roots(["/from/flag"])[1:]] == ["/from/flag"]
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", "")
    assert len(roots()) == 1, "an empty variable means none"
    monkeypatch.delenv("CACHETOP_HUB_ROOTS")
    file.write_text("[models]\nroots = 3\n")
    assert len(roots()) == 1


def test_every_root_is_listed_with_its_reason(
    other: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["models", "--json", "--root", str(other)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [root["path"] for root in found["roots"]] == [str(cache), str(other)]
    assert found["roots"][1]["reason"] == "--root names it"
    assert {(repo["id"], repo["root"]) for repo in found["repos"]} == {
        ("org/more", str(other)),
        ("org/same", str(other)),
        ("org/same", str(cache)),
    }
    assert found["size"] == sum(repo["size"] for repo in found["repos"])
    assert cli.main(["models", "ls", "--root", str(other)]) == 0
    assert f"in {other}" in capsys.readouterr().out
    assert cli.main(["models", "show", "--root", str(other), "org/more"]) == 0
    assert cli.main(["models", "verify", "org/same", "--root", str(other), "--json"]) == 0
    checked = capsys.readouterr().out
    assert len({(one["repo"], one["size"]) for one in json.loads(checked[checked.index("{") :])["files"]}) > 2
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", f"{other}:{cache}")
    assert len(cachetop.models().repos) == 3, "a folder that is named twice is read once"


def test_the_pane_says_where_a_repo_of_another_root_is(other: Path) -> None:
    models = Scanner(roots([str(other)])).scan()
    view = pane.View(others=frozenset(root.path for root in models.roots[1:]))
    texts = [pane.line(row, 120, view, 0.0).text for row in pane.rows(models, 120, view)]
    assert sum("~/data/hub" in text for text in texts) == 2
    assert sum("same" in text and "data" not in text for text in texts) == 1


def test_a_marked_repo_goes_from_its_own_root_alone(other: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", str(other))
    for root in (cache, other):
        hubcache.settle(root)
    (one,) = [repo for repo in Scanner(roots()).scan().repos if repo.id == "org/same" and repo.root == str(other)]
    result = execute(plan(marked([(one, None)], [])), locations.state_dir(), undo=0)
    assert not result.failed and len(result.deleted) == 1
    assert not (other / "models--org--same").exists() and (cache / "models--org--same").exists()


def test_show_describes_every_copy(other: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hubcache.repo(other, "org/same").file("extra.bin", b"x", commit=hubcache.OTHER)
    options = ["--root", str(other)]
    assert cli.main(["models", "show", "org/same", "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    (copy,) = found["copies"]
    assert (found["root"], copy["root"]) == (str(cache), str(other)), "huggingface_hub's own comes first"
    assert found["size"] < copy["size"] and len(copy["revisions"]) == 2
    assert cli.main(["models", "show", "org/same", *options]) == 0
    out = capsys.readouterr().out
    assert f"org/same  (model, in {cache})" in out and f"org/same  (model, in {other})" in out
    assert cli.main(["models", "show", f"org/same@{hubcache.OTHER[:8]}", "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["root"], found["revision"], found["copies"]) == (str(other), hubcache.OTHER, [])
    assert cli.main(["models", "show", "org/same@v9", *options]) == 1
    assert cli.main(["models", "show", "org/more"]) == 1


def test_a_broken_configuration_is_said_and_a_mended_one_taken_up(
    other: Path, world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = world / "config.toml"
    file.write_text('[models]\nroots = "~/data/hub"\n')
    monkeypatch.setenv("CACHETOP_CONFIG", str(file))
    assert cli.main(["models", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["repos"]) == 1, "what can be listed is"
    (problem,) = found["problems"]
    assert problem["rule"] == "configuration" and problem["fix"] == "cachetop config"
    assert f"{file}, line 2: models.roots" in problem["message"] and "are missing here" in problem["message"]
    for words in (["show", "org/same"], ["verify"]):
        cli.main(["models", *words])
        assert f"{file}, line 2" in capsys.readouterr().err
    assert [one.rule for one in cachetop.status().problems if one.rule == "configuration"]
    assert cli.main(["models", "--root", str(other)]) == 0, "the file is not asked for this"
    capsys.readouterr()
    inventory = Inventory(kernels=[], interval=0.05)
    inventory.start()
    try:
        wait_for(lambda: inventory.models is not None and [one.rule for one in inventory.models.problems] != [])
        file.write_text('[models]\nroots = ["~/data/hub"]\n')
        wait_for(lambda: inventory.models is not None and len(inventory.models.repos) == 3)
        assert inventory.models is not None and inventory.models.problems == ()
        file.write_text("[models\n")
        wait_for(lambda: inventory.models is not None and inventory.models.problems != ())
        assert inventory.models is not None and len(inventory.models.repos) == 3, "what was known stays"
    finally:
        inventory.stop()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
