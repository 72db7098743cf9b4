"""Why a GPU does not run at its full clocks: the bits of nvmlClocksEventReasons in nvml.h, in words.

Idle (bit 0) is no reason to worry and is left out: a GPU that does nothing lowers its clocks.
"""

from __future__ import annotations

_WORDS = {
    0x002: "clocks-setting",
    0x004: "power-cap",
    0x008: "hardware-slowdown",
    0x010: "sync-boost",
    0x020: "thermal",
    0x040: "thermal-hardware",
    0x080: "power-brake",
    0x100: "display-clocks",
    0x200: "board-limit",
    0x400: "reliability",
}
_IDLE = 0x001


def words(mask: int) -> tuple[str, ...]:
    """The reasons in a bit mask, lowest bit first; empty at full clocks and when idle. Unknown bits as `0x800`."""
    bits = [1 << position for position in range(64) if mask >> position & 1]
    return tuple(_WORDS.get(bit, hex(bit)) for bit in bits if bit != _IDLE)
