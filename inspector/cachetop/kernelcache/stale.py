"""Verdicts that an entry is of no use here any more. Only what can be proved, each with its evidence.

| rule | proof |
|---|---|
| `foreign-sm` | the machine code is for SMs none of this machine's GPUs can run (only when those are known) |
| `toolchain-gone` | the compiler's own file that the entry names does not exist any more |
| `relocated` | its group file points to another folder, so its files here are never read |
| `orphan` | the compile stopped before the end and nobody has worked on it for ten minutes |
| `truncated` | a file it needs is missing, empty or cut off |
"""

from __future__ import annotations

import os

from cachetop.base.hostile import clean
from cachetop.kernelcache import sm
from cachetop.kernelcache.formats import Facts
from cachetop.kernelcache.records import Entry, Stale

_LOOKS_MOST = 256


class Ground:
    """What lies outside the entries, looked at once per pass: this machine's GPUs, folders that entries name.

    Paths out of entries are only ever stat'ed, and only the first 256 different ones: more are not judged.
    """

    def __init__(self, sms_here: tuple[str, ...] = ()) -> None:
        self.sms_here = tuple(sm.normalize(one) for one in sms_here)
        self._seen: dict[str, tuple[int, int] | bool | None] = {}

    def gone(self, path: str) -> bool:
        """Whether `path` certainly does not exist."""
        return self._look(path) is False

    def same_folder(self, path: str, folder: int) -> bool | None:
        """Whether `path` is the folder open as `folder`; None when that is not known."""
        found = self._look(path)
        if not isinstance(found, tuple):
            return found
        about = os.fstat(folder)
        return found == (about.st_dev, about.st_ino)

    def _look(self, path: str) -> tuple[int, int] | bool | None:
        """(device, inode), False for what does not exist, None for unknown."""
        if path not in self._seen:
            if len(self._seen) >= _LOOKS_MOST or not path.startswith("/"):
                return None
            try:
                about = os.stat(path)
                self._seen[path] = (about.st_dev, about.st_ino)
            except (FileNotFoundError, NotADirectoryError):
                self._seen[path] = False
            except (OSError, ValueError):
                self._seen[path] = None
        return self._seen[path]


def verdicts(entry: Entry, facts: Facts, ground: Ground) -> tuple[Stale, ...]:
    """Every rule that holds for an entry, the strongest first; empty when nothing can be proved."""
    if entry.state == "orphan":
        reached = f"after {entry.stage}" if entry.stage else "before its first stage"
        return (Stale(rule="orphan", evidence=f"the compile ended {reached}, and no process is at work on it"),)
    if entry.state != "complete":
        return ()
    found = []
    if facts.broken is not None:
        found.append(Stale(rule="truncated", evidence=facts.broken))
    if facts.elsewhere is not None:
        still = "is gone, so it is never loaded" if ground.gone(facts.elsewhere) else "is read instead of this one"
        found.append(
            Stale(rule="relocated", evidence=f"its group file points to {clean(facts.elsewhere, 1024)}, which {still}")
        )
    if (foreign := _foreign(entry, facts, ground.sms_here)) is not None:
        found.append(foreign)
    if facts.toolchain is not None and ground.gone(facts.toolchain):
        found.append(
            Stale(rule="toolchain-gone", evidence=f"{clean(facts.toolchain, 1024)} of its compiler does not exist")
        )
    return tuple(found)


def _foreign(entry: Entry, facts: Facts, here: tuple[str, ...]) -> Stale | None:
    """PTX runs on newer GPUs too, so only what is loaded as machine code is judged."""
    if not here or not entry.sm or entry.part == "ptx":
        return None
    made_for = (facts.code_sm,) if facts.code_sm else entry.sm
    if any(sm.runs_on(one, here) is not False for one in made_for):
        return None
    there, mine = " and ".join(made_for), " and ".join(sorted(set(here), key=sm.order))
    return Stale(rule="foreign-sm", evidence=f"its machine code is for {there}; a GPU of {mine} cannot run it")
