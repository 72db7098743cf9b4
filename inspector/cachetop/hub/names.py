"""The names of the files in a folder of a revision: in order, and kept once however many repos have the same ones."""

from __future__ import annotations

from sys import intern

HARMLESS = bytes(range(32, 127))
"""Printable ASCII: text of it is safe to show as it is."""
_FEW = 64
_LISTS = 4096


def harmless(text: str) -> bool:
    """Whether `text` is safe to show as it is, but for NULs between names; much cheaper than cleaning it."""
    return not text or (text.isascii() and not text.encode().translate(None, HARMLESS).strip(b"\0"))


class Names:
    """Remembers lists of names for as long as a scan takes: the repos of one kind of model have the same ones.

    Sorting, checking and keeping them once for all is cheaper than once a repo, and takes less memory.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[str], bool]] = {}

    def ordered(self, listed: list[str]) -> tuple[list[str], bool]:
        """The names in order, and whether all are harmless. Nobody may change the list."""
        text = "\0".join(listed)  # no name has a NUL in it
        found = self._known.get(text)
        if found is None:
            found = sorted(listed), harmless(text)
            if len(listed) <= _FEW and len(self._known) < _LISTS:  # the shards of a data set are no other's names
                found = [*map(intern, found[0])], found[1]
                self._known[text] = found
        return found
