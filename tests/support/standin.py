"""The worker without docling, and waiting for what it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

STANDIN = Path(__file__).parent / "standin_worker.py"


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until it is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
