"""What could go, at a glance: the usual selections with the most that each could free, out of pictures at hand.

A plan looks at every file afresh and asks who uses it; this only adds up what is known already, cheaply enough for
every change. So the bytes are a bound: what is in use, has another name elsewhere or belongs to somebody else stays.
The lists that go with a revision (`trees/`, `.no_exist/`), a few KB each, are not in the picture and not counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cachetop.hub.records import Models, Repo, Revision
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.prune.kernels import names_of as names_of_entry
from cachetop.prune.selection import Selection, kept_by
from cachetop.prune.subjects import Subject, meant, names_of

UNUSED_DAYS = 30
DETACHED = Selection("models", detached=True)
PARTIALS = Selection("models", incomplete=True)
UNUSED = Selection("models", older_than=UNUSED_DAYS * 86400.0)
STALE = Selection("kernels", stale=True)


@dataclass(frozen=True, slots=True)
class Prospect:
    """One selection, how many things it means, and the most bytes that a plan for it could free.

    Both are None while the first scan is still going on, and for what is unused where no access time tells.
    """

    name: str
    """detached, partials, unused or stale."""
    selection: Selection
    count: int | None
    size: int | None


def of_models(models: Models | None, keep: Sequence[str] = (), now: float | None = None) -> tuple[Prospect, ...]:
    """Detached revisions, dead partials and repos without use; without what the globs in `keep` protect."""
    presets = {"detached": DETACHED, "partials": PARTIALS, "unused": UNUSED}
    if models is None or models.scanning:
        return tuple(Prospect(name, one, None, None) for name, one in presets.items())
    moment = time.time() if now is None else now
    out = []
    for name, chosen in presets.items():
        found = meant(models, chosen, moment)[0]
        subjects = [one for one in found if not (keep and kept_by(keep, *names_of(one.repo)))]
        if name == "unused" and not subjects and any(one.revisions and one.last_used is None for one in models.repos):
            out.append(Prospect(name, chosen, None, None))
            continue
        out.append(Prospect(name, chosen, len(subjects), _size(subjects)))
    return tuple(out)


def of_kernels(kernels: Kernels | None, keep: Sequence[str] = ()) -> Prospect:
    """The stale entries, without what the globs in `keep` protect."""
    if kernels is None or kernels.scanning:
        return Prospect("stale", STALE, None, None)
    entries: list[Entry] = [one for one in kernels.entries if one.stale]
    if keep:
        entries = [one for one in entries if not kept_by(keep, *filter(None, names_of_entry(one)))]
    return Prospect("stale", STALE, len(entries), sum(one.size_on_disk for one in entries))


def _size(subjects: Sequence[Subject]) -> int:
    """Bytes of all of them, a blob once, and none that a revision which stays needs too."""
    total = 0
    going: dict[tuple[str, str, str], tuple[Repo, list[Revision]]] = {}
    for one in subjects:
        if one.partial is not None:
            total += one.partial.bytes
        elif one.revision is None:
            total += one.repo.size_on_disk + sum(part.bytes for part in one.repo.partials)
        else:
            key = (one.repo.root, one.repo.type, one.repo.id)
            going.setdefault(key, (one.repo, []))[1].append(one.revision)
    for repo, revisions in going.values():
        commits = {one.commit for one in revisions}
        if len(commits) == len(repo.revisions):  # then the whole folder goes
            total += repo.size_on_disk + sum(part.bytes for part in repo.partials)
            continue
        stays = _blobs([one for one in repo.revisions if one.commit not in commits])
        total += sum(size for blob, size in _blobs(revisions).items() if blob not in stays)
    return total


def _blobs(revisions: Sequence[Revision]) -> dict[str | tuple[str, str], int]:
    """Allocated bytes of every file, by blob; a file kept without one by its revision and name."""
    return {
        one.blob if one.blob is not None else (revision.commit, one.name): one.size_on_disk
        for revision in revisions
        for one in revision.files
    }
