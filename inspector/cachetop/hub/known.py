"""One repo folder between two looks: what was read of it, and what was said of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from cachetop.hub.contents import Contents, Mark
from cachetop.hub.records import Repo
from cachetop.hub.summary import Summary


class Known(msgspec.Struct, eq=False, gc=False):
    """One repo folder as last read. `root` is the cache root's path as it was given, `folder` a plain name."""

    root: str
    folder: str
    contents: Contents
    summary: Summary
    repo: Repo
    pool: list[Mark]
    """The mark of its folder of blobs, which moves when a download begins or ends; none where it could not be read."""
    settled: bool
    """Nothing in it changed so recently that a change could hide behind the same times."""
    frozen: bool
    """Its file system keeps no access times: when it was last used cannot be told."""
    detailed: Repo | None = None
    """What the second pass last said."""
    detail_of: Repo | None = None
    """The `repo` that it said that of."""

    def doubtful(self, store_moved: bool) -> bool:
        """Whether it may be another one although none of its folders changed. `store_moved`: the shared store did."""
        stored = store_moved and any(share.blob.stored for share in self.summary.shared)
        hard_linked = bool(self.contents.partials) and not self.contents.plain
        return stored or hard_linked or self.contents.complaints.blind

    def grow(self, look: Callable[[int, str, Contents, Repo], Repo], root: int) -> bool:
        """Look at the partial downloads alone, as `growing` does; returns whether they changed."""
        before = self.summary.repo
        self.summary.repo = look(root, self.folder, self.contents, before)
        if self.summary.repo is before:
            return False
        self.repo = self.summary.repo
        return True

    def piles(self) -> Iterator[list[Any]]:
        """What there may be very much of, in lists of their own."""
        yield list(self.contents.blobs.values())
        for repo in (self.repo, self.detailed):
            for revision in repo.revisions if repo is not None else ():
                yield list(revision.files)
