"""How fast cachetop starts, as ratios in one run: against bare Python and against a Textual hello-world.

    python tests/bench/bench_start.py [RUNS]

Floors: `--version` and `--help` at most 3x of bare Python, the first painted frame at most 1.5x of a Textual
hello-world in the same terminal (a 120x40 pty here).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello world")
Hello().run()
"""
COMMAND = str(Path(sys.executable).parent / "cachetop")


def process(words: list[str], env: dict[str, str]) -> float:
    """Seconds from start to exit."""
    began = time.perf_counter()
    subprocess.run(words, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def painted(words: list[str], marker: bytes, env: dict[str, str]) -> float:
    """Seconds from start until `marker` was written to the terminal."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    seen = b""
    try:
        while marker not in seen:
            if not select.select([terminal], [], [], 30)[0]:
                raise TimeoutError(f"{words} painted no {marker!r} within 30 s; last: {seen[-300:]!r}")
            seen += os.read(terminal, 65536)
        return time.perf_counter() - began
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    """Run and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    home = tempfile.mkdtemp(prefix="cachetop-bench-")
    env = {
        "HOME": home,
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "COLORTERM": "truecolor",
    }
    python = sys.executable
    cases: dict[str, Callable[[], float]] = {
        "bare python": lambda: process([python, "-c", "pass"], env),
        "cachetop --version": lambda: process([COMMAND, "--version"], env),
        "cachetop --help": lambda: process([COMMAND, "--help"], env),
        "textual hello, first frame": lambda: painted([python, "-c", HELLO], b"hello", env),
        "cachetop, first frame": lambda: painted([COMMAND], b"MODELS", env),
    }
    took: dict[str, list[float]] = {name: [] for name in cases}
    for n in range(runs + 1):
        for name, case in cases.items():
            seconds = case()
            if n:  # the first round warms the page cache
                took[name].append(seconds)
    middle = {name: statistics.median(values) for name, values in took.items()}
    for name, seconds in middle.items():
        print(f"{name:<28} {seconds * 1000:8.1f} ms")
    for name in ("cachetop --version", "cachetop --help"):
        print(f"{name} / bare python: {middle[name] / middle['bare python']:.2f} (floor 3)")
    ratio = middle["cachetop, first frame"] / middle["textual hello, first frame"]
    print(f"first frame / textual hello: {ratio:.2f} (floor 1.5)")
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
