"""Which device the models run on, and why: every check that was made is reported with its sentence."""

import ctypes
import re
from dataclasses import dataclass, field
from typing import Any

_NAMES = re.compile(r"auto\Z|cpu\Z|cuda(?::(\d{1,3}))?\Z")


class NoDevice(Exception):
    """A GPU was asked for by name and cannot be used; the message says why."""


@dataclass
class Choice:
    """The device a run was given: `chosen` is what docling gets, `checks` is why."""

    asked: str
    chosen: str = "cpu"
    checks: list[dict[str, Any]] = field(default_factory=list)
    sm: str | None = None
    sm_shipped: bool | None = None
    """Whether torch's own kernels cover this GPU; None on a CPU."""
    gpu: int | None = None
    """NVML's index of the one GPU this process sees; None where torch's numbering is all that is known."""

    @property
    def shown(self) -> str:
        """The device as people know it: a GPU by NVML's index where that is known."""
        return f"cuda:{self.gpu}" if self.cuda and self.gpu is not None else self.chosen

    def note(self, check: str, ok: bool, message: str) -> bool:
        """Add one check; returns `ok`."""
        self.checks.append({"check": check, "ok": ok, "message": message})
        return ok

    @property
    def cuda(self) -> bool:
        """Whether this is a CUDA device."""
        return self.chosen.startswith("cuda")


def choose(asked: str, weights: int | None, runs_models: bool = True, gpu: int | None = None) -> Choice:
    """Decide for `asked` (auto, cpu, cuda, cuda:N); `weights` is the bytes the models take, None unknown.

    With `gpu`, NVML's index, this process sees that one GPU only, which is torch's first.

    Raises NoDevice when CUDA is asked for by name and is missing, ValueError for an unknown name. torch is
    imported only when a driver is there to use it with.
    """
    choice = Choice(asked, gpu=gpu)
    named = _NAMES.match(asked)
    if not named:
        raise ValueError(f"The device {asked!r} is unknown; choose auto, cpu, cuda or cuda:N.")
    if asked == "cpu":
        choice.note("asked", True, "The CPU was asked for.")
        return choice
    if asked == "auto" and not runs_models:
        choice.note("models", True, "The native pipeline runs no model, so no GPU is needed.")
        return choice
    index = 0 if gpu is not None else int(named[1] or 0)
    usable = _driver(choice) and _torch(choice, index) and _memory(choice, index, weights)
    if usable:
        choice.chosen = f"cuda:{index}"
    elif asked != "auto":
        raise NoDevice(f"{asked} was asked for and cannot be used: {choice.checks[-1]['message']}")
    return choice


def quick(asked: str) -> None:
    """Raise NoDevice at once when a GPU is asked for and there is no driver; ValueError for an unknown name."""
    if not _NAMES.match(asked):
        raise ValueError(f"The device {asked!r} is unknown; choose auto, cpu, cuda or cuda:N.")
    choice = Choice(asked)
    if asked.startswith("cuda") and not _driver(choice):
        raise NoDevice(f"{asked} was asked for and cannot be used: {choice.checks[-1]['message']}")


def _driver(choice: Choice) -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return choice.note(
            "driver", False, "No NVIDIA driver: libcuda.so.1 cannot be loaded, so there is no GPU to use here."
        )
    return choice.note("driver", True, "The NVIDIA driver library is there.")


def _torch(choice: Choice, index: int) -> bool:
    try:
        import torch
    except ImportError:
        return choice.note("torch", False, "torch is not installed for this Python, and without it nothing uses CUDA.")
    if not torch.version.cuda:
        return choice.note(
            "torch", False, f"torch {torch.__version__} is built without CUDA; install a CUDA build of torch."
        )
    choice.note("torch", True, f"torch {torch.__version__} is built for CUDA {torch.version.cuda}.")
    if not torch.cuda.is_available():
        return choice.note(
            "cuda", False, "torch finds no usable GPU: the driver is too old for this torch, or no device is visible."
        )
    count = torch.cuda.device_count()
    seen = "1 GPU" if count == 1 else f"{count} GPUs"
    if index >= count:
        return choice.note("cuda", False, f"There is no cuda:{index}; torch sees {seen}, from cuda:0.")
    choice.note("cuda", True, f"torch sees {seen}.")
    major, minor = torch.cuda.get_device_capability(index)
    return _kernels(choice, major, minor, list(torch.cuda.get_arch_list()))


def covers(shipped: list[str], major: int, minor: int) -> bool:
    """Whether kernels built for `shipped` (torch's list: sm_90, sm_90a, compute_90) run on SM major.minor.

    SASS runs on its own major version from its minor upwards, PTX on everything at least as new. Code for an
    `a` architecture runs on exactly that one.
    """
    for name in shipped:
        found = re.match(r"(sm|compute)_(\d+)(\d)([a-z]?)\Z", name)
        if not found:
            continue
        theirs = int(found[2]), int(found[3])
        if found[4] == "a":
            fits = theirs == (major, minor)
        elif found[1] == "sm":
            fits = theirs[0] == major and theirs[1] <= minor
        else:
            fits = theirs <= (major, minor)
        if fits:
            return True
    return False


def _kernels(choice: Choice, major: int, minor: int, shipped: list[str]) -> bool:
    sm = choice.sm = f"sm_{major}{minor}"
    choice.sm_shipped = covers(shipped, major, minor)
    if choice.sm_shipped:
        return choice.note("sm", True, f"This torch ships kernels that run on {sm}.")
    listed = ", ".join(shipped) or "none"
    return choice.note("sm", False, f"This torch ships no kernels for {sm} (it has {listed}); install another build.")


def _memory(choice: Choice, index: int, weights: int | None) -> bool:
    import torch

    try:
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return choice.note("memory", False, f"cuda:{index} does not answer: {str(error).splitlines()[0]}")
    said = f"{free >> 20} MiB of {total >> 20} MiB VRAM are free"
    if weights is not None and free < weights:
        return choice.note(
            "memory", False, f"{said}, less than the {weights >> 20} MiB of the models; end what holds VRAM."
        )
    return choice.note("memory", True, f"{said}.")
