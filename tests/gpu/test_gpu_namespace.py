"""In a pid namespace of its own, as in a container: the driver's pids are the host's, and may collide with ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.gpu.processes import in_nested_namespace
from support import fake_nvml

UNSHARE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    allowed = shutil.which("unshare") and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
    if not allowed and not os.environ.get("CI"):
        pytest.skip("this machine does not allow new pid namespaces")
    assert allowed, "new pid namespaces are refused"


def inside(code: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pid_namespace_of_its_own_is_noticed() -> None:
    assert inside("from cachetop.gpu.processes import in_nested_namespace; print(in_nested_namespace())") == "True\n"
    outside = Path("/proc/2/comm")  # kthreadd, which only the initial namespace shows
    assert in_nested_namespace() == (not outside.exists() or outside.read_text() != "kthreadd\n")


def test_pids_of_the_host_that_collide_with_ours_are_nobodys_here(tmp_path: Path) -> None:
    """Inside, 1 is cachetop itself and 2 a program beside it; the driver means processes of the host."""
    code = (
        "import subprocess, sys\n"
        "beside = subprocess.Popen([sys.executable, '-c', 'input()', 'a stranger'], stdin=subprocess.PIPE)\n"
        "assert beside.pid == 2\n"
        "subprocess.run([sys.executable, '-m', 'cachetop', 'gpus', '--json'], check=True)\n"
        "beside.communicate(b'\\n')"
    )
    (gpu,) = json.loads(inside(code, fake_nvml.environment("pid_collisions", tmp_path)))["gpus"]
    assert [row["pid"] for row in gpu["processes"]] == [1, 2, 4242]
    for row in gpu["processes"]:
        assert row["host_pid"] and row["note"].startswith("host pid") and not row["inspectable"]
        assert row["command"] is row["user"] is row["ticks"] is None and row["models"] == []
    assert gpu["unattributed"] == gpu["memory"]["used"] - sum(row["memory"] for row in gpu["processes"])


def test_a_pid_of_the_host_is_not_signalled_even_if_it_is_somebodys_here() -> None:
    code = (
        "import subprocess, sys\n"
        "from cachetop.gpu import signals\n"
        "from cachetop.gpu.processes import start_ticks\n"
        "from cachetop.gpu.records import Process\n"
        "beside = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "row = Process(pid=beside.pid, user=None, command=None, memory=1, ticks=start_ticks(beside.pid))\n"
        "try:\n"
        "    signals.send(row, 'KILL')\n"
        "except signals.NotSent as reason:\n"
        "    beside.communicate(b'\\n')\n"
        "    print(reason, beside.returncode)"
    )
    assert inside(code).endswith("uses no GPU as seen from this container: nothing was sent. 0\n")
