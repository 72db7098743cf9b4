"""The app on the samples, for a terminal of its own: a GPU sample a second, a run that goes on, or a crash.

python tests/support/wire_app.py idle|live|crash
"""

from __future__ import annotations

import os
import sys
import threading
import time

from cachetop.inventory.updates import GpusChanged
from cachetop_tui.app import run_source
from support import pictures


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
    known = {"models": pictures.models(), "kernels": pictures.kernels(), "gpus": pictures.gpus()}
    source: pictures.FakeInventory = Moving(**known) if kind == "live" else pictures.FakeInventory(**known)  # type: ignore[arg-type]
    if kind == "crash":
        source.rescan = lambda: source.publish(GpusChanged(Broken()))  # type: ignore[method-assign, arg-type]
    return run_source(source, clock=lambda: pictures.NOW, mouse=os.environ.get("WIRE_MOUSE") != "0")


class Broken:
    """A sample that cannot be shown."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"hf_{'A' * 34} is a secret")


if __name__ == "__main__":
    sys.exit(main())
