"""The disk that most of a plan lies on, and how much of the plan goes there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cachetop.base.disks import Disk, disks
from cachetop.prune.records import Plan


@dataclass(frozen=True, slots=True)
class Share:
    """One disk's share of a plan. Sizes in bytes."""

    where: str
    """The cache root that most of it lies in."""
    used: int
    free: int
    """What this user may still write."""
    goes: int

    @property
    def left(self) -> int:
        """What is in use afterwards."""
        return max(0, self.used - self.goes)

    def full(self, used: int) -> float:
        """The share from 0 to 1 that `used` bytes are of what users may use at all, as df counts."""
        return used / (self.used + self.free)


class Disks:
    """The disks of some cache roots. Making it blocks as long as a file system takes to answer."""

    def __init__(self, roots: Iterable[str] = ()) -> None:
        self._found = disks(roots)
        self._made: list[tuple[Plan, Share | None]] = []

    def share(self, plan: Plan) -> Share | None:
        """See `share`; remembered for the last two plans: of a large one it is asked beside the event loop first."""
        for known, made in self._made:
            if known is plan:
                return made
        made = share(plan, self._found)
        self._made = [*self._made[-1:], (plan, made)]
        return made


def share(plan: Plan, found: Iterable[Disk]) -> Share | None:
    """Of the disk with the most of the plan; None where it has no item, or no disk with a known size."""
    largest: Share | None = None
    for disk in found:
        if disk.used is None or disk.free is None or disk.full is None:
            continue
        below = tuple(root.rstrip("/") + "/" for root in disk.paths)
        mine = [item for item in plan.items if item.path.startswith(below)]
        # the plan's own sum counts each inode once
        goes = plan.frees if len(mine) == len(plan.items) else sum(item.frees for item in mine)
        if mine and (largest is None or goes > largest.goes):
            sums = [sum(item.frees for item in mine if item.path.startswith(root)) for root in below]
            largest = Share(disk.paths[sums.index(max(sums))], disk.used, disk.free, goes)
    return largest
