"""For which GPUs a build was asked to compile: nvcc's `-gencode` flags in a build.ninja.

`arch=compute_86,code=sm_86` makes machine code (SASS), `code=compute_86` PTX, which the driver can compile for any
newer GPU; `code=[compute_86,sm_86]` makes both.
"""

from __future__ import annotations

import re

from cachetop.base.files import read_bounded
from cachetop.kernelcache import sm

_BUILD_MOST = 1 << 18
_FLAG = re.compile(rb"-gencode[= ]'?\"?arch=compute_\d{2,3}[af]?,code=(\[[^\]\s]{1,200}\]|(?:sm|compute)_\d{2,3}[af]?)")
_CODE = re.compile(rb"(sm|compute)_(\d{2,3}[af]?)")


def asked(folder: int, name: str = "build.ninja") -> tuple[str, ...]:
    """What the build in the open `folder` makes: `sm_86` for machine code, `compute_86` for PTX; empty if unknown."""
    try:
        raw = read_bounded(name, _BUILD_MOST, folder)
    except (OSError, ValueError):
        return ()
    return found(raw)


def found(raw: bytes) -> tuple[str, ...]:
    """As `asked`, of the text of a build.ninja."""
    codes = {
        f"{kind.decode()}_{number.decode()}" for flag in _FLAG.findall(raw) for kind, number in _CODE.findall(flag)
    }
    return tuple(sorted(codes, key=lambda one: (one.startswith("compute"), sm.order(one.replace("compute", "sm")))))


def sms(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Only the SMs there is machine code for; those of the PTX when there is none."""
    real = tuple(code for code in codes if code.startswith("sm_"))
    return real or tuple(code.replace("compute_", "sm_") for code in codes)


def loads_on(codes: tuple[str, ...], gpus: tuple[str, ...], exact: bool = False) -> bool | None:
    """Whether any of `codes` can be loaded on any of `gpus`: SASS by SM, PTX on that SM and newer. None if unknown.

    `exact`: machine code is looked for by the very SM of a GPU.
    """
    if not codes or not gpus:
        return None
    here = [sm.split(gpu) for gpu in gpus]
    for code in codes:
        if code.startswith("sm_"):
            mine = sm.split(code)
            if exact and mine is not None and None not in here:
                if any(gpu and gpu[0] == mine[0] for gpu in here):
                    return True
            elif sm.runs_on(code, gpus) is not False:
                return True
        else:
            asked_for = sm.split(code.replace("compute_", "sm_"))
            if asked_for is None or any(gpu is None or _fits(asked_for, gpu[0]) for gpu in here):
                return True
    return False


def _fits(ptx: tuple[int, str], gpu: int) -> bool:
    number, variant = ptx
    if variant == "a":
        return number == gpu
    return number <= gpu if not variant else number // 10 == gpu // 10 and number <= gpu
