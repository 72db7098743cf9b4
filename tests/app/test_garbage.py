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
