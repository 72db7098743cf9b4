"""Why no rule calls an entry stale: what was looked at, rule by rule, and what that said."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.mounts import keeps_access_times
from cachetop.base.record import Record
from cachetop.kernelcache import facts, sm, stale, toolchain
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Facts, Row
from cachetop.kernelcache.ground import Ground
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.relations import numbers, producer, release
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.shelves import opened


class Check(Record, frozen=True):
    """One rule that was tried. `holds`: True where the entry passed it, False where it did not, None where that cannot
    be told; `evidence` is a short sentence."""

    rule: str
    holds: bool | None
    evidence: str


def checks(
    entry: Entry, entries: Iterable[Entry], scanner: Scanner, sms_here: Sequence[str] | None = None
) -> tuple[Check, ...]:
    """What speaks against each rule that did not hit `entry`, of the newest picture of `scanner`; reads its files anew.

    `entries` are all there are, for the rules that compare; `sms_here` the SMs of the GPUs, None where not known.
    Raises KeyError when the entry is not in the picture.
    """
    if entry.state not in ("complete", "relocated"):
        return ()
    root, path, name = scanner.place(entry)
    ground = Ground(tuple(sms_here or ()))
    with opened(root, path) as folder:
        if folder is None:
            return ()
        known = facts.read(entry, folder, os.path.join(root, path), name, ground)
    row = Row(entry, 0, settled=True, open=False, facts=known)
    found = (
        _sm(entry, known, ground),
        _alias(entry, known, ground),
        _toolchain(row, known, ground),
        _relocated(entry, known),
        _whole(entry, known),
        _superseded(row, entries),
        _autotuned(entry, known),
        _used(entry, root, ground),
    )
    hit = {one.rule for one in entry.stale}
    return tuple(one for one in found if one is not None and one.rule not in hit)


def _sm(entry: Entry, known: Facts, ground: Ground) -> Check:
    if not ground.sms_here:
        return Check(rule="foreign-sm", holds=None, evidence="the SMs of the GPUs here are not known")
    verdict = stale.foreign(entry, known, ground.sms_here)
    if verdict is not None:
        return Check(rule=verdict.rule, holds=False, evidence=verdict.evidence)
    mine = {found[0] for one in entry.sm if (found := sm.split(one))}
    same = [one for one in dict.fromkeys(ground.sms_here) if (found := sm.split(one)) and found[0] in mine]
    if same:
        return Check(rule="foreign-sm", holds=True, evidence=f"a GPU here has {' and '.join(same)}")
    if known.codes:
        return Check(rule="foreign-sm", holds=True, evidence="a GPU here can load it")
    return Check(rule="foreign-sm", holds=None, evidence="it does not say which SM it is for")


def _alias(entry: Entry, known: Facts, ground: Ground) -> Check | None:
    """Only for what is loaded by its machine code: what is looked up by exact SM never meets another one."""
    if not ground.sms_here or not known.codes or entry.kind == "warp":
        return None
    verdict = stale.alias(entry, known, ground.sms_here)
    if verdict is not None:
        return Check(rule=verdict.rule, holds=False, evidence=verdict.evidence)
    return Check(rule="sm-alias", holds=True, evidence="no GPU here is of an SM on which its code is known to go wrong")


def _toolchain(row: Row, known: Facts, ground: Ground) -> Check:
    rule = "toolchain-gone"
    verdict = toolchain.gone(row, known, ground)
    if verdict is not None:
        return Check(rule=rule, holds=False, evidence=verdict.evidence)
    made, mine = producer(row), release(row)
    name = "Triton" if made.triton else (made.package or "").rpartition(" ")[0]
    if mine is not None:
        holder = ground.holder(mine, "triton" if made.triton else name)
        if made.triton and made.environment and mine in ground.releases(made.environment):
            holder = made.environment
        if holder is not None:
            return Check(rule=rule, holds=True, evidence=f"{name} {mine} is in {clean(holder, 400)}")
    if known.toolchain is not None:
        there = clean(known.toolchain.rpartition("/")[2], 80)
        return Check(rule=rule, holds=True, evidence=f"{there}, which it was built with, is still there")
    if mine is None:
        return Check(rule=rule, holds=None, evidence="it does not say which release made it")
    return Check(rule=rule, holds=None, evidence=f"no environment found here tells of {clean(name, 40)}")


def _relocated(entry: Entry, known: Facts) -> Check | None:
    if entry.kind != "triton" and entry.part != "triton":
        return None
    if known.elsewhere is not None:
        where = f"its group file points to {clean(known.elsewhere, 400)}"
        return Check(rule="relocated", holds=False, evidence=where)
    return Check(rule="relocated", holds=True, evidence="its group file points here") if known.witness else None


def _whole(entry: Entry, known: Facts) -> Check | None:
    if known.broken is not None:
        return Check(rule="truncated", holds=False, evidence=known.broken)
    if known.code_sm is not None:
        return Check(rule="truncated", holds=True, evidence="its cubin is as long as its header says")
    if (entry.kind == "triton" or entry.part == "triton") and known.witness:
        return Check(rule="truncated", holds=True, evidence="every file its group file names is there")
    return None


def _superseded(row: Row, entries: Iterable[Entry]) -> Check | None:
    entry, mine = row.entry, release(row)
    if producer(row).triton is None or entry.name is None or not entry.sm:
        return None
    there = [one for one in entries if one.name == entry.name and one.sm == entry.sm and one.cache == entry.cache]
    newer = [one.producer.triton for one in there if numbers(one.producer.triton) > numbers(mine)]
    if newer:
        newest = max(newer, key=numbers)
        return Check(rule="superseded", holds=None, evidence=f"Triton {newest} compiled it too; both may be in use")
    return Check(rule="superseded", holds=True, evidence="no newer Triton compiled it for this SM")


def _autotuned(entry: Entry, known: Facts) -> Check | None:
    """Only for a configuration of a kernel that Inductor wrote: the second pass, which compares these, hit it not."""
    if known.source is None:
        return None
    judged = entry.producer != UNKNOWN_PRODUCER or known.producer == UNKNOWN_PRODUCER
    said = "autotuning noted no other configuration as better" if judged else "it is not compared with the others yet"
    return Check(rule="autotune-loser", holds=True if judged else None, evidence=said)


def _used(entry: Entry, root: str, ground: Ground) -> Check:
    if keeps_access_times(root) is False:
        return Check(rule="unused", holds=None, evidence="its file system keeps no access times")
    if entry.reused:
        return Check(rule="unused", holds=True, evidence=f"last read {_ago(entry.last_used, ground)}")
    if entry.reused is False:
        return Check(rule="unused", holds=True, evidence=f"made {_ago(entry.created, ground)}, not read since")
    return Check(rule="unused", holds=None, evidence="access times do not tell when it was used")


def _ago(moment: float | None, ground: Ground) -> str:
    said = units.age(moment, ground.now)
    return said if said in ("now", units.UNKNOWN) else f"{said} ago"
