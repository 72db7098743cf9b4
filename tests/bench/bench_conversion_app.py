"""What the app costs while it draws a conversion, and how it bears 1,000 pages.

    python tests/bench/bench_conversion_app.py [--pages 40] [--thousand]

The app runs on a pty of 160x45 in a sandbox, idle first, then beside a conversion of the standard pipeline on tiny
models. Floor: at most 5 % of a core for drawing it (its processor time less that of being idle). `--thousand` writes
the events of 1,000 pages with six stages each at 50 pages a second instead, and shows one key at the end.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cachetop.demo.paper import write_pdf
from support.models import tiny_home
from support.wire import Wire

COMMAND = str(Path(sys.executable).parent / "cachetop")
_TICKS = os.sysconf("SC_CLK_TCK")
_STAGES = (("preprocess", 0.01), ("layout", 0.3), ("ocr", 0.1), ("layout_postprocess", 0.0), ("table", 0.4),
           ("assemble", 0.01))  # fmt: skip


def cpu(pid: int) -> float:
    """Seconds of processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def share(wire: Wire, going: threading.Thread | None, seconds: float) -> tuple[float, float, int]:
    """(share of a core, seconds, bytes sent) of the app while `going` lives, else for so many seconds."""
    began, before, sent = time.monotonic(), cpu(wire.pid), len(wire.seen)
    if going is None:
        wire.read(seconds)
    else:
        while going.is_alive():
            wire.read(0.2)
    took = time.monotonic() - began
    return (cpu(wire.pid) - before) / took, took, len(wire.seen) - sent


def thousand(state: Path) -> None:
    """A job of 1,000 pages, told by a worker that only talks."""
    folder = state / "jobs" / time.strftime("%Y%m%d-%H%M%S-0001", time.gmtime())
    folder.mkdir(parents=True, mode=0o700)
    spec = {"id": folder.name, "files": ["/papers/thousand.pdf"], "pipeline": "standard", "device": "cpu",
            "created": time.time()}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(spec))
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, f"{os.getpid()}\n".encode())
    number = 0
    with (folder / "events.jsonl").open("a", buffering=1) as file:

        def tell(event: str, **fields: object) -> None:
            nonlocal number
            number += 1
            told = {"event": event, "seq": number, "time": time.time(), "job": folder.name, **fields}
            file.write(json.dumps(told) + "\n")

        tell("job-started", files=spec["files"], pipeline="standard", device="cpu", python="python", versions={})
        tell("phase-started", phase="convert")
        for page in range(1, 1001):
            for stage, seconds in _STAGES:
                tell("stage-finished", file="/papers/thousand.pdf", page=page, stage=stage, seconds=seconds, batch=1)
            tell("page-finished", file="/papers/thousand.pdf", page=page, pages=1000, seconds=0.8, success=True)
            tell("progress", phase="convert", done=page, total=1000, unit="pages")
            time.sleep(0.02)
        tell("phase-finished", phase="convert", seconds=20.0)
        tell("job-finished", status="success", seconds=20.0, start=None, start_reason="a bench", phases={})
    os.close(lock)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--thousand", action="store_true")
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="cachetop-bench-"))
    env = {
        "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home),
        "CACHETOP_STATE_DIR": str(home / "state"), "XDG_RUNTIME_DIR": str(home), "HF_HOME": str(tiny_home(home)),
        "HF_HUB_OFFLINE": "1", "CACHETOP_CONFIG": str(home / "config.toml"),
    }  # fmt: skip
    paper = write_pdf(home / "paper.pdf", args.pages)
    wire = Wire([COMMAND], env, (160, 45))
    try:
        wire.read(6)
        idle, took, sent = share(wire, None, 10)
        print(f"idle            {idle:6.2%} of a core over {took:.0f} s, {sent} bytes")
        if args.thousand:
            work = threading.Thread(target=thousand, args=(home / "state",))
        else:
            words = [COMMAND, "convert", str(paper), "--pipeline", "standard", "--device", "cpu"]
            work = threading.Thread(target=lambda: subprocess.run(words, env=env, check=True, capture_output=True))
        work.start()
        busy, took, sent = share(wire, work, 0)
        name = "1,000 pages" if args.thousand else f"{args.pages} pages"
        print(f"{name:<15} {busy:6.2%} of a core over {took:.0f} s, {sent / took:,.0f} bytes/s")
        print(f"drawing it      {busy - idle:6.2%}: {'kept' if busy - idle <= 0.05 else 'MISSED'} (5 %)")
        began = time.monotonic()
        wire.send(b"?")
        before = len(wire.seen)
        while len(wire.seen) == before and time.monotonic() - began < 5:
            wire.read(0.002)
        print(f"a key answered  after {(time.monotonic() - began) * 1000:.0f} ms")
    finally:
        wire.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
