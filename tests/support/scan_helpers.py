"""For the tests of helpers: all that was read in a form to compare, and helpers that are patient or broken."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cachetop.hub import parts
from cachetop.hub.contents import Contents, Place
from cachetop.hub.folder import read
from cachetop.hub.helper import Helper
from cachetop.hub.names import Names
from cachetop.hub.store import Store


def shape(contents: Contents) -> Any:
    """All that is in `contents`, and which names share an object."""
    users: dict[int, list[tuple[str, ...]]] = {}
    blobs = {}
    for name, blob in [*contents.blobs.items(), *contents.partials.items()]:
        users.setdefault(id(blob), []).append((name,))
        blobs[id(blob)] = blob
    for snapshot in contents.snapshots:
        for blob in snapshot.blobs:
            users.setdefault(id(blob), []).append((snapshot.commit,))
            blobs[id(blob)] = blob
        for name, blob in snapshot.kept.items():
            users.setdefault(id(blob), []).append((snapshot.commit, name))
    return (
        contents.marks,
        contents.refs,
        sorted((each.commit, each.files, sorted(each.kept), sorted(each.lost)) for each in contents.snapshots),
        sorted((msgspec.structs.astuple(blobs[key]), sorted(users[key])) for key in blobs),
        list(contents.blobs),
        list(contents.partials),
        contents.unnamed,
        contents.foreign,
        contents.names,
        contents.keys,
        vars(contents.complaints),
        contents.modified,
        contents.plain,
    )


def in_order(contents: Contents) -> Any:
    """All that is in `contents`, whoever read what first."""
    ordered = msgspec.structs.replace(
        contents,
        marks=sorted(contents.marks),
        blobs=dict(sorted(contents.blobs.items())),
        partials=dict(sorted(contents.partials.items())),
        unnamed=sorted(contents.unnamed),
    )
    return shape(ordered)


class Ground:
    """An open cache root with what is read below it."""

    def __init__(self, cache: Path) -> None:
        self.path = cache
        self.folders = sorted(path.name for path in cache.iterdir() if "--" in path.name)
        self.root = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
        store = Store()
        store.refresh(self.root)
        self.place = Place(self.root, store.payloads, (str(cache),), Names())

    def close(self) -> None:
        os.close(self.root)

    def readings(self, before: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        """What `parts.readings` says, each repo once."""
        found: dict[str, Any] = {}
        with closing(parts.readings(self.place, self.folders, before)) as readings:
            for folder, contents in readings:
                assert folder not in found
                found[folder] = contents and shape(contents)
        return found

    def alone(self) -> dict[str, Any]:
        """The same, read here one after the other."""
        return {folder: shape(read(self.place, folder)) for folder in self.folders}


class Patient(Helper):
    """A helper that is waited for: it answers however slow the machine is."""

    def listen(self) -> None:
        if self.asked:
            select.select([self.output], [], [], 60)
        super().listen()


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children()]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


BROKEN = {
    "it ends at once": "",
    "it fails": "raise SystemExit(3)",
    "it ends after its first answer": "import os, sys\n"
    "from cachetop.hub import helper_main as m\n"
    "answer = m._answer\n"
    "m._answer = lambda *a: m.os.write(1, answer(*a)) and os._exit(1)\n"
    "m.main()",
    "it answers nonsense": "import os; os.write(1, b'\\0\\0\\0\\4abcd' * 100)",
    "it never stops": "import os\nwhile True: os.write(1, b'\\0\\0\\0\\1\\x90' * 9999)",
    "it answers half": "import os; os.write(1, b'\\0\\0\\xff\\xff' + b'x' * 100)",
    "it knows nothing": "import os\nwhile os.read(0, 9999): os.write(1, b'\\0\\0\\0\\1\\x90')",
    "it hangs": "import time; time.sleep(600)",
    "it reads nothing and says nothing": "import os, time; os.close(0); time.sleep(600)",
}
