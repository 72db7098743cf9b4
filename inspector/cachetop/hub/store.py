"""The cache-wide shared store: `blobs/<2 hex>/<xet hash>`, which repos' blobs may point into.

Written by huggingface_hub 1.32 and newer (utils/_shared_blobs.py). Its manifests of referrers are hints
that the scan does not need: it sees the links themselves.
"""

from __future__ import annotations

import os

from cachetop.base.record import why
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Mark, folder, inode, mark, moved


class Store:
    """The payloads of one cache root, read again only when a folder of the store changed."""

    def __init__(self) -> None:
        self.payloads: dict[str, Blob] = {}
        """By `<2 hex>/<hash>`."""
        self.problem: str | None = None
        self._marks: list[Mark] | None = None

    def refresh(self, root: int) -> bool:
        """Bring `payloads` up to date with the open cache root; returns whether anything was read anew."""
        if self._marks is not None and not moved(root, self._marks):
            return False
        payloads: dict[str, Blob] = {}
        marks: list[Mark] = []
        self.problem = None
        try:
            with folder(layout.STORE, root) as top:
                marks.append(mark(layout.STORE, top))
                for prefix in sorted(os.listdir(top)):
                    if len(prefix) == 2:
                        _read_prefix(prefix, top, payloads, marks)
        except FileNotFoundError:
            marks = [(layout.STORE, 0, 0.0)]
        except OSError as error:
            self.problem = f"The shared store {layout.STORE} of the cache could not be read: {why(error)}."
            marks = []
        self.payloads = payloads
        self._marks = marks or None  # unreadable: look again each time, for a change of rights moves no mtime
        return True


def _read_prefix(prefix: str, top: int, payloads: dict[str, Blob], marks: list[Mark]) -> None:
    try:
        with folder(prefix, top) as descriptor:
            marks.append(mark(f"{layout.STORE}/{prefix}", descriptor))
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if layout.is_payload(prefix, entry.name) and entry.is_file(follow_symlinks=False):
                        path = f"{prefix}/{entry.name}"
                        payloads[path] = inode(entry.stat(follow_symlinks=False), stored=path)
    except NotADirectoryError:
        pass  # a file of two letters is none of the store's
