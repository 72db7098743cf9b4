"""PyTorch's NVRTC cache (jiterator, fused element-wise kernels): one flat folder of files without extension.

`<kernel>_arch<major>.<minor>_nvrtc<major>.<minor>_<sass|ptx>_<code length>_<sha1 of the source>`, written as
`<name>_tmp_<pid>` and renamed (ATen/native/cuda/jit_utils.cpp). A `sass` file is a bare cubin. The rename
happens before the data is flushed, so a killed process can leave a truncated file under the final name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

from cachetop.base.hostile import clean
from cachetop.kernelcache.formats import Context, Row, Shelf
from cachetop.kernelcache.records import Entry, Producer
from cachetop.kernelcache.shelves import refresh, reread
from cachetop.kernelcache.usage import young

_NAME = re.compile(
    r"(?P<kernel>.+)_arch(?P<major>\d{1,2})\.(?P<minor>\d)_nvrtc(?P<nvrtc>\d{1,3}\.\d{1,3})"
    r"_(?P<code>sass|ptx)_\d{1,19}_[0-9a-f]{40}(?:_tmp_(?P<pid>\d{1,10}))?",
    re.DOTALL,
)
_producers: dict[str, Producer] = {}


class Nvrtc:
    """The folder of jiterated kernels: one shelf, one file per entry."""

    kind = "nvrtc"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        shelf = shelves.setdefault(".", Shelf())
        return refresh(root, shelf, lambda name: _NAME.fullmatch(name) is not None, _read, context)

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        rows = shelves.setdefault(".", Shelf()).rows
        changed = False
        for name in paths:
            if _NAME.fullmatch(name):
                if name in rows:
                    rows[name].open = True
                changed |= reread(root, name, rows, _read, context)
        return changed

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        return path if "/" not in path and _NAME.fullmatch(path) else None


def code(key: str) -> str | None:
    """`sass` or `ptx`, as the entry's name says; None for another name."""
    found = _NAME.fullmatch(key)
    return found["code"] if found else None


def _read(folder: int, name: str, context: Context) -> Row | None:
    parts = _NAME.fullmatch(name)
    try:
        found = os.lstat(name, dir_fd=folder)
    except OSError:
        return None
    if parts is None or not stat.S_ISREG(found.st_mode):
        return None
    version = parts["nvrtc"]
    producer = _producers.setdefault(version, Producer(cuda=version))
    state = "complete"
    if parts["pid"]:
        state = "compiling" if young(found.st_mtime_ns, context.now) else "orphan"
    bytes_held = found.st_blocks * 512
    key = clean(name)
    entry = Entry(
        cache=context.cache,
        kind=context.kind,
        key=key,
        name=clean(parts["kernel"]),
        sm=(f"sm_{parts['major']}{parts['minor']}",),
        size_on_disk=bytes_held,
        files=1,
        created=found.st_mtime,
        last_used=None,
        state=state,
        producer=producer,
        path=key,
        part=parts["code"],
    )
    # A file is written to after its rename, which the folder's time stamp does not show: look while it is young.
    links = ((found.st_dev, found.st_ino, bytes_held),) if found.st_nlink > 1 else ()
    fresh = young(found.st_mtime_ns, context.now)
    return Row(entry, found.st_mtime_ns, settled=not fresh, open=fresh, links=links)
