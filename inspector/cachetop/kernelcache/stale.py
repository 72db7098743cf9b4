"""Verdicts that an entry is of no use here any more. Only what can be proved, each with its evidence.

| rule | proof |
|---|---|
| `orphan` | the compile stopped before the end and nobody has worked on it for ten minutes |
| `truncated` | a file it needs is missing, empty or cut off |
| `relocated` | its group file points to another folder, so its files here are never read |
| `foreign-sm` | Triton, Inductor and NVRTC look entries up by exact SM, and no GPU here has it; what is loaded by its \
machine code (extensions) holds none that a GPU here can load |
| `sm-alias` | it loads on a GPU here, of another SM than it was built for, and that pair is known to go wrong |
| `toolchain-gone` | the environment that made it is gone, or no environment found here has that Triton |
| `superseded` | the same kernel for the same SM was compiled by a newer Triton, and none found here has the older one |
| `autotune-loser` | autotuning measured it and noted another configuration of the same kernel as the best |
| `unused` | nobody read it for longer than the configured age, where the file system keeps access times |

The SM rules stay silent while the SMs of this machine are not known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.kernelcache import environments, gencode, sm
from cachetop.kernelcache.formats import Facts, Row
from cachetop.kernelcache.records import Entry, Stale
from cachetop.kernelcache.relations import Relations, numbers

UNUSED_AFTER = 30 * 86400.0
"""Seconds without a use after which an entry is called unused, unless configured otherwise."""
PRECISION = 86400.0
"""Seconds by which an access time may lag behind: `relatime` moves it once a day."""
ALIASES = {("sm_120", "sm_121")}
"""(built for, run on): the code loads, and is known to go wrong."""
_EXACT_PARTS = ("triton", "fxgraph", "aotautograd", "wrapper", "source")
_LOOKS_MOST = 256


class Ground:
    """What lies outside the entries, looked at once per pass: this machine's GPUs and environments, folders that
    entries name, the moment.

    Paths out of entries are only ever stat'ed or listed, and only the first 256 different ones: more are not judged.
    """

    def __init__(
        self,
        sms_here: tuple[str, ...] = (),
        unused_after: float = UNUSED_AFTER,
        found: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.sms_here = tuple(sm.normalize(one) for one in sms_here)
        self.unused_after = unused_after
        self.now = time.time()
        self._seen: dict[str, tuple[int, int] | bool | None] = {}
        self._found = found
        self._named: dict[str, frozenset[str]] = {}

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

    @property
    def environments(self) -> Mapping[str, frozenset[str]]:
        """Every environment found with Triton, and its releases."""
        if self._found is None:
            self._found = environments.triton_environments()
        return self._found

    def releases(self, environment: str) -> frozenset[str]:
        """The releases of Triton in an environment that an entry names; empty when that cannot be told."""
        if environment in self.environments:
            return self.environments[environment]
        if environment not in self._named:
            if len(self._named) >= _LOOKS_MOST or not environment.startswith("/"):
                return frozenset()
            self._named[environment] = environments.versions(environment)
        return self._named[environment]

    def holder(self, release: str) -> str | None:
        """An environment found here that has this release of Triton."""
        for found in (self.environments, self._named):
            for prefix, releases in found.items():
                if release in releases:
                    return prefix
        return None

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


def verdicts(row: Row, facts: Facts, ground: Ground, relations: Relations) -> tuple[Stale, ...]:
    """Every rule that holds for an entry, the strongest first; empty when nothing can be proved."""
    entry = row.entry
    if entry.state == "orphan":
        reached = f"after {entry.stage}" if entry.stage else "before its first stage"
        return (Stale(rule="orphan", evidence=f"the compile ended {reached}, and no process is at work on it"),)
    if entry.state not in ("complete", "opaque"):
        return ()
    found = []
    if facts.broken is not None:
        found.append(Stale(rule="truncated", evidence=facts.broken))
    if facts.elsewhere is not None:
        still = "is gone, so it is never loaded" if ground.gone(facts.elsewhere) else "is read instead of this one"
        evidence = f"its group file points to {clean(facts.elsewhere, 1024)}, which {still}"
        found.append(Stale(rule="relocated", evidence=evidence))
    found += filter(None, (_foreign(entry, facts, ground.sms_here), _alias(facts, ground.sms_here)))
    if entry.kind == "triton" or entry.part == "triton":
        found += filter(None, (_toolchain(facts, ground), _superseded(row, facts, ground, relations)))
        winner = relations.winner_over(row)
        if winner is not None:
            evidence = f"autotuning noted {clean(winner, 80)} as the best of this kernel's configurations"
            found.append(Stale(rule="autotune-loser", evidence=evidence))
    if (unused := _unused(row, ground)) is not None:
        found.append(unused)
    return tuple(found)


def _foreign(entry: Entry, facts: Facts, here: tuple[str, ...]) -> Stale | None:
    if not here:
        return None
    mine = " and ".join(sorted(set(here), key=sm.order))
    if entry.kind in ("triton", "nvrtc") or entry.part in _EXACT_PARTS:
        made_for = [sm.split(one) for one in entry.sm]
        gpus = [sm.split(one) for one in here]
        if not made_for or None in made_for or None in gpus:
            return None
        if {one[0] for one in made_for if one} & {one[0] for one in gpus if one}:
            return None
        there = " and ".join(entry.sm)
        evidence = f"it is for {there} and looked up by exact SM; the GPU here is {mine}, so it is never used"
        return Stale(rule="foreign-sm", evidence=evidence)
    if gencode.loads_on(facts.codes, here) is False:
        there = " and ".join(facts.codes)
        return Stale(rule="foreign-sm", evidence=f"it holds code for {there}; a GPU of {mine} can load none of it")
    return None


def _alias(facts: Facts, here: tuple[str, ...]) -> Stale | None:
    """Only what is loaded by its machine code: entries that are looked up by exact SM never meet another one."""
    for built, gpu in sorted(ALIASES):
        if gpu in here and built in facts.codes and gpu not in facts.codes:
            evidence = f"it was built for {built}; it loads on {gpu}, and is known to go wrong there"
            return Stale(rule="sm-alias", evidence=evidence)
    return None


def _toolchain(facts: Facts, ground: Ground) -> Stale | None:
    made = facts.producer
    if facts.toolchain is not None and ground.gone(facts.toolchain):
        evidence = f"{clean(facts.toolchain, 1024)} of its compiler does not exist"
        if made.triton and (holder := ground.holder(made.triton)):
            evidence += f"; {clean(holder, 1024)} has Triton {made.triton} too"
        return Stale(rule="toolchain-gone", evidence=evidence)
    if made.triton is None or _alive(facts, ground) is not False:
        return None
    now = ", ".join(sorted(ground.releases(made.environment))) if made.environment else ""
    where = f"{made.environment} now has Triton {now}" if now else "its environment is not named"
    many = len(ground.environments)
    evidence = f"it was made by Triton {made.triton}, which none of the {many} environments found here has; {where}"
    return Stale(rule="toolchain-gone", evidence=evidence)


def _alive(facts: Facts, ground: Ground) -> bool | None:
    """Whether some environment found here has the release that made the entry; None when that cannot be told."""
    made = facts.producer
    if made.environment and made.triton in ground.releases(made.environment):
        return True
    if made.environment and not ground.releases(made.environment) and not ground.gone(made.environment):
        return None
    if made.triton is not None and ground.holder(made.triton):
        return True
    return False if ground.environments else None


def _superseded(row: Row, facts: Facts, ground: Ground, relations: Relations) -> Stale | None:
    newest = relations.newest(row)
    if newest is None or numbers(facts.producer.triton) >= numbers(newest):
        return None
    if _alive(facts, ground) is True:
        return None
    if facts.producer.environment and _alive(facts, ground) is None and facts.producer.triton is not None:
        return None
    mine = facts.producer.triton or "3.2 or older"
    evidence = f"Triton {newest} compiled the same kernel for the same SM since; this one is by Triton {mine}"
    return Stale(rule="superseded", evidence=evidence)


def _unused(row: Row, ground: Ground) -> Stale | None:
    """Silent where access times do not tell."""
    if row.entry.state != "complete" or row.use is None or row.use[1] is None:
        return None
    last, reused = row.use
    if reused and last is not None:
        gone = ground.now - last
        if gone - PRECISION <= ground.unused_after:
            return None
        evidence = f"last read {units.age(last, ground.now)} ago, give or take a day"
    else:
        gone = ground.now - row.entry.created
        if gone <= ground.unused_after:
            return None
        evidence = f"made {units.age(row.entry.created, ground.now)} ago and never read since"
    return Stale(rule="unused", evidence=f"{evidence}; the limit is {ground.unused_after / 86400:.3g} days")
