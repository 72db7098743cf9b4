"""Launching, following, cancelling: with a worker that fails on demand, as a real process."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from cachetop.conversion import cancel as cancelling
from cachetop.conversion import launch
from cachetop.conversion.events import read
from cachetop.conversion.folder import JobFolder, create, find
from cachetop.conversion.interpreters import NoInterpreter
from cachetop.conversion.launch import JobHandle, attach, convert
from support.standin import STANDIN, until


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", STANDIN)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def running(handle: JobHandle) -> int:
    """Wait until the worker holds the lock; its process id."""
    folder = JobFolder(handle.folder)
    until(folder.holder)
    pid = folder.holder()
    assert pid
    return pid


def test_a_job_runs_to_its_end_and_leaves_no_zombie() -> None:
    handle = convert(["good.pdf"])
    run = handle.wait(20)
    assert (run.job.state, run.status, run.job.files) == ("done", "success", (str(Path.cwd() / "good.pdf"),))
    assert [event["event"] for event in handle.events()][-1] == "job-finished"
    assert find().id == handle.id == attach(handle.id[-6:]).id
    until(lambda: not any(b"standin_worker" in line for line in children()))


def children() -> list[bytes]:
    """Command lines of this process's children, zombies among them as `[...] <defunct>`-less empty ones."""
    found = []
    for pid in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if pid.isdigit() and int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes() or b"standin_worker zombie")
    return found


def test_what_the_worker_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    env = {
        **os.environ, "PYTHONPATH": f"{os.pathsep}lib{os.pathsep}/opt/mine", "HF_HOME": "cache/hf", "FAKE_NVML": "1",
        "PYTHONINSPECT": "1", "TRITON_CACHE_DIR": "~/triton", "HF_TOKEN": "kept",
    }  # fmt: skip
    handle = convert("good.pdf", env=env, to=("md", "json", "md"), output="out", force=True)
    told = next(event for event in handle.events(20) if event["event"] == "environment")
    variables = told["variables"]
    assert variables["PYTHONPATH"] == "/opt/mine" and variables["HF_HOME"] == str(tmp_path / "cache" / "hf")
    assert "FAKE_NVML" not in variables and "PYTHONINSPECT" not in variables and variables["HF_TOKEN"] == "kept"
    assert told["cwd"] == str(handle.folder) and told["stdin"] == "/dev/null" and told["session"] != os.getsid(0)
    spec = JobFolder(handle.folder).spec()
    assert spec["to"] == ["md", "json"] and spec["output"] == str(tmp_path / "out") and spec["force"] is True
    assert spec["roots"]["triton"] and spec["roots"]["inductor"] and "nvrtc" in spec["roots"]


def test_a_worker_that_leaves_is_reported_with_its_status_and_last_words() -> None:
    run = convert("exit.pdf").wait(20)
    assert (run.job.state, run.reason) == ("failed", "worker-died")
    message = run.notices[-1].message
    assert "exit status 7" in message and "paper" in message and "\x1b" not in message
    assert run.phases[0].seconds == 0.25


def test_a_worker_killed_in_the_middle_of_a_line_leaves_whole_events() -> None:
    handle = convert("torn.pdf")
    run = handle.wait(20)
    assert run.job.state == "failed" and "SIGKILL" in run.notices[-1].message
    assert run.notices[-1].hint and "memory" in run.notices[-1].hint
    sequence = [event["seq"] for event in read(JobFolder(handle.folder).events)]
    assert sequence == sorted(set(sequence))


def test_a_worker_that_never_takes_the_job_up() -> None:
    run = convert("late.pdf").wait(20)
    assert run.job.state == "failed" and "could not even begin" in run.notices[-1].message


def test_cancel_softly() -> None:
    handle = convert("hang.pdf")
    pid = running(handle)
    job = handle.cancel()
    assert job is not None and job.state == "cancelled"
    until(lambda: gone(pid))
    again = handle.cancel()
    assert again == job  # an ended job is left alone


def test_cancel_one_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "SOFT_SECONDS", 0.2)
    monkeypatch.setattr(cancelling, "TERM_SECONDS", 0.4)
    handle = convert("deaf.pdf")
    pid = running(handle)
    job = attach(handle.id).cancel()
    assert job is not None and job.state == "cancelled"
    until(lambda: gone(pid))
    assert handle.wait(20).status == "cancelled"


def test_a_job_of_another_machine_is_not_signalled() -> None:
    handle = convert("hang.pdf")
    running(handle)
    folder = JobFolder(handle.folder)
    spec = folder.spec()
    folder.write({**spec, "host": {"name": "elsewhere", "id": "other"}})
    with pytest.raises(cancelling.CannotCancel, match="elsewhere"):
        handle.cancel()
    assert folder.holder()
    folder.write(spec)
    handle.cancel()


def test_a_process_that_only_happens_to_have_the_number_is_not_signalled() -> None:
    """The lock is held, but the number in it is another process's."""
    import fcntl
    import subprocess

    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        folder = create({"files": ["/a.pdf"]})
        lock = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, f"{bystander.pid}\n".encode())
        with cancelling._holder(folder) as process:
            assert process is None
        os.close(lock)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_two_at_once_are_two_jobs() -> None:
    one, two = convert("slow.pdf"), convert("good.pdf")
    assert one.id != two.id
    assert two.wait(20).status == "success"
    until(lambda: one.run().documents[0].pages_done > 2)
    assert one.job().state == "running"
    one.cancel()
    assert one.run().status == "cancelled"


def test_following_a_job_that_hangs_can_time_out() -> None:
    handle = convert("hang.pdf")
    with pytest.raises(TimeoutError):
        handle.wait(0.3)
    handle.cancel()


@pytest.mark.parametrize(
    "wrong",
    [{"pipeline": "magic"}, {"device": "autox"}, {"device": "cuda:x"}, {"to": ("docx",)}, {"keep_warm": -1},
     {"output": __file__}],
)  # fmt: skip
def test_arguments_that_make_no_sense_start_nothing(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        convert("good.pdf", **wrong)  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        find()


def test_no_file_starts_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to convert"):
        convert([])


def test_an_interpreter_that_cannot_be_started_is_said_and_recorded(tmp_path: Path) -> None:
    library = tmp_path / "lib" / "python3.12" / "site-packages" / "docling-2.143.0.dist-info"
    library.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/no/such/interpreter\n")
    python.chmod(0o755)
    with pytest.raises(NoInterpreter, match="cannot be started"):
        convert("good.pdf", python=str(python))
    assert attach().job().state == "failed"
