"""A hub cache of each test's own, at the default place."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from cachetop import locations
from cachetop.hub import folder, together
from cachetop.hub import scan as scanning
from cachetop.hub.contents import Contents, Snapshot
from cachetop.hub.helper import Helper
from cachetop.hub.scan import Scanner
from cachetop.hub.together import Together
from support.scan_helpers import Patient

NEEDS = {1: ("huggingface_hub>=1,<2", "httpx"), 2: ("huggingface_hub>=2,<3", "httpx2", "httpcore2", "truststore")}
"""What the other generation of huggingface_hub needs besides what is installed with this one."""


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


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let so many helpers take part in any repo; returns the files that they were believed."""
    taken: list[str] = []
    take_in = Together._take_in

    def spy(self: Together, snapshot: Snapshot, part: Contents) -> None:
        take_in(self, snapshot, part)
        taken.extend(file.name for file in part.snapshots[0].files)

    def use(count: int, kind: type[Helper] = Patient) -> list[str]:
        monkeypatch.setattr(folder, "wanted", lambda _: count)
        monkeypatch.setattr(together, "Helper", kind)
        for name, value in (("_SIDE_BY_SIDE", 6), ("_LONG", 20), ("_PIECE", 4)):
            monkeypatch.setattr(together, name, value)
        monkeypatch.setattr(Together, "_take_in", spy)
        return taken

    return use


@pytest.fixture(scope="session")
def other(request: pytest.FixtureRequest) -> Path:
    """The generation of huggingface_hub that is not installed, in a folder of its own that later runs find again."""
    mine = int(version("huggingface_hub").partition(".")[0])
    wanted = NEEDS[2 if mine == 1 else 1]
    target = request.config.cache.mkdir(f"huggingface-hub-{2 if mine == 1 else 1}")
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers may ask for it, too
        _install(target, wanted)
    return target


def _install(target: Path, wanted: tuple[str, ...]) -> None:
    if not (target / "whole").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
        try:
            done = subprocess.run([*command, *wanted], capture_output=True, text=True, timeout=120)
            reason = done.stderr[-300:] if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if reason and not os.environ.get("CI"):
            pytest.skip(f"it cannot be installed here: {reason}")
        assert not reason
        (target / "whole").touch()
