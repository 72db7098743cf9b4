"""Verdicts that an entry is of no use here any more. Only what can be proved, each with its evidence.

| rule | proof |
|---|---|
| `orphan` | the compile stopped before the end and nobody has worked on it for ten minutes |
| `truncated` | a file it needs is missing, empty or cut off |
| `relocated` | its group file points to another folder, so its files here are never read |
| `foreign-sm` | Triton, Inductor and NVRTC look entries up by exact SM, and no GPU here has it; what is loaded by its \
machine code (extensions) holds none that a GPU here can load |
| `sm-alias` | it loads on a GPU here, of another SM than it was built for, and that pair is known to go wrong |
| `toolchain-gone` | the environment that made it is gone, or no environment found here has the release that made it |
| `superseded` | a newer release compiled the same kernel for the same SM, and none found here has the older one |
| `autotune-loser` | autotuning measured it and noted another configuration of the same kernel as the best |
| `unused` | nobody read it for longer than the configured age, where the file system keeps access times |

The SM rules stay silent while the SMs of this machine are not known.
"""

from __future__ import annotations

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.kernelcache import gencode, sm, toolchain
from cachetop.kernelcache.formats import Facts, Row
from cachetop.kernelcache.ground import Ground
from cachetop.kernelcache.records import Entry, Stale
from cachetop.kernelcache.relations import Relations

PRECISION = 86400.0
"""Seconds by which an access time may lag behind: `relatime` moves it once a day."""
ALIASES = {("sm_120", "sm_121")}
"""(built for, run on): the code loads, and is known to go wrong."""
_SAID_MOST = 4096
_said: dict[tuple[Stale, ...], tuple[Stale, ...]] = {}
_EXACT_PARTS = ("triton", "fxgraph", "aotautograd", "wrapper", "source")


def verdicts(row: Row, facts: Facts, ground: Ground, relations: Relations) -> tuple[Stale, ...]:
    """Every rule that holds for an entry, the strongest first; empty when nothing can be proved."""
    entry = row.entry
    if entry.state == "orphan":
        reached = f"after {entry.stage}" if entry.stage else "before its first stage"
        return (Stale(rule="orphan", evidence=f"the compile ended {reached}, and no process is at work on it"),)
    if row.state not in ("complete", "opaque"):
        return ()
    found = []
    if facts.broken is not None:
        found.append(Stale(rule="truncated", evidence=facts.broken))
    if facts.elsewhere is not None:
        still = "is gone, so it is never loaded" if ground.gone(facts.elsewhere) else "is read instead of this one"
        evidence = f"its group file points to {clean(facts.elsewhere, 1024)}, which {still}"
        if entry.part == "operator":
            evidence = f"its build.ninja builds it in {clean(facts.elsewhere, 1024)}: the next use here builds it anew"
        found.append(Stale(rule="relocated", evidence=evidence))
    found += filter(None, (foreign(entry, facts, ground.sms_here), alias(entry, facts, ground.sms_here)))
    found += filter(None, (toolchain.gone(row, facts, ground), toolchain.superseded(row, facts, ground, relations)))
    if entry.kind == "triton" or entry.part == "triton":
        winner = relations.winner_over(row)
        if winner is not None:
            evidence = f"autotuning noted {clean(winner, 80)} as the best of this kernel's configurations"
            found.append(Stale(rule="autotune-loser", evidence=evidence))
    if (unused := _unused(row, ground)) is not None:
        found.append(unused)
    return _once(tuple(found))


def _once(found: tuple[Stale, ...]) -> tuple[Stale, ...]:
    """The same object for the same verdicts: many thousand entries are of no use for one reason."""
    if len(_said) >= _SAID_MOST:
        _said.clear()
    return _said.setdefault(found, found)


def foreign(entry: Entry, facts: Facts, here: tuple[str, ...]) -> Stale | None:
    """What says that no GPU of the SMs `here` ever uses an entry; None where none are known, or one may."""
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
    if gencode.loads_on(facts.codes, here, exact=entry.kind == "warp") is False:
        there = " and ".join(facts.codes)
        verb = "never looks for any of it" if entry.kind == "warp" else "can load none of it"
        return Stale(rule="foreign-sm", evidence=f"it holds code for {there}; a GPU of {mine} {verb}")
    return None


def alias(entry: Entry, facts: Facts, here: tuple[str, ...]) -> Stale | None:
    """What says that an entry loads on a GPU of the SMs `here` and goes wrong there; None where nothing does.

    Only what is loaded by its machine code: entries that are looked up by exact SM never meet another one.
    """
    if entry.kind == "warp":
        return None
    for built, gpu in sorted(ALIASES):
        if gpu in here and built in facts.codes and gpu not in facts.codes:
            evidence = f"it was built for {built}; it loads on {gpu}, and is known to go wrong there"
            return Stale(rule="sm-alias", evidence=evidence)
    return None


def _unused(row: Row, ground: Ground) -> Stale | None:
    """Silent where access times do not tell."""
    if row.state != "complete" or row.use is None or row.use == (None, None):
        return None
    last, _ = row.use
    if last is not None:
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
