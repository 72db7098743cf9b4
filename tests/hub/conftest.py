"""A hub cache of each test's own, at the default place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub.scan import Scanner


@pytest.fixture
def cache(world: Path) -> Path:
    path = world / ".cache" / "huggingface" / "hub"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def scanner(cache: Path) -> Scanner:
    return Scanner([locations.hub()])
