"""The process that empties a plan's trash at its deadline, detached from whoever executed the plan.

`python -P -m cachetop.prune.emptier JOURNAL DEADLINE`. It sleeps until then, or until less than a tenth of a file
system with trash is free, or until the trash is gone because somebody else emptied it or took it back. A stop file
beside the journal ends it at any time; what is left then waits until somebody empties the trash.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from cachetop.prune import journal, trash
from cachetop.prune.unlink import Stopped

_STEP = 5.0


def start(path: Path, deadline: float) -> None:
    """Start the process for the journal at `path`. Raises OSError when no process can be started."""
    subprocess.Popen(
        [sys.executable, "-P", "-m", "cachetop.prune.emptier", str(path), str(deadline)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, sys.path)))},
    )


def main(path: Path, deadline: float) -> int:
    """Wait and empty; returns the exit code."""
    try:
        roots = journal.read(path, moves=False).trashes
    except (OSError, ValueError):
        return 1
    while time.time() < deadline:
        there = [root for root, inode in roots.items() if _lies(root, path, inode)]
        if not there or journal.stop_file(path).exists():
            return 0
        if any(trash.is_short(root) for root in there):
            break
        time.sleep(max(0.0, min(_STEP, deadline - time.time())))
    try:
        _go_on(path)
        gone = trash.finish(path, lambda *_: _go_on(path))
    except Stopped:
        return 0
    return 1 if gone.errors else 0


def _go_on(path: Path) -> None:
    if journal.stop_file(path).exists():
        raise Stopped


def _lies(root: str, path: Path, inode: tuple[int, int]) -> bool:
    with trash.opened(root, path.name.partition(".")[0], inode) as found:
        return found is not None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
