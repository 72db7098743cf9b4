"""A worker without docling that speaks the worker's protocol and fails on demand.

Run as `PYTHON standin_worker.py JOBDIR`. The name of the job's first file says what it does: `good`, `exit`
(leaves with status 7 after a word on stderr), `torn` (dies in the middle of a line),
`crash` (dies in the middle of a document), `late` (never takes the
job up), `hang` (works until SIGTERM), `deaf` (ignores SIGTERM), `slow` (emits pages until cancelled),
`import` and `load` (said a minute ago that they import a library, or read weights; the latter waits as for a disk),
`fetch` (downloads `org/slow` from the hub as the worker does).
It takes its turn on a GPU as the worker does.
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cachetop.conversion.worker.turn import Turn, cards

folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
word = Path(job["files"][0]).stem
sequence = 0
ago = 60 if word in ("import", "load") else 0


def emit(event: str, **fields: object) -> None:
    global sequence
    sequence += 1
    line = {"event": event, "seq": sequence, "time": time.time() - ago, "job": job["id"], **fields}
    with open(folder / "events.jsonl", "ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + b"\n")


def finish(status: str) -> None:
    emit("job-finished", status=status, seconds=0.5, start=None, start_reason="a stand-in", phases={"import": 0.25})
    sys.exit(0)


if word == "late":
    sys.exit("could not even begin")
lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.write(lock, f"{os.getpid()}\n".encode())
signal.signal(signal.SIGTERM, signal.SIG_IGN if word == "deaf" else lambda *_: finish("cancelled"))
emit("job-started", files=job["files"], pipeline="native", device="cpu", python=sys.executable, versions={}, start=None)
recorder: Any = SimpleNamespace(emit=emit, job=job["id"])
control: Any = SimpleNamespace(check=lambda: None)
turn = Turn(recorder)
turn.take(cards(job.get("gpus")), None, control, lock)
emit("phase-started", phase="import")
if word == "import":
    emit("step", phase="import", what="torch")
    time.sleep(120)
emit("phase-finished", phase="import", seconds=0.25)
if word == "exit":
    sys.stderr.write("out of \x1b[31mpaper\x1b[0m\n")
    sys.exit(7)
if word == "torn":
    with open(folder / "events.jsonl", "ab", buffering=0) as file:
        file.write(b'{"event": "page-finished", "seq": 4, "fi')
    os.kill(os.getpid(), signal.SIGKILL)
if word == "crash":
    emit("phase-started", phase="convert")
    emit("page-finished", file=job["files"][0], page=1, pages=2, seconds=None, success=True)
    os.kill(os.getpid(), signal.SIGSEGV)
if word == "load":
    emit("phase-started", phase="load")
    emit("model-loading", repo="org/large", path="/m", revision=None, bytes=4_000_000_000, resident_before=0)
    if not ctypes.CDLL(None).vfork():  # who has called vfork(2) waits for the child uninterruptibly, as for a disk
        time.sleep(120)
if word == "fetch":
    import huggingface_hub
    from huggingface_hub import constants

    from cachetop.conversion.worker.downloads import watch_downloads

    constants.DOWNLOAD_CHUNK_SIZE = 1 << 14  # the hub's library counts by the chunk, and files are small
    watch_downloads(recorder)
    emit("phase-started", phase="load")
    huggingface_hub.snapshot_download("org/slow")
while word in ("hang", "deaf", "slow"):
    time.sleep(0.02)
    if word == "slow":
        emit("page-finished", file=job["files"][0], page=sequence, pages=10_000, seconds=None, success=True)
emit(
    "environment",
    cwd=os.getcwd(),
    variables=dict(os.environ),
    session=os.getsid(0),
    stdin=os.readlink("/proc/self/fd/0"),
)
finish("success")
