"""SM names: how they are written, in what order they are shown, and which code runs on which GPU.

A cubin (SASS) for sm_XY runs on GPUs of the same major version X with a minor version of at least Y; an
architecture-specific one (`sm_90a`) on exactly that SM, a family-specific one (`sm_100f`) within its major
version (CUDA Programming Guide, compute capabilities and architecture-specific features).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHAPE = re.compile(r"(?:sm_?|compute_?)?(?:(\d{1,2})\.(\d)|(\d{2,3}))([af]?)\Z", re.IGNORECASE)


def normalize(text: str) -> str:
    """`90`, `9.0`, `sm_90`, `sm90`, `9.0a` -> `sm_90`, `sm_90a`. Raises ValueError with a sentence."""
    found = _SHAPE.match(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not an SM; write for example 90, 9.0, sm_90 or sm_90a")
    number = found[3] or found[1] + found[2]
    return f"sm_{int(number)}{found[4].lower()}"


def split(sm: str) -> tuple[int, str] | None:
    """`sm_90a` -> (90, "a"); None for what is no SM, such as `gfx942`."""
    found = re.match(r"sm_(\d{2,3})([af]?)\Z", sm)
    return (int(found[1]), found[2]) if found else None


def order(sm: str) -> tuple[int, str]:
    """Sort key: by number, then variant; what is no SM comes last, by name."""
    return split(sm) or (10_000, sm)


def asked(sm: str, wanted: str) -> bool:
    """Whether an entry for `sm` is meant by `wanted` (normalized): `sm_90` also means its variants, `sm_90a`."""
    mine, theirs = split(sm), split(wanted)
    if mine is None or theirs is None:
        return sm == wanted
    return mine == theirs or (mine[0] == theirs[0] and not theirs[1])


def runs_on(sm: str, gpus: Iterable[str]) -> bool | None:
    """Whether SASS for `sm` runs on any of `gpus` (`sm_86`, ...); None when one of the names is no SM."""
    code = split(sm)
    here = [split(gpu) for gpu in gpus]
    if code is None or None in here:
        return None
    return any(_fits(code, gpu[0]) for gpu in here if gpu)


def _fits(code: tuple[int, str], gpu: int) -> bool:
    number, variant = code
    if variant == "a":
        return number == gpu
    return number // 10 == gpu // 10 and number % 10 <= gpu % 10
