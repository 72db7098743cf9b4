"""What a sample of the GPUs costs, as ratios in one run: against nvitop and gpustat on the same fake driver.

    python tests/bench/bench_gpus.py [GPUS] [PROCESSES] [--idle SECONDS]

Floors: a sample of 8 GPUs with 40 processes on each costs under 5 ms beside the driver's own time, `cachetop gpus
--json` under 150 ms cold; with `--idle` the sampler at 1 Hz at most as much CPU time as nvitop, and the whole app on
the demo's two GPUs at most 2 % of a core and 80 MB. The driver's own time is that of the same NVML calls with nothing
done about their answers. New processes read the driver in C, where it can be built: Python loads nothing to simulate
it. nvitop and gpustat are optional: `pip install nvitop gpustat`.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import pty
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from cachetop.gpu.attribution import Attribution
from cachetop.gpu.processes import Processes
from cachetop.gpu.source import NvmlSource
from support import fake_nvml, nvml_twin

RUNS = 15
COLD = 7


def scenario(gpus: int, pids: list[int]) -> dict[str, Any]:
    """`gpus` healthy devices with a context of every process on each."""
    one = fake_nvml.load("two_gpus")["devices"][0]
    processes = [{"pid": pid, "used": (1 + n) << 24} for n, pid in enumerate(pids)]
    devices = [{**one, "uuid": f"GPU-{n:08d}-0000-0000-0000-000000000000", "processes": processes} for n in range(gpus)]
    for device in devices:
        device["memory"] = {**one["memory"], "used": 60 << 30}
    return {"driver_version": "580.95.05", "cuda_version": 13000, "devices": devices}


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median of `runs` calls after two that warm up, in milliseconds."""
    for _ in range(2):
        work()
    return statistics.median(seconds(work) for _ in range(runs)) * 1000


def driver_alone(source: NvmlSource, fake: fake_nvml.FakeNvml) -> float:
    """Milliseconds that the calls of one sample spend in the fake driver."""
    import pynvml

    spent = [0.0]
    original = fake._answer

    def timed(name: str, function: Any) -> Any:
        inner = original(name, function)

        def call(*arguments: Any) -> int:
            began = time.thread_time()
            code: int = inner(*arguments)
            spent[0] += time.thread_time() - began
            return code

        return call

    def one() -> float:
        spent[0] = 0.0
        source.sample()
        return spent[0]

    def forget(answer: Any) -> None:
        fake._answer = answer  # type: ignore[method-assign]
        fake._functions.clear()
        pynvml._nvmlGetFunctionPointer_cache.clear()

    forget(timed)
    one()
    found = statistics.median(one() for _ in range(RUNS)) * 1000
    forget(original)
    return found


def main() -> None:
    """Start the processes, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("gpus", nargs="?", type=int, default=8)
    parser.add_argument("processes", nargs="?", type=int, default=40)
    parser.add_argument("--idle", type=float, metavar="SECONDS", help="measure only what running costs, for so long")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.idle:
            idle(args.idle, Path(name))
        else:
            samples(args.gpus, args.processes)
            cold(environment(Path(name)))


def environment(folder: Path) -> dict[str, str]:
    """The environment for a new process that finds two GPUs."""
    lacks = nvml_twin.missing()
    if lacks:
        print(f"new processes read the driver in Python, which costs them its imports: {lacks}")
        found = fake_nvml.environment("two_gpus", folder)
    else:
        found = nvml_twin.environment("two_gpus", nvml_twin.build(folder), folder)
    # as installed: an installer compiles every module once
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**found, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def samples(gpus: int, count: int) -> None:
    """What one sample costs in this process."""
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(count)]
    try:
        time.sleep(5.5)  # what is known of a process is kept from its fifth second on
        with fake_nvml.driver(scenario(gpus, [child.pid for child in children])) as fake:
            source = NvmlSource(Attribution(lambda: {}), Processes(False))
            source.open()
            whole = median(source.sample)
            print(f"{gpus} GPUs, {count} processes on each; medians of {RUNS}, CPU time")
            print(f"cachetop, one sample              {whole:8.2f} ms")
            driver = driver_alone(source, fake)
            print(f"  of it in the driver             {driver:8.2f} ms   beside it {whole - driver:.2f} (floor 5)")
            for name, work in others():
                took = median(work)
                print(f"{name:<34}{took:8.2f} ms   cachetop / {name.split(',')[0]} = {whole / took:.2f}")
    finally:
        for child in children:
            child.kill()
            child.wait()


def others() -> Iterator[tuple[str, Callable[[], object]]]:
    """The same picture as other programs take it, where they are installed. gpustat is last: it alters pynvml."""
    try:
        import nvitop  # type: ignore[import-untyped]

        logging.disable(logging.CRITICAL)  # it says once of each function that the fake driver lacks it

        def nvitop_sample() -> None:
            for device in nvitop.Device.all():
                device.as_snapshot()
                nvitop.GpuProcess.take_snapshots(device.processes().values(), failsafe=True)

        yield f"nvitop, {nvitop.__version__}", nvitop_sample
    except ImportError:
        print("nvitop is not installed")
    try:
        import gpustat  # type: ignore[import-untyped]

        yield f"gpustat, {gpustat.__version__}", gpustat.GPUStatCollection.new_query
    except ImportError:
        print("gpustat is not installed")


def cold(environment: dict[str, str]) -> None:
    """`cachetop gpus --json` in a new process, beside Python alone and the others, all with the fake driver."""
    programs = {
        "python -c pass": ["-c", "pass"],
        "cachetop gpus --json": ["-m", "cachetop", "gpus", "--json"],
        "gpustat --json": ["-m", "gpustat", "--json"],
        "nvitop -1": ["-m", "nvitop", "-1"],
    }
    print(f"cold, medians of {COLD}; the first line is the base")
    for name, arguments in programs.items():
        wall, cpu = [], []
        subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)
        for _ in range(COLD):
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
        note = "" if done.returncode == 0 else f"   (exit code {done.returncode})"
        print(f"  {name:<24}{statistics.median(wall):8.0f} ms {statistics.median(cpu):8.0f} ms of CPU time{note}")


SAMPLER = """
import time
from cachetop.gpu.attribution import Attribution
from cachetop.gpu.sampler import Sampler
from cachetop.gpu.source import NvmlSource
Sampler(NvmlSource(Attribution(dict), xids=True)).start()
time.sleep(3600)
"""


def idle(seconds: float, folder: Path) -> None:
    """CPU time and memory of programs that look at two GPUs every second, one after the other, on a pty."""
    found = environment(folder)
    demo = str(folder / "demo")
    programs = {
        "cachetop's sampler": (found, [sys.executable, "-c", SAMPLER], 5.0),
        "nvitop": (found, [sys.executable, "-m", "nvitop"], 5.0),
        "cachetop demo": ({**os.environ, "CACHETOP_STATE_DIR": demo}, [sys.executable, "-c", DEMO, demo], 30.0),
    }
    print(f"running for {seconds:.0f} s at 160x45")
    for name, (environ, command, settle) in programs.items():
        share, resident = watched(command, environ, settle, seconds)
        print(f"  {name:<24}{share:8.2f} % of a core {resident / 1e6:8.0f} MB")


DEMO = """
import sys
from pathlib import Path
from cachetop.demo.sandbox import build
from cachetop_tui.app import run_source
from cachetop_tui.sources import Later
sandbox = build(Path(sys.argv[1]))
sandbox.enter()
def source():
    from cachetop.inventory import Inventory
    return Inventory(gpu=sandbox.gpu())
run_source(Later(source), note="DEMO, and nothing is compiled")
"""


def watched(command: list[str], environ: dict[str, str], settle: float, seconds: float) -> tuple[float, int]:
    """(percent of a core, resident bytes) of a program on a terminal of its own, once it has settled."""
    pid, terminal = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
        os.execvpe(command[0], command, {**environ, "TERM": "xterm-256color"})
    threading.Thread(target=_swallow, args=(terminal,), daemon=True).start()
    try:
        time.sleep(settle)
        began, before = time.monotonic(), _ticks(pid)
        time.sleep(seconds)
        spent = (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        resident = next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))
        return spent * 100, resident
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _swallow(terminal: int) -> None:
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:
        pass  # the program has ended


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
