"""The NVIDIA driver and what its GPUs say, from one bounded sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.doctor import versions
from cachetop.doctor.records import Area, Finding

if TYPE_CHECKING:
    from cachetop.gpu.records import Gpus

_AREA = Area("driver")
_CUDA_13_DRIVER = 580


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """The driver, each GPU, and whether the driver and the installed torch go together."""
    from cachetop.gpu.sampler import sample_once
    from cachetop.gpu.source import NvmlSource

    return judge(sample_once(NvmlSource()), versions.cuda_of_torch())


def judge(gpus: Gpus, cuda: str | None) -> Iterator[Finding]:
    """The findings on one sample. `cuda`: what torch was built for, None for a CPU build or without torch."""
    subject = "NVIDIA driver"
    if not gpus.available:
        yield _AREA.note(subject, "not available", clean(gpus.reason or "it does not say why"))
        return
    driver = clean(gpus.driver or "?")
    major = driver.partition(".")[0]
    if cuda and cuda.partition(".")[0] == "13" and major.isdigit() and int(major) < _CUDA_13_DRIVER:
        reason = f"torch here is built for CUDA {cuda}, which needs R{_CUDA_13_DRIVER} or newer: it finds no GPU"
        fix = f"update the driver to {_CUDA_13_DRIVER} or newer, or install a torch built for CUDA 12"
        yield _AREA.error(subject, driver, reason, fix)
    else:
        yield _AREA.ok(subject, driver)
    for gpu in gpus.gpus:
        memory = units.memory(gpu.memory.total) if gpu.memory else "memory not reported"
        value = f"{clean(gpu.name)}, {gpu.sm or 'SM unknown'}, {memory}"
        if gpu.problem:
            yield _AREA.warning(f"GPU {gpu.index}", value, clean(gpu.problem), None)
        else:
            yield _AREA.ok(f"GPU {gpu.index}", value)
