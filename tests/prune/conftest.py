"""No process that empties a trash outlives its test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hubcache import healthy, settle


@pytest.fixture(autouse=True)
def no_emptier_left(world: Path) -> Iterator[None]:
    """End the detached processes that this test's plans started, by the journal they were given."""
    yield
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"cachetop.prune.emptier" in words and any(word.startswith(os.fsencode(world)) for word in words):
            os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def hub(world: Path) -> Path:
    """A hub cache at its default place with two healthy repos that nobody is writing to."""
    cache = world / ".cache" / "huggingface" / "hub"
    cache.mkdir(parents=True)
    healthy(cache, "org/alpha")
    healthy(cache, "org/beta")
    settle(cache)
    return cache


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of trees are made and deleted here."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)
