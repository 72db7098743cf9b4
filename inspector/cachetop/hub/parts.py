"""Reads many repos, in several processes where that pays.

This process reads from the front. Each helper gets a few repos at a time from the back, so nobody waits for one to
start, and the first rows come as early as without. What a helper does not answer, because it died, hangs, never started
or met something out of the ordinary, is read here in the end: helpers can save time, and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence

from cachetop.hub.contents import Contents
from cachetop.hub.folder import Place, read
from cachetop.hub.helper import Helper
from cachetop.hub.sent import unpack

EACH = 1000
"""Repos for each helper: starting one costs 40 ms of CPU time, as much as reading a quarter of them."""
MOST = 3
_BATCH = 32
_LOOK = 8
"""Repos read here between two looks at what the helpers sent."""
_QUOTA = "/sys/fs/cgroup/cpu.max"

Found = tuple[str, Contents | None]
"""The folder of a repo with what lies in it; None when it vanished."""


def readings(place: Place, folders: Sequence[str], before: Callable[[str], None]) -> Generator[Found, None, None]:
    """Read the repos `folders` of `place`, each once, in any order.

    `before` is called with each one that this process reads, before that. Close the iterator unless it is read to its
    end.
    """
    helpers = [Helper(place) for _ in range(wanted(len(folders)))]
    try:
        yield from _Sharing(place, folders, before, helpers).found()
    finally:
        for helper in helpers:
            helper.end()


def wanted(repos: int) -> int:
    """How many helpers pay for so many repos on this machine."""
    if repos < EACH or getattr(sys, "frozen", False):
        return 0
    if not os.path.basename(sys.executable or "").startswith("python"):
        return 0  # a program with Python in it: started again it would be that program
    return max(0, min(repos // EACH, cpus() - 1, MOST))


def cpus() -> int:
    """CPUs that this process may keep busy: its affinity, and the quota of its container."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    try:
        with open(_QUOTA, encoding="ascii") as file:
            quota, period = map(int, file.read().split())
        return min(count, quota // period)
    except (OSError, ValueError, ZeroDivisionError):
        return count  # there is no quota


class _Sharing:
    """Who reads what."""

    def __init__(
        self, place: Place, folders: Sequence[str], before: Callable[[str], None], helpers: Sequence[Helper]
    ) -> None:
        self.place = place
        self.folders = folders
        self.before = before
        self.helpers = helpers
        self.front = 0
        self.back = len(folders)
        self.left: list[int] = []
        """Those that the helper who was asked did not answer."""
        self.overtaken: set[int] = set()
        """Those read here although a helper was asked: there was nothing else to do."""

    def found(self) -> Iterator[Found]:
        while True:
            for helper in self.helpers:
                self.hand_out(helper)
                yield from self.answered(helper)
            for _ in range(_LOOK if self.front < self.back else 1):
                number = self.next()
                if number is None:
                    return
                yield self.read(number)

    def read(self, number: int) -> Found:
        folder = self.folders[number]
        self.before(folder)
        try:
            return folder, read(self.place, folder)
        except FileNotFoundError:
            return folder, None

    def next(self) -> int | None:
        """What to read here now; None when everything is read."""
        if self.front < self.back:
            self.front += 1
            return self.front - 1
        if self.left:
            return self.left.pop()
        late = [number for helper in self.helpers for batch in helper.asked for number in batch]
        number = next((number for number in reversed(late) if number not in self.overtaken), None)
        if number is not None:
            self.overtaken.add(number)
        return number

    def hand_out(self, helper: Helper) -> None:
        """Less at a time towards the end, so that all are done at once."""
        while helper.ready and self.front < self.back:
            size = max(1, min(_BATCH, (self.back - self.front) // (4 * len(self.helpers))))
            self.back -= size
            helper.ask(range(self.back, self.back + size), self.folders)

    def answered(self, helper: Helper) -> Iterator[Found]:
        for batch, sent in helper.answers():
            missing = set(batch) - self.overtaken
            for each in sent:
                if each.number in missing:
                    try:
                        contents = unpack(each, self.place.store, self.place.names)
                    except LookupError:
                        continue  # the shared store changed meanwhile
                    missing.remove(each.number)
                    yield self.folders[each.number], contents
            self.left += sorted(missing, reverse=True)
