"""Which SMs this machine's GPUs have, asked quickly: what a kernel is compiled for is compared with it."""

from __future__ import annotations

import time

from cachetop.gpu import asleep
from cachetop.gpu.nvml import Nvml
from cachetop.gpu.reasons import DeviceProblem, NoDriver, Unavailable
from cachetop.gpu.records import Gpu, Gpus
from cachetop.gpu.sampler import sample_once


class _Architectures:
    """A source that asks for nothing but the SM of each device."""

    def __init__(self, pci: str) -> None:
        self._nvml = Nvml()
        self._pci = pci

    def open(self) -> None:
        if asleep.all_asleep(self._pci):
            raise NoDriver("Every NVIDIA GPU is asleep.")
        self._nvml.open()

    def sample(self) -> Gpus:
        return Gpus(available=True, gpus=tuple(map(self._device, range(self._nvml.count()))), time=time.time())

    def _device(self, index: int) -> Gpu:
        sm: str | None = None
        try:
            found = self._nvml.sm(self._nvml.handle(index))
            sm = None if isinstance(found, Unavailable) else found
        except DeviceProblem:
            pass
        return Gpu(
            index=index, uuid=None, name=f"GPU {index}", sm=sm, memory=None, utilization=None, temperature=None,
            power=None, processes=(), unattributed=None,
        )  # fmt: skip


def sms(timeout: float = 2.0, pci: str = asleep.PCI) -> tuple[str, ...] | None:
    """The SMs of the GPUs here, each once, such as ("sm_89", "sm_90").

    None when that cannot be told: no driver, no answer within `timeout` seconds, GPUs asleep, or one that
    does not answer. The empty tuple says that a driver is there and has no GPU.
    """
    found = sample_once(_Architectures(pci), timeout)
    known = [gpu.sm for gpu in found.gpus if gpu.sm is not None]
    if not found.available or len(known) < len(found.gpus):
        return None
    return tuple(sorted(set(known)))
