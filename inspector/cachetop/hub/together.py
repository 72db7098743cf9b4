"""Reads the revisions of one repo with very many files together with helpers.

They share folders that lie side by side, and a long one in pieces; also those in a folder that is shared itself, so it
does not matter where in a revision most files lie.
"""

from __future__ import annotations

from collections.abc import Callable

from cachetop.hub.contents import Contents, Place, Snapshot
from cachetop.hub.helper import Came, Helper, spare
from cachetop.hub.sent import Sent, unpack
from cachetop.hub.sharing import Sharing

EACH = 20_000
"""Blobs for each helper: starting one costs as much as reading 8,000."""
_SIDE_BY_SIDE = 4
"""Folders from which on they are shared."""
_LONG = 5_000
"""Names in a folder from which on it is shared."""
_PIECE = 1_000


class Together:
    """The helpers of one repo folder, `name` in `place`, which is read into `contents`. Close it."""

    def __init__(self, place: Place, name: str, contents: Contents, helpers: int) -> None:
        self._place = place
        self._name = name
        self._contents = contents
        self._helpers = [Helper(place) for _ in range(helpers)]

    def close(self) -> None:
        """End the helpers."""
        for helper in self._helpers:
            helper.end()

    def folders(self, path: str, names: list[str], here: Callable[[str], None], snapshot: Snapshot) -> None:
        """Read the folders `names` in the folder `path` of a revision into `snapshot`, some of them by `here`."""
        if len(names) < _SIDE_BY_SIDE:
            for name in names:
                here(name)
            return

        def ask(helper: Helper, came: Came, numbers: range) -> None:
            helper.ask(came, numbers, names[numbers.start : numbers.stop], f"{self._name}/{path}")

        self._share(len(names), lambda number: here(names[number]), ask, 16, snapshot)

    def has_many(self, names: list[str]) -> bool:
        """Whether a folder with these names in it is worth sharing."""
        return len(names) >= _LONG

    def files(self, path: str, names: list[str], here: Callable[[list[str]], None], snapshot: Snapshot) -> None:
        """Read the files `names` in the folder `path` of a revision into `snapshot`, some of them by `here`."""
        pieces = [names[start : start + _PIECE] for start in range(0, len(names), _PIECE)]

        def ask(helper: Helper, came: Came, numbers: range) -> None:
            helper.ask(came, numbers, pieces[numbers.start], f"{self._name}/{path}", files=True)

        self._share(len(pieces), lambda number: here(pieces[number]), ask, 1, snapshot)

    def _share(
        self,
        count: int,
        here: Callable[[int], None],
        ask: Callable[[Helper, Came, range], None],
        most: int,
        snapshot: Snapshot,
    ) -> None:
        def taken(sent: Sent) -> None:
            self._take_in(snapshot, unpack(sent, self._place.store, self._place.names))

        for _ in Sharing(count, here, self._helpers, ask, taken, most).found():
            pass

    def _take_in(self, snapshot: Snapshot, part: Contents) -> None:
        """Add what a helper read; LookupError where it saw another blob than was seen here."""
        blobs, found, (more,) = self._contents.blobs, part.blobs, part.snapshots
        known = {blob: blobs[key] for key, blob in found.items() if key in blobs}
        if any((blob.size, blob.disk) != (mine.size, mine.disk) for blob, mine in known.items()):
            raise LookupError
        if known:  # one that is known stays the same object
            found = {key: known.get(blob, blob) for key, blob in found.items()}
            more.blobs = [known.get(blob, blob) for blob in more.blobs]
        blobs.update(found)
        self._contents.marks += part.marks
        self._contents.plain &= part.plain
        snapshot.files += more.files
        snapshot.blobs += more.blobs
        snapshot.kept.update(more.kept)


def wanted(blobs: int) -> int:
    """How many helpers pay for a repo of so many blobs on this machine."""
    return min(blobs // EACH, spare()) if blobs > EACH else 0
