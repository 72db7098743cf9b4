"""VRAM while a job runs: `vram` events, when what a GPU, torch's allocator on it or this process holds has changed."""

import sys
import threading
from typing import Any

from .nvml import Nvml
from .record import Recorder

_EVERY = 0.5
_STEP = 1 << 20

_Figures = tuple[int, int, int, int]


class Sampler:
    """Watches the GPUs that torch holds memory on; asking about another one would make a CUDA context there.

    `gpu` is NVML's index of the only GPU this process sees, None where torch's numbering is all that is known.
    """

    def __init__(self, recorder: Recorder, gpu: int | None = None, nvml: Any = None) -> None:
        self._recorder = recorder
        self._gpu = gpu
        self._nvml = nvml
        self._last: dict[int, _Figures] = {}

    def look(self) -> None:
        """Report each GPU whose figures changed by a MiB or more. Raises RuntimeError.

        `peak` is the most that torch's tensors took at one moment since the last look.
        """
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return
        for gpu in range(torch.cuda.device_count()):
            allocated, reserved = int(torch.cuda.memory_allocated(gpu)), int(torch.cuda.memory_reserved(gpu))
            if not reserved and gpu not in self._last:
                continue
            peak = max(allocated, int(torch.cuda.max_memory_allocated(gpu)))
            torch.cuda.reset_peak_memory_stats(gpu)
            free, total = torch.cuda.mem_get_info(gpu)
            now = (int(total) - int(free), allocated, reserved, peak)
            before = self._last.get(gpu)
            if before is None or any(abs(new - old) >= _STEP for new, old in zip(now, before, strict=True)):
                self._last[gpu] = now
                uuid = _uuid(torch, gpu)
                self._recorder.emit(
                    "vram", gpu=gpu if self._gpu is None else self._gpu, used=now[0], allocated=allocated,
                    reserved=reserved, peak=peak, process=self._process(uuid), uuid=uuid,
                )  # fmt: skip

    def _process(self, uuid: str | None) -> int | None:
        """Bytes of this process by the driver; the part that is not torch's is the context and other libraries."""
        if self._nvml is None:
            try:
                self._nvml = Nvml()
            except OSError:
                self._nvml = False
        return self._nvml.held(uuid) if self._nvml and uuid else None


def sample(recorder: Recorder, gpu: int | None = None) -> threading.Event:
    """Start sampling; set the event that is returned to end it, which takes one last look."""
    done = threading.Event()
    sampler = Sampler(recorder, gpu)

    def run() -> None:
        going = True
        while going:
            going = not done.wait(_EVERY)
            try:
                sampler.look()
            except RuntimeError:
                return

    threading.Thread(target=run, name="vram", daemon=True).start()
    return done


def kept() -> int | None:
    """Bytes torch keeps on all GPUs once it has given back what holds no tensor; None while CUDA is not in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    torch.cuda.empty_cache()
    return sum(int(torch.cuda.memory_reserved(gpu)) for gpu in range(torch.cuda.device_count()))


def _uuid(torch: Any, gpu: int) -> str | None:
    """The GPU's UUID as NVML writes it; None where this torch does not tell (before 2.5)."""
    found = getattr(torch.cuda.get_device_properties(gpu), "uuid", None)
    return None if found is None else f"GPU-{str(found).removeprefix('GPU-')}"
