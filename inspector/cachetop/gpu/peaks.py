"""The most memory that was seen in use on each GPU since sampling began."""

from __future__ import annotations

import msgspec

from cachetop.gpu.records import Gpus


class Peaks:
    """Remembers the most in use on each GPU and MIG instance. For one thread."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def note(self, gpus: Gpus) -> Gpus:
        """The same sample with every `peak` filled in; a GPU whose memory is unknown has none."""
        for gpu in gpus.gpus:
            used = gpu.in_use
            if used is not None and gpu.problem is None:
                self._highest[gpu.key] = max(used, self._highest.get(gpu.key, 0))
        return msgspec.structs.replace(
            gpus, gpus=tuple(msgspec.structs.replace(gpu, peak=self._highest.get(gpu.key)) for gpu in gpus.gpus)
        )
