"""Numbers for people. Files in decimal units, memory in binary ones; unknown is never a number.

Files are shown in KB, MB, GB as the Hub and `hf` print them; memory of GPUs and processes in MiB, GiB as
nvidia-smi counts it. The unit is always written. `None` means unknown and is shown as `?`.
"""

from __future__ import annotations

import re
import time
from datetime import datetime

UNKNOWN = "?"
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
          "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50}  # fmt: skip
_SPANS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 2592000, "y": 31536000}
_SPAN_UNITS = "|".join("m" if unit == "m" else "".join(f"[{c.upper()}{c}]" for c in unit) for unit in _SPANS)
SPAN_PATTERN = rf"^\s*\d+(\.\d+)?\s*({_SPAN_UNITS})\s*$"
"""What `parse_span` takes, as a regular expression of any dialect."""
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([KMGTPkmgtp]([Ii][Bb]|[Bb])?|[Bb])?\s*$"
"""What `parse_size` takes."""


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def many(number: int, one: str, several: str = "") -> str:
    """A number with its word: `1 repo`, `13 repos`, `1,274 entries`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def share(part: float, whole: float) -> str:
    """A part in percent: `59 %`; `<1 %` rather than `0 %` for something, `>99 %` rather than `100 %` for not all."""
    if whole <= 0:
        return "–"
    percent = part / whole * 100
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def size(count: float | None) -> str:
    """Bytes of files, decimal, three digits: `358 MB`, `1.94 GB`, `0 B`; `?` for None."""
    if count is None:
        return UNKNOWN
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor * 0.9995:
            return f"{_three(count / factor)} {unit}"
    return f"{count:.0f} B"


def memory(count: float | None) -> str:
    """Bytes of memory, binary: `276 MiB`, `2.14 GiB`; `?` for None."""
    if count is None:
        return UNKNOWN
    if count >= 2**40 * 0.9995:
        return f"{_three(count / 2**40)} TiB"
    if count >= 2**30 * 0.9995:
        return f"{_three(count / 2**30)} GiB"
    if count >= 2**20 or count == 0:
        return f"{count / 2**20:.0f} MiB"
    return f"{_three(count / 2**20)} MiB"


def duration(seconds: float | None) -> str:
    """Seconds: `71 ms`, `4.9 s`, `1 min 4 s`, `2 h 5 min`; `?` for None."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 59.95 else "1 min 0 s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def age(moment: float | None, now: float | None = None) -> str:
    """How long ago `moment` (epoch seconds) was: `now`, `38 s`, `6 min`, `2 h`, `41 d`; `?` for None."""
    if moment is None:
        return UNKNOWN
    gone = (time.time() if now is None else now) - moment
    if gone < 5:
        return "now"
    for limit, step, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if gone < limit:
            return f"{gone // step:.0f} {unit}"
    return f"{gone // 86400:.0f} d"


def clock(moment: float) -> str:
    """Local wall-clock time of an epoch second: `14:02:11`."""
    return datetime.fromtimestamp(moment).strftime("%H:%M:%S")


def parse_size(text: str) -> int:
    """`20G`, `1.5GB`, `512MiB` -> bytes. `1GB` is 10^9. Raises ValueError with a sentence."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if not found or found[2].upper() not in _SIZES:
        raise ValueError(f"{text!r} is not a size; write for example 500MB, 20G or 1.5GiB")
    return int(float(found[1]) * _SIZES[found[2].upper()])


def parse_span(text: str) -> float:
    """`30d`, `2h`, `90s` -> seconds; capitals, too, but for `M`, months to some. Raises ValueError with a sentence."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    unit = found[2].lower() if found and found[2] != "M" else ""
    if not found or unit not in _SPANS:
        raise ValueError(f"{text!r} is not a length of time; write for example 30d, 12h or 2w")
    return float(found[1]) * _SPANS[unit]
