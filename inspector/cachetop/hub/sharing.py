"""Things to read that lie side by side, shared with helper processes.

This process reads from the front. Each helper gets a few at a time from the back, so nobody waits for one to start,
and the first come as early as without. What a helper does not answer, because it died, hangs, never started or met
something out of the ordinary, is read here in the end: helpers can save time, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from cachetop.hub.helper import Came, Helper
from cachetop.hub.sent import Sent

Read = TypeVar("Read")


class Sharing(Generic[Read]):
    """Who reads which of `count` things."""

    def __init__(
        self,
        count: int,
        here: Callable[[int], Read],
        helpers: Sequence[Helper],
        ask: Callable[[Helper, Came, range], None],
        taken: Callable[[Sent], Read],
        most: int = 16,
    ) -> None:
        """`here` reads the thing with a number in this process, perhaps sharing what is in it with the same helpers.

        `ask` asks a helper for some, `most` at a time. `taken` makes of what it sent the same that `here` gives, or
        raises LookupError where it does not fit.
        """
        self.here = here
        self.helpers = helpers
        self.ask = ask
        self.taken = taken
        self.most = most
        self.front = 0
        self.back = count
        self.came: Came = deque()
        self.left: list[int] = []
        """Those that the helper who was asked did not answer."""
        self.overtaken: set[int] = set()
        """Those read here although a helper was asked: there was nothing else to do."""

    def found(self) -> Iterator[tuple[int, Read]]:
        """Each number with what was read, once, in any order."""
        try:
            while True:
                for helper in self.helpers:
                    self._hand_out(helper)
                    helper.listen()
                yield from self._answered()
                number = self._next()
                if number is None:
                    return
                yield number, self.here(number)
        finally:
            for helper in self.helpers:
                helper.forget(self.came)

    def _next(self) -> int | None:
        """What to read here now; None when everything is read."""
        if self.front < self.back:
            self.front += 1
            return self.front - 1
        if self.left:
            return self.left.pop()
        late = [
            number for helper in self.helpers for came, batch in helper.asked if came is self.came for number in batch
        ]
        number = next((number for number in reversed(late) if number not in self.overtaken), None)
        if number is not None:
            self.overtaken.add(number)
        return number

    def _hand_out(self, helper: Helper) -> None:
        """Less at a time towards the end, so that all are done at once."""
        while helper.ready and self.front < self.back:
            size = max(1, min(self.most, (self.back - self.front) // (4 * len(self.helpers))))
            self.back -= size
            self.ask(helper, self.came, range(self.back, self.back + size))

    def _answered(self) -> Iterator[tuple[int, Read]]:
        while self.came:
            batch, sent = self.came.popleft()
            missing = set(batch) - self.overtaken
            for each in sent:
                if each.number in missing:
                    try:
                        read = self.taken(each)
                    except LookupError:
                        continue
                    missing.remove(each.number)
                    yield each.number, read
            self.left += sorted(missing, reverse=True)
