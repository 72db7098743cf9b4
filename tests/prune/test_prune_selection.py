"""Selectors that would narrow nothing are refused: without that, everything would go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cachetop
from cachetop.cli import main
from cachetop.prune.selection import selection
from support import hubcache, triton_cache


@pytest.fixture(autouse=True)
def caches(world: Path) -> None:
    hubcache.healthy(world / ".cache" / "huggingface" / "hub", "org/model")
    triton_cache.synthetic(world / ".triton" / "cache", 3)


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("models", {"stale": True}, "stale selects among kernels, not among models"),
        ("models", {"sm": "90"}, "sm selects among kernels"),
        ("models", {"assume_sm": ["90"], "all": True}, "assume-sm selects among kernels"),
        ("models", {"cache": "triton"}, "cache selects among kernels"),
        ("models", {"ir_only": True}, "ir-only selects among kernels"),
        ("kernels", {"detached": True}, "detached selects among models"),
        ("kernels", {"superseded": True}, "superseded selects among models"),
        ("jobs", {"all": True}, "'jobs' cannot be pruned"),
        ("kernels", {"sm": "ninety"}, "is not an SM"),
        ("kernels", {}, "needs a selector"),
    ],
)
def test_a_selector_of_the_other_cache_is_refused(what: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cachetop.plan(what, **given)


@pytest.mark.parametrize(
    "rule", ['what = "models"\nstale = true', 'what = "kernels"\ndetached = true\nolder-than = "30d"']
)
def test_such_a_rule_of_the_policy_removes_nothing(rule: str, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = world / ".config" / "cachetop" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"[[prune.policy]]\n{rule}\n")
    assert main(["prune", "--policy", "--yes", "--now"]) == 2
    assert "selects among" in capsys.readouterr().err
    assert (world / ".cache" / "huggingface" / "hub" / "models--org--model" / "snapshots").is_dir()
    assert len(list((world / ".triton" / "cache").iterdir())) == 3


def test_a_misspelt_selector_is_refused() -> None:
    with pytest.raises(ValueError, match="'stael' is no selector"):
        selection("kernels", stael=True)


def test_one_text_is_one_filter_and_one_name() -> None:
    chosen = selection("kernels", names="KEY", filters="size>1KB", assume_sm="90", detached=False)
    assert (chosen.names, chosen.filters, chosen.assume_sm) == (("KEY",), ("size>1KB",), ("sm_90",))
