"""What is in a folder, for choosing documents: listings and completion, bounded, never following a name's text.

Runs in worker threads: a folder may lie on a network file system that does not answer.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cachetop.base.hostile import clean
from cachetop.base.record import why

DOCUMENTS: Final = frozenset({
    ".pdf", ".docx", ".pptx", ".xlsx", ".html", ".htm", ".xhtml", ".md", ".csv", ".adoc", ".asciidoc", ".epub", ".tex",
    ".odt", ".ods", ".odp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".xml", ".json", ".vtt",
})  # fmt: skip
"""Extensions of what docling reads."""
MOST: Final = 5000
"""How many entries of a folder are looked at."""


@dataclass(frozen=True)
class Entry:
    """One row: `kind` is parent, recent, document, folder or other. `size` in bytes, None for folders."""

    kind: str
    path: str
    size: int | None = None
    modified: float | None = None

    @property
    def name(self) -> str:
        """The last part of the path, safe to show."""
        return clean(os.path.basename(self.path) or self.path)


@dataclass(frozen=True)
class Listing:
    """A folder's rows, or the sentence that says why there are none."""

    folder: str
    entries: tuple[Entry, ...] = ()
    problem: str | None = None
    cut: bool = False
    """More than `MOST` entries: the rest was not looked at."""


def expand(text: str, base: str) -> str:
    """What a person typed as an absolute path: `~` and parts relative to `base` resolved, links kept."""
    return os.path.normpath(os.path.join(base, os.path.expanduser(text)))


def kind(path: str) -> str:
    """folder, file or nothing: what stands at `path` on the disk."""
    return "folder" if os.path.isdir(path) else "file" if os.path.isfile(path) else "nothing"


def listing(folder: str, prefix: str = "") -> Listing:
    """The rows of `folder` whose name starts with `prefix` (case does not matter): documents, folders, others.

    Hidden entries stay away unless the prefix starts with a dot.
    """
    rows: list[Entry] = []
    wanted = prefix.casefold()
    try:
        with os.scandir(folder) as found:
            seen = 0
            for one in islice(found, MOST):
                seen += 1
                if one.name.startswith(".") and not prefix.startswith("."):
                    continue
                if one.name.casefold().startswith(wanted) and (row := _entry(one)):
                    rows.append(row)
    except OSError as error:
        return Listing(folder, (_parent(folder),), f"{clean(folder)} cannot be listed: {why(error)}")
    rows.sort(key=lambda row: (_ORDER[row.kind], row.path.casefold()))
    up = () if prefix or folder == "/" else (_parent(folder),)
    return Listing(folder, (*up, *rows), None, seen == MOST)


_ORDER = {"document": 0, "folder": 1, "other": 2}


def _parent(folder: str) -> Entry:
    return Entry("parent", os.path.dirname(folder.rstrip("/")) or "/")


def _entry(one: os.DirEntry[str]) -> Entry | None:
    try:
        if one.is_dir():
            return Entry("folder", one.path)
        info = one.stat()
    except OSError:
        return None  # gone meanwhile, or a link to nothing
    if not stat.S_ISREG(info.st_mode):
        return None
    kind = "document" if os.path.splitext(one.name)[1].lower() in DOCUMENTS else "other"
    return Entry(kind, one.path, info.st_size, info.st_mtime)


def complete(text: str, base: str) -> str | None:
    """`text` with the one name, or the common beginning of the names, that continue it; None when nothing does."""
    lead, _, start = text.rpartition("/")
    if not start or start == "~":
        return None
    folder = expand(lead + "/" if "/" in text else ".", base)
    found = [
        e for e in listing(folder, start).entries if e.kind != "parent" and os.path.basename(e.path).startswith(start)
    ]
    if not found:
        return None
    names = [os.path.basename(entry.path) for entry in found]
    name = _common(min(names), max(names))
    if len(found) == 1 and found[0].kind == "folder":
        name += "/"
    whole = f"{lead}/{name}" if "/" in text else name
    return whole if whole != text and clean(whole) == whole else None


def _common(one: str, other: str) -> str:
    """The beginning that two names share."""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:same]


def recent(paths: tuple[str, ...], most: int = 3) -> tuple[Entry, ...]:
    """The files of past jobs that still exist, in the order given, each once."""
    out: list[Entry] = []
    for path in dict.fromkeys(paths):
        try:
            info = os.stat(path)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(info.st_mode):
            out.append(Entry("recent", path, info.st_size, info.st_mtime))
        if len(out) == most:
            break
    return tuple(out)
