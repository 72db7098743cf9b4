"""The app on the samples, for a terminal of its own: a GPU sample a second, a run that goes on, or a crash.

python tests/support/wire_app.py idle|live|busy|crash
"""

from __future__ import annotations

import os
import sys
import threading
import time

from msgspec.structs import replace

from cachetop.conversion.fold import Fold
from cachetop.conversion.records import Jobs
from cachetop.gpu.records import Gpus
from cachetop.inventory.updates import GpusChanged, RunsChanged
from cachetop_tui.app import run_source
from support import pictures, runs


class Moving(pictures.FakeInventory):
    """Publishes a GPU sample each second once it is started."""

    def start(self) -> None:
        """See `FakeInventory`."""
        super().start()
        threading.Thread(target=self._move, daemon=True).start()

    def _move(self) -> None:
        for n in range(600):
            time.sleep(1.0)
            self.publish(GpusChanged(pictures.gpus(busy=30 + n * 7 % 60, moment=pictures.NOW + n)))


def main() -> int:
    """Run it."""
    kind = sys.argv[1]
    if kind == "busy":
        return run_source(Busy(), mouse=os.environ.get("WIRE_MOUSE") != "0")
    known = {"models": pictures.models(), "kernels": pictures.kernels(), "gpus": pictures.gpus()}
    source: pictures.FakeInventory = Moving(**known) if kind == "live" else pictures.FakeInventory(**known)  # type: ignore[arg-type]
    if kind == "crash":
        source.rescan = lambda: source.publish(GpusChanged(Broken()))  # type: ignore[method-assign, arg-type]
    return run_source(source, clock=lambda: pictures.NOW, mouse=os.environ.get("WIRE_MOUSE") != "0")


class Busy(Moving):
    """8 GPUs with 40 processes each, all of whose figures change, and a conversion with three pages a second."""

    def __init__(self) -> None:
        super().__init__(models=pictures.models(), kernels=pictures.kernels(), gpus=_many(0))
        self._count = 0
        self._began = time.time()
        self._fold = Fold(runs.job(started=self._began))
        self._feed("job-started", files=[runs.FILE], pipeline="standard", device="cuda:1", start="cold")
        self._feed("phase-started", phase="convert")
        self.jobs = Jobs(jobs=(self._fold.job,))
        self.runs = (self._fold.run(),)

    def start(self) -> None:
        """See `FakeInventory`."""
        super().start()
        threading.Thread(target=self._convert, daemon=True).start()

    def _feed(self, event: str, **more: object) -> None:
        self._count += 1
        self._fold.feed({"event": event, "seq": self._count, "time": time.time(), **more})

    def _move(self) -> None:
        for n in range(600):
            time.sleep(1.0)
            self.publish(GpusChanged(_many(n)))

    def _convert(self) -> None:
        for page in range(1, 1000):
            time.sleep(0.3)
            for stage in ("layout", "ocr", "table"):
                self._feed("stage-finished", file=runs.FILE, page=page, stage=stage, seconds=0.05 + page % 7 / 50)
            self._feed("page-finished", file=runs.FILE, page=page, pages=1000, seconds=0.3, success=True)
            self._feed("vram", gpu=1, used=2 * runs.GIB + page % 9 * 10**8)
            self.publish(RunsChanged(Jobs(jobs=(self._fold.job,)), (self._fold.run(),)))


def _many(moment: int) -> Gpus:
    """A sample of 8 GPUs with 40 processes, another one each second."""
    one = pictures.gpus().gpus[1]
    assert one.memory is not None
    made = []
    for index in range(8):
        processes = tuple(
            replace(one.processes[n % 3], pid=1000 + 100 * index + n, memory=(40 - n + (moment + n) % 5) * 10**7)
            for n in range(40)
        )
        used = sum(process.memory or 0 for process in processes) + moment % 11 * 10**8
        memory = replace(one.memory, used=used, free=one.memory.total - used)
        made.append(replace(one, index=index, uuid=f"GPU-{index}", utilization=(17 * moment + index) % 101,
                            temperature=50 + (moment + index) % 9, power=300.0 + moment * 7 % 50, memory=memory,
                            processes=processes, unattributed=0))  # fmt: skip
    return pictures.gpus(gpus=tuple(made), time=time.time())


class Broken:
    """A sample that cannot be shown."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"hf_{'A' * 34} is a secret")


if __name__ == "__main__":
    sys.exit(main())
