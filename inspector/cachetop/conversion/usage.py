"""VRAM of a run: folded from its `vram` events, and added up into who held how much of it."""

from __future__ import annotations

from collections.abc import Iterable

from cachetop.conversion.events import Event
from cachetop.conversion.growing import Grown
from cachetop.conversion.records import PHASES, Allocated, Run, VramUse
from cachetop.conversion.values import count, text

_MOST_SAMPLES = 4096
_MOST_GPUS = 64


class VramFold:
    """The samples of each GPU, thinned out when they are many, and their maxima, which are not."""

    def __init__(self) -> None:
        self.samples: Grown[tuple[float, int, int]] = Grown()
        self._allocators: dict[int, Allocated] = {}
        self._peaks: dict[tuple[int, str], int] = {}

    def feed(self, event: Event, moment: float, working: Iterable[str]) -> None:
        """Take in one `vram` event; `working` are the phases that go on now."""
        gpu, used = count(event.get("gpu")), count(event.get("used"))
        if gpu is None or used is None:
            return
        if len(self.samples.items) >= _MOST_SAMPLES:
            del self.samples.items[1::2]
        self.samples.append((moment, gpu, used))
        if gpu >= _MOST_GPUS:
            return
        for phase in working:
            self._peaks[gpu, phase] = max(used, self._peaks.get((gpu, phase), 0))
        allocated, reserved = count(event.get("allocated")), count(event.get("reserved"))
        if allocated is None or reserved is None:
            return
        before = self._allocators.get(gpu)
        peaks = [peak for peak in (count(event.get("peak")), before.peak if before else None) if peak is not None]
        self._allocators[gpu] = Allocated(
            gpu=gpu, time=moment, allocated=allocated, reserved=reserved, uuid=text(event.get("uuid")),
            process=count(event.get("process")), peak=max(peaks, default=None),
        )  # fmt: skip

    def allocators(self) -> tuple[Allocated, ...]:
        """The newest of each GPU, in order."""
        return tuple(self._allocators[gpu] for gpu in sorted(self._allocators))

    def phases(self) -> tuple[tuple[int, str, int], ...]:
        """(gpu, phase, the most that was used while it went on), in order."""
        order = {name: number for number, name in enumerate(PHASES)}
        return tuple(
            (gpu, phase, used)
            for (gpu, phase), used in sorted(self._peaks.items(), key=lambda item: (item[0][0], order[item[0][1]]))
        )


def vram_use(run: Run) -> tuple[VramUse, ...]:
    """Who held how much of each GPU in this run."""
    found = []
    for gpu in sorted({gpu for _, gpu, _ in run.vram}):
        samples = [used for _, index, used in run.vram if index == gpu]
        phases = {phase: used for index, phase, used in run.phase_vram if index == gpu}
        weights = weights_on(run, gpu)
        allocator = next((one for one in run.allocators if one.gpu == gpu), None)
        activations = kept = context = None
        if allocator is not None:
            kept = max(0, allocator.reserved - allocator.allocated)
            if allocator.process is not None and allocator.process >= allocator.reserved:
                context = allocator.process - allocator.reserved
            if allocator.peak is not None and weights:
                activations = max(0, allocator.peak - sum(weights.values()))
        found.append(
            VramUse(
                gpu=gpu,
                before=samples[0],
                peak=max([*samples, *phases.values()]),
                phases=phases,
                weights=weights,
                activations=activations,
                kept=kept,
                context=context,
            )
        )
    return tuple(found)


def weights_on(run: Run, gpu: int) -> dict[str, int]:
    """Model -> bytes that loading it added on a GPU; empty while one loads and where one is not known."""
    found: dict[str, int] = {}
    for load in run.loads:
        if load.seconds is None:
            return {}
        place = load.device or (run.device if load.vram else None)
        if place not in ("cuda", f"cuda:{gpu}"):
            continue
        if not load.vram:
            return {}
        name = load.repo or load.path or "?"
        found[name] = found.get(name, 0) + load.vram
    return found
