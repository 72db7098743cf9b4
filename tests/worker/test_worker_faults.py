"""Poisoned documents, full disks, crashes and kills: the job ends with what happened, where, and what to do next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachetop.conversion import death, launch
from cachetop.conversion.folder import find
from cachetop.conversion.launch import attach, convert
from cachetop.conversion.report import examine
from cachetop.conversion.worker.complaints import broken, unreadable
from support import poisoned
from support.pdf import encrypted
from support.standin import STANDIN, until
from support.workers import Event, Running, check_schema, environment, make_job, named

MADE: dict[str, Callable[[], bytes]] = {
    "no_pages.pdf": poisoned.no_pages,
    "loop.pdf": poisoned.loop,
    "bomb.pdf": poisoned.bomb,
    "huge.pdf": poisoned.huge_page,
    "cut.pdf": lambda: poisoned.bomb(1)[:300],
    "locked.pdf": lambda: encrypted("a secret"),
}
SAID = {
    "no_pages.pdf": "has no pages",
    "large.pdf": "could not be converted",
    "cut.pdf": "could not be converted",
    "locked.pdf": "encrypted",
}
"""What is said of those that cannot be converted at all; the others may come out as they can."""


@pytest.fixture(scope="module")
def poisons(tmp_path_factory: pytest.TempPathFactory, papers: dict[int, Path]) -> tuple[int, list[Event], Path]:
    """One native job over all of them and a good one at the end."""
    folder = tmp_path_factory.mktemp("poison")
    for name, make in MADE.items():
        (folder / name).write_bytes(make())
    files = [*(folder / name for name in MADE), poisoned.large(folder / "large.pdf"), papers[1]]
    limit = ["/bin/sh", "-c", 'ulimit -v 6000000; exec "$@"', "sh"]
    with Running(make_job(folder / "job", files, pipeline="native"), environment(folder / "home"), limit) as worker:
        code = worker.ended()
    return code, worker.finished(), folder


def test_poisoned_documents_end_by_name_and_the_good_one_is_converted(
    poisons: tuple[int, list[Event], Path], papers: dict[int, Path]
) -> None:
    code, told, _ = poisons
    check_schema(told, "job")
    assert (code, told[-1]["status"]) == (1, "partial")
    done = {Path(event["file"]).name: event for event in named(told, "document-finished")}
    assert set(done) == {*MADE, "large.pdf", "paper1.pdf"}
    assert done["paper1.pdf"]["status"] == "success"
    errors = {Path(event["message"].split(".pdf")[0]).name + ".pdf": event for event in named(told, "error")}
    for name, said in SAID.items():
        assert done[name]["status"] == "failure", name
        assert said in errors[name]["message"] and errors[name]["hint"], name
    for name, event in done.items():
        assert event["status"] != "failure" or name in errors, f"{name} failed without a word"


def full(size: str, folder: Path, more: str = "") -> list[str]:
    """A command in front that runs the worker where `folder` is a small disk of its own."""
    script = f'mount -t tmpfs -o size={size} none "{folder}" && {more} exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script, "sh"]


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    done = subprocess.run([*full("64k", Path("/tmp"))[:4], "true"], capture_output=True, text=True)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"namespaces are refused: {done.stderr.strip()}")


def test_a_full_disk_under_the_outputs_is_said_and_leaves_no_part(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    job = make_job(tmp_path / "job", [papers[3]], pipeline="native", output=str(out), to=["json", "md"])
    look = f"(while [ ! -e {tmp_path}/over ]; do ls -a {out} > {tmp_path}/seen; sleep 0.2; done) &"
    with Running(job, bare, full("16k", out, look)) as worker:
        assert worker.ended() == 1
        told = worker.finished()
        time.sleep(0.5)
        (tmp_path / "over").touch()
    check_schema(told, "job")
    [error] = named(told, "error")
    assert "No space left" in error["message"] and str(papers[3]) in error["message"] and error["hint"]
    assert (tmp_path / "seen").read_text().split() == [".", ".."], "what was begun is gone"


def test_a_full_disk_under_the_job_loses_its_record_not_the_conversion(
    tmp_path: Path, papers: dict[int, Path], bare: dict[str, str]
) -> None:
    job = make_job(tmp_path / "job", [papers[1]], pipeline="native", output=str(tmp_path / "out"))
    spec = (job / "job.json").read_text()
    (tmp_path / "job.json").write_text(spec)
    fill = f'cp "{tmp_path}/job.json" "{job}" && (cat /dev/zero > "{job}/filler" 2>/dev/null; true) && '
    with Running(job, bare, full("64k", job, fill)) as worker:
        assert worker.ended() == 0
    assert "Paragraph 1" in (tmp_path / "out" / "paper1.md").read_text()


def crashing(folder: Path, action: str) -> dict[str, str]:
    """An environment in which importing docling does `action` to the process."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Trap:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'docling.document_converter':\n"
        f"            {action}\n"
        "sys.meta_path.insert(0, Trap())\n"
    )
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_segfault_names_the_signal_and_where_to_look(tmp_path: Path, papers: dict[int, Path]) -> None:
    env = crashing(tmp_path / "trap", "import ctypes; ctypes.string_at(0)")
    run = convert(papers[1], pipeline="native", env=env).wait(60)
    assert (run.job.state, run.reason) == ("failed", "worker-died")
    [notice] = [notice for notice in run.notices if notice.level == "error"]
    assert "SIGSEGV" in notice.message and run.job.id in notice.message
    assert notice.hint and "stderr.log" in notice.hint
    assert "find_spec" in (Path(run.job.folder) / "stderr.log").read_text(), "the place of the crash"
    assert examine(run.job.id).report.verdict[0].message == notice.message
    assert any(advice.message == notice.hint for advice in examine(run.job.id).report.advice)


def test_a_crash_names_the_document_it_happened_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a form that draws itself does to docling-parse 7.23: it recurses until the stack is full."""
    monkeypatch.setattr(launch, "WORKER", STANDIN)
    run = convert(["crash.pdf", "next.pdf"]).wait(20)
    [error] = [notice for notice in run.notices if notice.level == "error"]
    assert "SIGSEGV while it converted" in error.message and error.message.count("crash.pdf") == 1
    assert "next.pdf" not in error.message and error.hint and "Leave that file out" in error.hint


def test_a_kill_by_the_kernel_for_memory_is_told_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own count of such kills, as /proc/vmstat gives it, rises while the job runs."""
    monkeypatch.setattr(launch, "WORKER", STANDIN)
    monkeypatch.setattr(death, "VMSTAT", tmp_path / "vmstat")
    for before, after, said in ((3, 4, "memory ran out"), (3, 3, "SIGKILL")):
        (tmp_path / "vmstat").write_text(f"nr_free_pages 1\noom_kill {before}\n")
        handle = convert("hang.pdf")
        until(lambda handle=handle: find(handle.id).holder())  # type: ignore[misc]
        (tmp_path / "vmstat").write_text(f"nr_free_pages 1\noom_kill {after}\n")
        os.kill(find(handle.id).holder() or 0, signal.SIGKILL)
        [error] = [notice for notice in handle.wait(20).notices if notice.level == "error"]
        assert said in error.message and error.hint
    assert death.oom_kills() == 3 and isinstance(_real_kills(), int | None)


def _real_kills() -> int | None:
    text = Path("/proc/vmstat").read_text()
    return int(text.split("oom_kill ")[1].split()[0]) if "oom_kill " in text else None


def test_a_job_outlives_the_program_that_started_it(tmp_path: Path) -> None:
    """kill -9 of the app: its job goes on, is followed from elsewhere, and is cancelled there."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom cachetop.conversion import launch\n"
        f"launch.WORKER = Path({str(STANDIN)!r})\nprint(launch.convert('slow.pdf').id, flush=True)\ntime.sleep(60)\n"
    )
    app = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert app.stdout is not None
    handle = attach(app.stdout.readline().strip())
    until(lambda: handle.run().pages)
    app.kill()
    app.wait(10)
    pages = len(handle.run().pages)
    until(lambda: len(handle.run().pages) > pages)
    assert handle.job().state == "running"
    job = handle.cancel()
    assert job is not None and job.state == "cancelled"


class OutOfMemoryError(RuntimeError):
    """As torch.cuda calls it."""


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "VRAM ran out", "jobs unload"),
        (MemoryError(), "Memory ran out", "pages at a time"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Memory ran out", "pages at a time"),
    ],
)
def test_which_memory_ran_out_is_said(error: Exception, what: str, hint: str) -> None:
    try:
        raise RuntimeError("the stage failed") from error
    except RuntimeError as outer:
        said = broken(outer)
    assert said[0].startswith(what) and hint in str(said[1])
    if str(error):
        page: Any = unreadable("/p/a.pdf", str(error))
        assert page[0].startswith(what) and "/p/a.pdf" in page[0] and hint in page[1]
