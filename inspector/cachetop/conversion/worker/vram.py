"""VRAM while a job runs: `vram` events, when the used bytes of a GPU have changed."""

import sys
import threading

from .record import Recorder

_EVERY = 0.5
_STEP = 1 << 20


def sample(recorder: Recorder) -> threading.Event:
    """Start sampling; set the event that is returned to end it. `gpu` is torch's index."""
    done = threading.Event()
    last: dict[int, int] = {}

    def run() -> None:
        while not done.wait(_EVERY):
            torch = sys.modules.get("torch")
            if torch is None or not torch.cuda.is_initialized():
                continue
            for gpu in range(torch.cuda.device_count()):
                try:
                    free, total = torch.cuda.mem_get_info(gpu)
                except RuntimeError:
                    return
                used = int(total) - int(free)
                if abs(used - last.get(gpu, -_STEP)) >= _STEP:
                    last[gpu] = used
                    recorder.emit("vram", gpu=gpu, used=used, allocated=int(torch.cuda.memory_allocated(gpu)))

    threading.Thread(target=run, name="vram", daemon=True).start()
    return done
