"""How long an event loop stands still, and whose time that was."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BEAT = 0.004
FLOOR = 50.0
STACKS = "BENCH_STACKS"
"""Names a file for what every thread was at while the heart was late."""


@dataclass
class Hold:
    """A standstill, in ms: by the clock, what the loop's own thread computed, for how long that thread was ready and
    the system gave it no core, what the whole process computed."""

    clock: float
    loop: float
    coreless: float
    process: float

    def __str__(self) -> str:
        return (
            f"{self.clock:.0f} ms (the loop's own work {self.loop:.0f}, no core for it {self.coreless:.0f}, "
            f"the process's work {self.process:.0f})"
        )


class Heart:
    """Beats in the event loop; what it is late by is how long the loop stood still, whoever held it.

    On a busy machine other programs hold it too. What this process computed meanwhile tells them apart: a standstill
    during which it computed less than the floor is none of its making. What is neither the loop's own work nor the lack
    of a core is the wait for its turn: another thread did not let go.
    """

    def __init__(self) -> None:
        self.holds: list[Hold] = []
        self._last = 0.0
        self._waited: int | None = None
        with suppress(OSError):
            self._waited = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        if os.environ.get(STACKS):
            threading.Thread(target=self._look, args=(Path(os.environ[STACKS]),), daemon=True).start()

    async def beat(self) -> None:
        """For as long as it is not cancelled."""
        while True:
            before, own, whole = time.monotonic(), time.thread_time(), time.process_time()
            without = self._coreless()
            self._last = before
            await asyncio.sleep(BEAT)
            late = (time.monotonic() - before - BEAT) * 1000
            if late > FLOOR / 5:
                mine, all_of_it = time.thread_time() - own, time.process_time() - whole
                self.holds.append(Hold(late, mine * 1000, self._coreless() - without, all_of_it * 1000))

    def _coreless(self) -> float:
        """Milliseconds so far in which this thread was ready and had no core; 0 where the kernel does not count."""
        return 0.0 if self._waited is None else int(os.pread(self._waited, 64, 0).split()[1]) / 1e6

    def said(self) -> str:
        """The worst since this was last asked, and how many were over the floor."""
        holds, self.holds = self.holds, []
        if not holds:
            return f"never held {FLOOR / 5:.0f} ms"
        worst = max(holds, key=lambda one: one.clock)
        over = [one for one in holds if one.clock > FLOOR]
        own = sum(one.process > FLOOR and one.clock - one.coreless > FLOOR for one in over)
        more = f"; {len(over)} over {FLOOR:.0f} ms, {own} of them of its own making" if over else ""
        return f"held {worst} at worst{more}"

    def _look(self, path: Path) -> None:
        with path.open("w") as file:
            while True:
                time.sleep(0.005)
                late = (time.monotonic() - self._last - BEAT) * 1000 if self._last else 0.0
                if late > FLOOR / 2.5:
                    frames = sys._current_frames()
                    stacks = ("".join(traceback.format_stack(frames[one])[-12:]) for one in frames)
                    print(f"==== {late:.0f} ms late", *stacks, sep="\n", file=file, flush=True)
