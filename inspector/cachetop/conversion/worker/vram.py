"""VRAM while a job runs: `vram` events, when what a GPU or torch's allocator on it holds has changed."""

import sys
import threading
from typing import Any

from .record import Recorder

_EVERY = 0.5
_STEP = 1 << 20

_Figures = tuple[int, int, int]


class Sampler:
    """Watches the GPUs that torch holds memory on; asking about another one would make a CUDA context there."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: dict[int, _Figures] = {}

    def look(self) -> None:
        """Report each GPU whose figures changed by a MiB or more; `gpu` is torch's index. Raises RuntimeError."""
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return
        for gpu in range(torch.cuda.device_count()):
            allocated, reserved = int(torch.cuda.memory_allocated(gpu)), int(torch.cuda.memory_reserved(gpu))
            if not reserved and gpu not in self._last:
                continue
            free, total = torch.cuda.mem_get_info(gpu)
            now = (int(total) - int(free), allocated, reserved)
            before = self._last.get(gpu)
            if before is None or any(abs(new - old) >= _STEP for new, old in zip(now, before, strict=True)):
                self._last[gpu] = now
                self._recorder.emit(
                    "vram", gpu=gpu, used=now[0], allocated=allocated, reserved=reserved, uuid=_uuid(torch, gpu)
                )


def sample(recorder: Recorder) -> threading.Event:
    """Start sampling; set the event that is returned to end it."""
    done = threading.Event()
    sampler = Sampler(recorder)

    def run() -> None:
        while not done.wait(_EVERY):
            try:
                sampler.look()
            except RuntimeError:
                return

    threading.Thread(target=run, name="vram", daemon=True).start()
    return done


def _uuid(torch: Any, gpu: int) -> str | None:
    """The GPU's UUID as NVML writes it; None where this torch does not tell (before 2.5)."""
    found = getattr(torch.cuda.get_device_properties(gpu), "uuid", None)
    return None if found is None else f"GPU-{str(found).removeprefix('GPU-')}"
