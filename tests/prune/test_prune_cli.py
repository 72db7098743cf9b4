"""`cachetop prune` and `cachetop undo` as a person or a cron job runs them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.cli import main
from cachetop.hub import choose as repos
from cachetop.kernelcache import choose as entries
from support.hubcache import OTHER, healthy, repo, settle
from support.pruning import allocated, picture
from support.triton_cache import backdate, synthetic


def _run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cachetop", *words],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def kernels(world: Path) -> Path:
    root = synthetic(world / ".triton" / "cache", 7)
    backdate(root, 60)
    return root


@pytest.mark.parametrize("words", [(), ("kernels",), ("models",), ("kernels", "--assume-sm", "90")])
def test_without_a_selector_it_is_a_usage_error(kernels: Path, words: tuple[str, ...]) -> None:
    before = picture(kernels)
    done = _run("prune", *words, "--yes")
    assert done.returncode == 2 and "cachetop: " in done.stderr
    assert picture(kernels) == before


def test_plan_result_and_undo_as_json(kernels: Path) -> None:
    before, held = picture(kernels), allocated(kernels)
    done = _run("prune", "kernels", "--sm", "9.0", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert done.returncode == 0 and plan["schema"] == "cachetop.plan/1" and len(plan["items"]) == 1
    assert plan["items"][0]["kind"] == "triton" and plan["frees"] > 0 and plan["blocked"] == []
    assert picture(kernels) == before
    done = _run("prune", "kernels", plan["items"][0]["key"], "--yes", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["schema"] == "cachetop.result/1"
    assert result["deleted"] == [plan["items"][0]["path"]]
    assert result["freed"] + result["held"] == plan["frees"] and result["undo_until"]
    done = _run("undo", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["restored"] == result["deleted"]
    assert picture(kernels) == before and allocated(kernels) == held
    assert _run("undo").returncode == 1


def test_now_keeps_nothing(kernels: Path) -> None:
    before = allocated(kernels)
    result = json.loads(_run("prune", "kernels", "--all", "--yes", "--now", "--json").stdout)
    assert result["held"] == 0 and result["undo_until"] is None and result["freed"] == before
    assert list(kernels.iterdir()) == []


def test_nobody_to_ask_and_read_only_are_refused(kernels: Path) -> None:
    before = picture(kernels)
    done = _run("prune", "kernels", "--all")
    assert done.returncode == 2 and "--yes" in done.stderr
    assert _run("prune", "kernels", "--all", "--yes", "--read-only").returncode == 2
    for words in (("prune", "kernels", "--all", "--yes"), ("prune", "trash", "--yes"), ("undo",)):
        assert _run(*words, CACHETOP_READ_ONLY="1").returncode == 2
    assert picture(kernels) == before


def test_a_name_that_is_not_there_fails(kernels: Path, hub: Path) -> None:
    done = _run("prune", "models", "org/gone", "--yes")
    assert done.returncode == 1 and "org/gone is in no cache" in done.stdout


def test_exit_code_four_when_nothing_matched(kernels: Path) -> None:
    assert _run("prune", "kernels", "--sm", "61", "--yes", "--exit-code").returncode == 4
    assert _run("prune", "kernels", "--sm", "61", "--yes").returncode == 0


def test_trash_is_emptied_when_asked(kernels: Path) -> None:
    _run("prune", "kernels", "--all", "--yes")
    assert "1 plan has" in _run("prune", "trash", "--dry-run").stdout
    done = _run("prune", "trash", "--yes")
    assert done.returncode == 0 and list(kernels.iterdir()) == []
    assert _run("undo").returncode == 1


def test_the_policy_is_idempotent_and_quiet(kernels: Path, hub: Path, world: Path) -> None:
    repo(hub, "org/alpha").file("old.bin", b"x" * 9000, commit=OTHER)
    repo(hub, "org/beta").file("old.bin", b"x" * 9000, commit=OTHER)
    settle(hub)
    config = world / "config.toml"
    config.write_text(
        '[prune]\nundo = "0s"\nkeep = ["org/beta"]\n'
        '[[prune.policy]]\nwhat = "models"\ndetached = true\n[[prune.policy]]\nwhat = "kernels"\nsm = "90"\n'
        '[[prune.policy]]\nwhat = "kernels"\nfilter = ["sm=sm_90"]\n'
    )
    done = _run("prune", "--policy", "--yes", CACHETOP_CONFIG=str(config))
    assert done.returncode == 0, done.stderr
    assert f"org/alpha@{OTHER}" in done.stdout and "2 deleted" in done.stdout
    assert (hub / "models--org--beta" / "snapshots" / OTHER).exists()
    assert len(list(kernels.iterdir())) == 6
    config.write_text(config.read_text().replace('keep = ["org/beta"]\n', ""))
    _run("prune", "--policy", "--yes", CACHETOP_CONFIG=str(config))
    again = _run("prune", "--policy", "--yes", CACHETOP_CONFIG=str(config))
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prune]\nundoo = '1m'\n", "line 2: prune.'undoo' is no key; did you mean prune.undo?"),
        ("[prune]\nundo = 15\n", 'line 2: prune.undo must be a length of time such as "15m"'),
        ("[prune]\nundo = 'soon'\n", "'soon' is not a length of time"),
        ("[prune]\nkeep = [1]\n", "line 2: prune.keep must be a list of texts"),
        ("[[prune.policy]]\nwhat = 'kernels'\n", "without a selector would mean everything"),
        ("[[prune.policy]]\nwhat = 'disks'\nstale = true\n", 'needs what = "kernels" or what = "models"'),
        ("[prune\n", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_explained(world: Path, text: str, said: str) -> None:
    config = world / "config.toml"
    config.write_text(text)
    done = _run("prune", "--policy", "--yes", CACHETOP_CONFIG=str(config))
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_the_detached_process_outlives_the_command(kernels: Path, world: Path) -> None:
    config = world / "config.toml"
    config.write_text('[prune]\nundo = "1s"\n')
    result = json.loads(_run("prune", "kernels", "--sm", "80", "--yes", "--json", CACHETOP_CONFIG=str(config)).stdout)
    assert result["held"] > 0
    import time

    deadline = time.time() + 30
    while any(path.name.startswith(".cachetop-trash-") for path in kernels.iterdir()) and time.time() < deadline:
        time.sleep(0.05)
    assert len(list(kernels.iterdir())) == 6


def test_an_age_means_the_same_in_the_listing_and_in_a_plan(kernels: Path) -> None:
    backdate(kernels, 40 * 86400)
    for age in ("30d", "90d"):
        listed = json.loads(_run("kernels", "--filter", f"accessed>{age}", "--json").stdout)["entries"]
        for words in (("--older-than", age), ("--filter", f"accessed>{age}")):
            plan = json.loads(_run("prune", "kernels", *words, "--dry-run", "--json").stdout)
            assert sorted(item["key"] for item in plan["items"]) == sorted(entry["key"] for entry in listed)
        assert len(listed) == (7 if age == "30d" else 0)


@pytest.mark.parametrize(("what", "variable"), [("models", "HF_HUB_CACHE"), ("kernels", "TRITON_CACHE_DIR")])
def test_a_cache_that_cannot_be_read_is_said_and_is_no_success(world: Path, what: str, variable: str) -> None:
    (world / "file").write_text("no folder")
    done = _run("prune", what, "--all", "--dry-run", "--json", **{variable: str(world / "file")})
    assert done.returncode == 1
    assert any(str(world / "file") in sentence for sentence in json.loads(done.stdout)["unreadable"])


def test_an_unknown_kind_of_cache_is_a_usage_error(kernels: Path) -> None:
    done = _run("prune", "kernels", "--cache", "nope", "--dry-run")
    assert done.returncode == 2 and "nope" in done.stderr


def test_looking_at_the_trash_as_json_prints_a_plan(kernels: Path) -> None:
    done = _run("prune", "trash", "--dry-run", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["schema"] == "cachetop.plan/1"


_OF_ENTRIES = {
    "size": "size>1KB", "created": "created>2d", "accessed": "accessed>1d", "files": "files>2", "name": "name=*add*",
    "key": "key=*A*", "kind": "kind!=triton", "cache": "cache=triton", "part": "part=x", "sm": "sm=90",
    "state": "state=complete", "rule": "rule=foreign-sm", "triton": "triton=3.*",
}  # fmt: skip
_OF_REPOS = {
    "size": "size>1KB", "reclaimable": "reclaimable>1B", "accessed": "accessed>1s", "modified": "modified>1s",
    "type": "type=model", "refs": "refs=main", "id": "id=org/*", "name": "name!=org/*", "resident": "resident>=0%",
    "partial": "partial=stale", "detached": "detached>=0", "problem": "problem=*",
}  # fmt: skip


@pytest.mark.parametrize("what", ["kernels", "models"])
def test_every_filter_of_the_listing_means_the_same_in_a_plan(
    what: str, kernels: Path, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy(hub, "org/one")
    healthy(hub, "org/two", "dataset")
    repo(hub, "else/three").file("old.bin", b"x" * 9000, commit=OTHER)
    repo(hub, "else/three").partial("c" * 64, b"x" * 5000)
    settle(hub)
    known, given = (entries.FILTERS, _OF_ENTRIES) if what == "kernels" else (repos.FILTERS, _OF_REPOS)
    assert given.keys() == known.keys()
    for expression in given.values():
        assert main([what, "--json", "--filter", expression]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert main(["prune", what, "--filter", expression, "--dry-run", "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        asked = [one["key"] for one in (*plan["items"], *plan["blocked"])]
        mine = (
            [one["key"] for one in listed["entries"]] if what == "kernels" else [one["id"] for one in listed["repos"]]
        )
        assert sorted(asked) == sorted(mine), expression


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", [("kernels", "--all"), ("trash",)])
def test_the_end_of_input_is_no_yes(kernels: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    assert _run("prune", "kernels", "--sm", "80", "--yes").returncode == 0
    before = picture(kernels)
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, _Terminal())
    assert main(["prune", *words]) == 0
    assert picture(kernels) == before
