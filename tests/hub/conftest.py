"""A hub cache of each test's own, at the default place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub import scan as scanning
from cachetop.hub.scan import Scanner


@pytest.fixture
def cache(world: Path) -> Path:
    path = world / ".cache" / "huggingface" / "hub"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def scanner(cache: Path) -> Scanner:
    return Scanner([locations.hub()])


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As if what was written so far had been written long ago; what comes now gets another time on any file system."""

    def wait() -> None:
        time.sleep(0.02)
        monkeypatch.setattr(scanning, "_YOUNG", 0.0)

    return wait
