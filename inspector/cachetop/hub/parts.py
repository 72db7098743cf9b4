"""Reads many repos, in several processes where that pays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from cachetop.hub.contents import Contents, Place
from cachetop.hub.folder import read
from cachetop.hub.helper import Came, Helper, spare
from cachetop.hub.sent import Sent, unpack
from cachetop.hub.sharing import Sharing

EACH = 1000
"""Repos for each helper: starting one costs 40 ms of CPU time, as much as reading a quarter of them."""

Found = tuple[str, Contents | None]
"""The folder of a repo with what lies in it; None when it vanished."""


def readings(place: Place, folders: Sequence[str], before: Callable[[str], None]) -> Generator[Found, None, None]:
    """Read the repos `folders` of `place`, each once, in any order.

    `before` is called with each one that this process reads, before that. Close the iterator unless it is read to its
    end.
    """

    def here(number: int) -> Contents | None:
        before(folders[number])
        try:
            return read(place, folders[number])
        except FileNotFoundError:
            return None

    def ask(helper: Helper, came: Came, numbers: range) -> None:
        helper.ask(came, numbers, folders[numbers.start : numbers.stop])

    def taken(sent: Sent) -> Contents | None:
        return unpack(sent, place.store, place.names)

    helpers = [Helper(place) for _ in range(wanted(len(folders)))]
    try:
        for number, contents in Sharing(len(folders), here, helpers, ask, taken).found():
            yield folders[number], contents
    finally:
        for helper in helpers:
            helper.end()


def wanted(repos: int) -> int:
    """How many helpers pay for so many repos on this machine."""
    return min(repos // EACH, spare()) if repos >= EACH else 0
