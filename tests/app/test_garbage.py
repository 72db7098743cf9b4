"""What the app does about memory once very much was found."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from cachetop_tui.garbage import give_back

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

blocks = [bytes([n % 255 + 1]) * 60_000 for n in range(2000)]
del blocks[:-1]  # the last one keeps the C library from giving back what lies below it
before = held()
give_back()
print((before - held()) // 1_000_000)
"""


def test_what_was_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80, "2,000 blocks of 60 KB were freed"


LET_GO = """
import threading
from cachetop_tui import garbage

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

garbage.prepare()
things = [tuple(object() for _ in range(n % 20)) for n in range(200_000)]
full = held()
garbage.let_go(things)
del things
for thread in threading.enumerate():
    if thread.name == "cachetop-free":
        thread.join()
print((full - held()) // 1_000_000)
"""


def test_a_large_pile_that_was_let_go_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", LET_GO], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40, "200,000 tuples with 19 objects at most took 60 MB"
