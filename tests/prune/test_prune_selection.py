"""Selectors that would narrow nothing are refused: without that, everything would go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cachetop
from cachetop.cli import main
from cachetop.config import ConfigError
from cachetop.prune.selection import selection
from support import fake_nvml, hubcache, triton_cache


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


def test_a_plan_in_python_has_the_keep_list_of_the_configuration(world: Path) -> None:
    config = world / ".config" / "cachetop" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[prune]\nkeep = ["org/*", "triton/*"]\n')
    for what, kept in (("models", 1), ("kernels", 3)):
        plan = cachetop.plan(what, all=True)
        assert not plan.items and len(plan.kept) == kept
        assert len(cachetop.plan(what, all=True, keep=()).items) == kept
        assert len(cachetop.plan(what, all=True, keep="nothing*").items) == kept
    config.write_text("[prune]\nkeeep = []\n")
    with pytest.raises(ConfigError, match="keeep"):
        cachetop.plan("models", all=True)


def test_a_plan_in_python_knows_the_sms_of_this_machine(world: Path) -> None:
    triton_cache.write_entry(world / ".triton" / "cache", triton_cache.key_of(b"h" * 32), sm=89)

    def foreign(**more: Any) -> set[str]:
        plan = cachetop.plan("kernels", stale=True, **more)
        return {sm for one in plan.items for sm in one.sm if "foreign-sm" in "".join(one.reasons)}

    assert not foreign()  # no driver: nobody knows
    with fake_nvml.driver(fake_nvml.SCENARIOS / "two_gpus.json"):
        there = {one.sm[0] for one in cachetop.plan("kernels", all=True).items}
        assert "sm_89" in there and foreign() == there - {"sm_89", "sm_90"} != set()
        assert foreign(sms="sm_75") == there - {"sm_75"}
    assert foreign(assume_sm="90") == there - {"sm_90"}


def test_a_misspelt_selector_is_refused() -> None:
    with pytest.raises(ValueError, match="'stael' is no selector"):
        selection("kernels", stael=True)


def test_one_text_is_one_filter_and_one_name() -> None:
    chosen = selection("kernels", names="KEY", filters="size>1KB", assume_sm="90", detached=False)
    assert (chosen.names, chosen.filters, chosen.assume_sm) == (("KEY",), ("size>1KB",), ("sm_90",))
