"""File systems that come and go under the scanner, for real: in a user and mount namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
WHOLE = {"problems": [], "files": 2, "opened": True, "reason": "nothing was read since it was downloaded"}
GONE = (
    "The file system that held the cache folder {} is not mounted there any more: {} on it. "
    "Mount it again, and what it holds comes back."
)


@pytest.fixture(scope="module", autouse=True)
def allowed() -> None:
    able = shutil.which("unshare") and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
    if not able and not os.environ.get("CI"):
        pytest.skip("user and mount namespaces are not allowed here")
    assert able


def run(scenario: str) -> list[Any]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*UNSHARE, sys.executable, "-m", "support.remounts", scenario]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def hub(world: Path) -> Path:
    return world / ".cache" / "huggingface" / "hub"


def test_an_unmount_at_any_moment_is_said_and_what_it_held_comes_back(hub: Path) -> None:
    rounds = run("unmounted")
    assert len(rounds) > 10
    gone = GONE.format(hub, "2 repos were")
    for number, (during, nothing, same, back) in enumerate(rounds):
        assert all(repo["files"] == 2 and not repo["problems"] for repo in during["repos"].values()), number
        assert nothing["repos"] == {} and same, number
        if during["repos"]:  # before the first look saw any, nobody knows that there was one
            assert (nothing["exists"], nothing["problem"], nothing["fix"]) == (True, gone, f"findmnt -T {hub}"), number
        assert back == {
            "exists": True,
            "problem": None,
            "fix": None,
            "repos": dict.fromkeys(("org/one", "org/two"), WHOLE),
        }


def test_a_cache_whose_disk_goes_with_its_folder(hub: Path) -> None:
    there, gone, back, again = run("below")
    assert list(there["repos"]) == ["org/one"] and back == there
    assert gone == again == {
        "exists": False, "problem": GONE.format(hub, "1 repo was"), "fix": f"findmnt -T {hub}", "repos": {},
    }  # fmt: skip


def test_a_copy_with_the_same_numbers_and_times_is_read_anew(hub: Path) -> None:
    before, after, counted = run("copied")
    assert before["repos"] == after["repos"] == {"org/one": WHOLE}
    assert counted == [2, 0]


def test_a_remount_read_only_freezes_access_times(hub: Path) -> None:
    reasons = [found["repos"]["org/one"]["reason"] for found in run("frozen")]
    assert reasons[0] == reasons[2] == WHOLE["reason"]
    assert reasons[1] == "its file system keeps no access times (noatime or read-only)"


def test_an_unmount_in_the_middle_of_a_check(hub: Path) -> None:
    sound, removed, unreadable, messages = run("checked")
    assert sound >= 1 and removed == 0 and sound + unreadable == 4
    assert GONE.format(hub, "2 repos were") in messages
