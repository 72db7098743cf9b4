"""What is known of a repo, and what came of a check, in words: the same on the command line and in the app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cachetop.base import units
from cachetop.base.hostile import clean

if TYPE_CHECKING:
    from cachetop.hub.about import About
    from cachetop.hub.ram import Outcome
    from cachetop.hub.records import Partial
    from cachetop.hub.verify import Verification

_REFS: Final = 20
"""Refs that are named: a revision may have tens of thousands."""
_FEW: Final = 3
"""Files that are named."""


def facts(about: About, now: float) -> list[tuple[str, str]]:
    """Labels and what is known under them, in the order to be read; `now` in epoch seconds."""
    found: list[tuple[str, str | None]] = [
        ("architecture", _joined(about.architecture, about.model_type, about.quantization)),
        ("parameters", parameters(about)),
        ("memory", needs(about)),
        ("pickled", f"{', '.join(about.pickled)}: not read" if about.pickled else None),
        ("not read", ". ".join(about.unread)),
        ("license", about.license),
        ("size", f"{units.size(about.size)}, on disk {units.size(about.size_on_disk)}"),
        ("complete", completeness(about)),
        ("missing", missing(about)),
        *(("download", said) for said in _named(about.partials)),
        ("in RAM", warmth(about)),
        ("last used", used(about, now)),
    ]
    return [(label, text) for label, text in found if text]


def refs_of(refs: Sequence[str]) -> str:
    """`main, v1`; of very many the first and how many there are: `main, v1, …, 1,204 refs in all`."""
    shown = ", ".join([clean(ref, 60) for ref in refs[:_REFS]])
    return f"{shown}, …, {len(refs):,} refs in all" if len(refs) > _REFS else shown


def _joined(*words: str | None) -> str | None:
    return ", ".join(word for word in words if word) or None


def count(number: int | None) -> str:
    """A number of parameters: `1.10 billion`, `22.7 million`; `?` for None."""
    if number is None:
        return units.UNKNOWN
    for factor, word in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= factor:
            return f"{number / factor:.3g} {word}"
    return f"{number:,}"


def parameters(about: About) -> str | None:
    """`22.7 million, F32`; `?` and why where there are weights of which it is not known; nothing without weights."""
    if about.parameters is not None:
        return _joined(count(about.parameters), *about.dtypes)
    if not about.weights:
        return None
    wrong = next((weights.problem for weights in about.weights if weights.chosen and weights.problem), None)
    variants = f"which of {len(about.weights)} variants is used is up to you"
    return f"{units.UNKNOWN} ({(wrong or variants).rstrip('.')})"


def needs(about: About) -> str | None:
    """`needs 2.05 GiB VRAM as stored, 12.3 GiB free on GPU 0`."""
    if about.memory is None:
        return units.UNKNOWN if about.weights else None
    free = [f"{units.memory(gpu.free)} free on GPU {gpu.index}" for gpu in about.gpu_free]
    said = ", ".join([f"needs {units.memory(about.memory)} VRAM as stored", *free])
    return f"{said}. {about.gpu_free_reason}" if about.gpu_free_reason and not free else said


def completeness(about: About) -> str | None:
    """`11 of 12 files, 4.90 GB missing`; `?` where the Hub's list of files is not there."""
    revision = next((each for each in about.revisions if each.commit == about.revision), None)
    if revision is None:
        return None
    lost = len(revision.missing)
    if about.files_expected is None:
        return f"{units.many(lost, 'file')} missing" if lost else f"{units.UNKNOWN} (no list of its files is kept here)"
    if not lost:
        return "yes, its only file" if about.files_expected == 1 else f"yes, all {about.files_expected:,} files"
    there, size = about.files_expected - lost, units.size(about.missing_size)
    return f"{there:,} of {units.many(about.files_expected, 'file')}, {size} missing"


def missing(about: About) -> str | None:
    """The names of the missing files of the described revision, the first few."""
    revision = next((each for each in about.revisions if each.commit == about.revision), None)
    names = revision.missing if revision is not None else ()
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more or None


def downloads(partials: Sequence[Partial]) -> list[str]:
    """Running and left ones: `downloading 4 files, 120 MB of 1.20 GB (pid 4711)`, `cut off at 1.20 MB of 5.00 MB`."""
    found = []
    for live in (True, False, None):
        same = [partial for partial in partials if partial.live is live]
        if not same:
            continue
        amount = units.size(sum(partial.bytes for partial in same))
        expected = [partial.expected for partial in same]
        if None not in expected:
            amount += f" of {units.size(sum(filter(None, expected)))}"
        several = f"{units.many(len(same), 'file')}" if len(same) > 1 else ""
        if live:
            pids = sorted({partial.pid for partial in same if partial.pid is not None})
            who = f" ({'pid' if len(pids) == 1 else 'pids'} {', '.join(map(str, pids))})" if pids else ""
            found.append(f"downloading {several + ', ' if several else ''}{amount}{who}")
        elif live is False:
            found.append(f"{several + ' ' if several else ''}cut off at {amount}")
        else:
            found.append(f"{several + ' ' if several else ''}unfinished, {amount}")
    return found


def _named(partials: Sequence[Partial]) -> list[str]:
    """The same with the names of the files, of few."""
    if len(partials) > _FEW:
        return downloads(partials)
    named = sorted(((one.file or one.blob, one) for one in partials), key=lambda pair: pair[0])
    return [f"{name}: {downloads([one])[0]}" for name, one in named]


def warmth(about: About) -> str:
    """`41.9 MB of 41.9 MB`: how much of the described revision is in RAM."""
    size = next((each.size for each in about.revisions if each.commit == about.revision), None)
    return units.UNKNOWN if about.resident is None else f"{units.size(about.resident)} of {units.size(size)}"


def used(about: About, now: float) -> str:
    """How long ago it was read last, how exact that is, or why it is not known."""
    if about.last_used is None:
        said = about.last_used_reason or units.UNKNOWN
    else:
        said = "now" if now - about.last_used < 5 else f"{units.age(about.last_used, now)} ago"
        if about.access_times == "relatime":
            said += ", to a day (relatime)"
    return f"{said}; this look at another user's files may have moved it" if about.access_times_moved else said


def checked(found: Verification) -> str:
    """`18 sound (14 of them checked earlier), 1 damaged. 3.30 MB read in 10 ms.`"""
    before = f" ({found.remembered:,} of them checked earlier)" if found.remembered else ""
    counts = {
        "damaged": found.damaged,
        "unreadable": found.unreadable,
        "that cannot be checked offline": found.unchecked,
        "removed meanwhile": found.removed,
    }
    parts = [f"{found.sound:,} sound{before}", *(f"{count:,} {word}" for word, count in counts.items() if count)]
    return f"{', '.join(parts)}. {units.size(found.bytes)} read in {units.duration(found.seconds)}."


def moved(outcome: Outcome) -> str:
    """`org/name: 41.9 MB of 41.9 MB in RAM, before 0 B.`: what warming or dropping did."""
    was, now = units.size(outcome.before), units.size(outcome.after)
    said = f"{outcome.repo}: {now} of {units.size(outcome.size)} in RAM, before {was}."
    if outcome.skipped:
        few = "1 file is" if outcome.skipped == 1 else f"{outcome.skipped:,} files are"
        said += f" {few} not yours, changed meanwhile or cannot be read, and stayed as before."
    return said
