"""One GPU process in depth, with a real process that maps real files; and the document that shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachetop.base.hostile import clean
from cachetop.gpu.detail import ProcessDetail, inspect
from cachetop.gpu.history import SECONDS, History
from cachetop.gpu.holdings import Index
from cachetop.gpu.records import Allocator, Gpu, Gpus, HeldModel, Process
from cachetop.locations import Location
from cachetop_tui.documents.process import lines
from support.gpu_process import GpuProcess, cached_model, inode, write_safetensors

COMMIT = "a" * 40
MIB = 2**20


def sample(process: Process, moment: float) -> Gpus:
    gpu = Gpu(
        index=0, uuid="GPU-0", name="one", sm=None, memory=None, utilization=None, temperature=None, power=None,
        processes=(process,), unattributed=None,
    )  # fmt: skip
    return Gpus(available=True, gpus=(gpu,), time=moment)


def text(detail: ProcessDetail, width: int = 100) -> str:
    return "\n".join(line.text for line in lines(detail, width, detail.time))


def test_files_variables_and_libraries_of_a_real_process(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    partial = tmp_path / "hub" / "models--org--model" / "blobs" / "x.incomplete"
    write_safetensors(partial)
    launcher = tmp_path / "triton" / "KEY" / "__triton_launcher.so"
    shipped = tmp_path / "lib" / "libcublas.so.13"
    plain = tmp_path / "lib" / "libm.so.6"
    for path in (launcher, shipped, plain):
        write_safetensors(path)
    index: Index = {
        inode(blob): [("org/model", COMMIT, "model.safetensors", blob.stat().st_size)],
        inode(partial): [("org/model", None, None, partial.stat().st_size)],
    }
    variables = {
        "HF_HOME": "/data/hf", "TRITON_CACHE_DIR": str(tmp_path / "triton"), "HF_TOKEN": "hf_abcdefghijklmnop",
        "AWS_SECRET_ACCESS_KEY": "s3cr3tvalue", "HF_HUB_CACHE": "https://ana:hunter22@host/x",
    }  # fmt: skip
    with GpuProcess(variables=variables) as child:
        for path in (blob, launcher, shipped, plain):
            child.map(path)
        child.open(partial)
        detail = inspect(child.row(), index, roots=[Location("triton", str(tmp_path / "triton"), "test")])
    assert detail.problem is None
    assert detail.environment["HF_HOME"] == "/data/hf"
    assert list(detail.environment)[:2] == ["HF_HOME", "HF_HUB_CACHE"]
    assert [(f.repo, f.file, f.how) for f in detail.files] == [
        ("org/model", None, "open"),
        ("org/model", "model.safetensors", "mapped"),
    ]
    assert [(one.path, one.cache) for one in detail.libraries] == [(str(launcher), "triton"), (str(shipped), None)]
    shown = text(detail) + json.dumps(detail.to_dict())
    for secret in ("hf_abcdefghijklmnop", "s3cr3tvalue", "hunter22", "AWS_SECRET"):
        assert secret not in shown
    assert "__triton_launcher.so" in text(detail) and "model.safetensors" in text(detail)


def test_what_cannot_be_known_is_said() -> None:
    with GpuProcess() as child:
        row = child.row()
        host = inspect(child.row(host_pid=True), {})
        other = inspect(child.row(ticks=1), {})
    gone = inspect(row, {})
    for detail, said in ((host, "pid of the host"), (other, "has ended"), (gone, "has ended")):
        assert said in str(detail.problem) and detail.files == () and detail.environment == {}
        assert said in text(detail)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_process_is_not_inspectable() -> None:
    code = (
        "import os, sys\n"
        "from cachetop.gpu.detail import inspect; from cachetop.gpu.processes import start_ticks\n"
        "from cachetop.gpu.records import Process; pid = int(sys.argv[1])\n"
        "os.setuid(65534)\n"
        "row = Process(pid=pid, user=None, command=None, memory=1, ticks=start_ticks(pid))\n"
        "print(inspect(row, {}).problem)"
    )
    with GpuProcess() as child:
        done = subprocess.run([sys.executable, "-c", code, str(child.pid)], capture_output=True, text=True, timeout=60)
    assert "another user" in done.stdout, done.stderr


def test_history_keeps_changes_forgets_the_old_and_the_ended() -> None:
    history = History()
    held = HeldModel(repo="org/model", revision=None, bytes=1, evidence="mapped", seen=0)
    for second in range(1000):
        models = (held,) if second >= 700 else ()
        row = Process(pid=7, user=None, command=None, memory=(second // 100) * MIB, ticks=70, models=models)
        history.note(sample(row, 1000.0 + second))
    course = history.memory(7, 70)
    assert course[-1] == (1999.0, 9 * MIB) and len(course) <= 24
    assert 1999 - SECONDS - 100 <= course[0][0] <= 1999 - SECONDS + 1
    assert history.models(7, 70) == ((1700.0, "org/model", "mapped"),)
    assert history.memory(7, 71) == ()
    history.note(Gpus(available=False, reason="no answer", time=2000))
    assert history.memory(7, 70)
    history.note(sample(Process(pid=8, user=None, command=None, memory=1, ticks=80), 2001))
    assert history.memory(7, 70) == ()


def test_memory_that_the_driver_does_not_say_is_no_zero_in_the_history() -> None:
    history = History()
    for second, memory in enumerate((MIB, None, 2 * MIB)):
        history.note(sample(Process(pid=7, user=None, command=None, memory=memory, ticks=70), second))
    assert history.memory(7, 70) == ((0, MIB), (2, 2 * MIB))


def test_the_document_says_what_the_memory_is_made_of() -> None:
    process = Process(
        pid=4711, user="ana", command="python -m app --token abc123secret", memory=3000 * MIB, ticks=1,
        container="slurm job 99", started=time.time() - 60, context=900 * MIB,
        allocator=Allocator(allocated=2000 * MIB, reserved=2100 * MIB, seen=0),
        models=(HeldModel(repo="org/\x1b[31mred", revision=COMMIT, bytes=MIB, evidence="seen-loading", seen=0.0),),
    )  # fmt: skip
    detail = ProcessDetail(
        process=process, environment={}, files=(), libraries=(), memory=((0.0, MIB), (50.0, 3000 * MIB)),
        first_seen=((12.0, "org/model", "mapped"),), time=100.0,
    )  # fmt: skip
    for width in (40, 78, 158):
        made = lines(detail, width, 100.0)
        assert all(line.text == clean(line.text) for line in made)
        assert "abc123secret" not in "\n".join(line.text for line in made)
    shown = text(detail)
    assert "slurm" in shown and "slurm job 99" in shown and "CUDA context" in shown and "900 MiB" in shown
    assert "seen loading it" in shown and "every cache is at its default place" in shown
    assert "peak 2.93 GiB" in shown
