"""SM names and what runs where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.kernelcache import sm


@pytest.mark.parametrize("text", ["90", "9.0", "sm_90", "sm90", "SM_90", " 90 ", "compute_90"])
def test_one_sm_in_all_spellings(text: str) -> None:
    assert sm.normalize(text) == "sm_90"


@pytest.mark.parametrize(
    ("text", "full"), [("sm_90a", "sm_90a"), ("9.0a", "sm_90a"), ("12.0", "sm_120"), ("100f", "sm_100f")]
)
def test_variants_and_three_digits(text: str, full: str) -> None:
    assert sm.normalize(text) == full


@pytest.mark.parametrize("text", ["", "gfx942", "sm_", "9", "9.00", "sm_90b", "-90", "90 91", "9.0.0"])
def test_what_is_no_sm_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="sm_90a"):
        sm.normalize(text)


@pytest.mark.parametrize(
    ("code", "gpu", "runs"),
    [
        ("sm_80", "sm_80", True), ("sm_80", "sm_86", True), ("sm_86", "sm_80", False), ("sm_80", "sm_90", False),
        ("sm_75", "sm_120", False), ("sm_90a", "sm_90", True), ("sm_100a", "sm_100", True),
        ("sm_100a", "sm_103", False), ("sm_100f", "sm_103", True), ("sm_100", "sm_103", True),
        ("sm_100", "sm_120", False), ("sm_120a", "sm_121", False), ("gfx942", "sm_90", None),
    ],
)  # fmt: skip
def test_what_runs_where(code: str, gpu: str, runs: bool | None) -> None:
    assert sm.runs_on(code, [gpu]) is runs


@given(st.integers(5, 12), st.integers(0, 9))
def test_code_runs_on_its_own_gpu_in_every_variant(major: int, minor: int) -> None:
    gpu = f"sm_{major}{minor}"
    for variant in ("", "a", "f"):
        assert sm.runs_on(gpu + variant, ["sm_50", gpu]) is True
        assert sm.asked(gpu + variant, gpu)
        assert sm.normalize(f"{major}.{minor}{variant}") == gpu + variant
    assert not sm.asked(gpu, gpu + "a")
