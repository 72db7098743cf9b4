"""What the notebook's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import hubcache
from support.notebook_shell import Shell, make_shell


@pytest.fixture
def hub(world: Path) -> Path:
    """A hub cache with two repos."""
    cache = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(cache, "org/model")
    hubcache.healthy(cache, "other/thing")
    return cache


@pytest.fixture
def shell(world: Path) -> Iterator[Shell]:
    """A shell with the extension."""
    made = make_shell()
    made.run_line_magic("load_ext", "cachetop")
    yield made
    made.run_line_magic("unload_ext", "cachetop")
