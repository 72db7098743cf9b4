"""docling's models in tiny, made once per test run, in a Hugging Face home of their own."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from cachetop.demo import tiny_models


def tiny_home(base: Path) -> Path:
    """An HF_HOME below `base` with all three tiny models; made by whichever test process comes first."""
    home = base / "tiny-models"
    done = base / "tiny-models.done"
    with (base / "tiny-models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            subprocess.run([sys.executable, tiny_models.__file__, str(home)], check=True, capture_output=True)
            done.touch()
    return home
