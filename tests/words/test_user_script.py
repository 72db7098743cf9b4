"""A user's script, as a type checker that knows only the installed package sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
RIGHT = """
import asyncio
from pathlib import Path
import cachetop

name: str = cachetop.models().repos[0].revisions[0].files[0].name
held: list[str] = [held.repo for gpu in cachetop.gpus().gpus for one in gpu.processes for held in one.models]
states: set[str] = {entry.state for entry in cachetop.kernels(detail=True, sms=["sm_90"]).entries}
frees: int = cachetop.plan("kernels", stale=True, older_than="30d").frees
host: str = cachetop.status().host
ids: list[str] = [job.id for job in cachetop.jobs().jobs]
status: str | None = cachetop.convert([Path("a.pdf"), "b.pdf"], to=["md"]).wait(timeout=60).status
one = cachetop.convert("a.pdf", to="json")

with cachetop.track("models") as report:
    pass
read: int = sum(row.bytes for row in report.report.models)
text: str = report.to_json()

@cachetop.track
def step(number: int) -> str:
    return str(number)

@cachetop.track(only=["vram"], done=lambda found: print(found.seconds))
async def later() -> int:
    return 1

said: str = step(3)
number: int = asyncio.run(later())
seconds: float | None = step.report.seconds if step.report else None
"""
WRONG = """
import cachetop
cachetop.models().repos[0].idd
cachetop.plan("kernels", stael=True)

@cachetop.track
def step(number: int) -> str:
    return str(number)

step("x")
"""


def test_it_is_typed_and_mistakes_are_found(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    cache = f"--cache-dir={REPO}/.mypy_cache/user"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", cache, "right.py", "wrong.py"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "MYPYPATH": ""},
    )  # fmt: skip
    lines = [line.partition(": error: ")[0] for line in done.stdout.splitlines() if ": error: " in line]
    assert lines == ["wrong.py:3", "wrong.py:4", "wrong.py:10"], done.stdout + done.stderr
