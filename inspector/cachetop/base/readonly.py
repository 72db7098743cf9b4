"""The switch for shared machines: with CACHETOP_READ_ONLY nothing is deleted, signalled or dropped from RAM."""

from __future__ import annotations

import os
from collections.abc import Mapping

_OFF = ("", "0", "false", "no", "off")


def is_read_only(env: Mapping[str, str] | None = None) -> bool:
    """Whether CACHETOP_READ_ONLY is set to anything but 0, false, no or off."""
    return (os.environ if env is None else env).get("CACHETOP_READ_ONLY", "").strip().lower() not in _OFF
