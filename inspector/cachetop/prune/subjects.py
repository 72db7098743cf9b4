"""What of a hub cache a selection means: repos, revisions of them, dead partial downloads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from cachetop.hub import choose, layout
from cachetop.hub.records import Models, Partial, Repo, Revision
from cachetop.hub.scan import Scanner
from cachetop.prune.selection import Candidate, Selection, narrow


@dataclass(frozen=True, slots=True)
class Subject:
    """A repo, or one revision or partial download of it."""

    repo: Repo
    revision: Revision | None = None
    partial: Partial | None = None

    @property
    def key(self) -> str:
        """`org/name`, `org/name@commit`, or the partial's own name."""
        if self.partial is not None:
            return self.partial.blob
        return f"{self.repo.id}@{self.revision.commit}" if self.revision else self.repo.id


def _of_repo(getter: Callable[[Repo], Any]) -> Callable[[Subject], Any]:
    return lambda one: getter(one.repo)


FILTERS: dict[str, tuple[str, Callable[[Subject], Any]]] = {
    **{key: (kind, _of_repo(getter)) for key, (kind, getter) in choose.FILTERS.items()},
    "size": ("size", lambda one: one.revision.size if one.revision else one.repo.size),
    "reclaimable": ("size", lambda one: one.revision.reclaimable if one.revision else one.repo.reclaimable),
    "refs": ("text", lambda one: one.revision.refs if one.revision else choose.refs(one.repo)),
}
"""The keys of the listing. Of a revision only its own sizes and refs are compared, else what its repo says."""


def meant(
    models: Models,
    chosen: Selection,
    now: float | None = None,
    stays: Callable[[Subject], bool] = lambda _: False,
    shared: Callable[[Subject], dict[Hashable, int]] = lambda _: {},
) -> tuple[list[Subject], list[str]]:
    """What a selection means, and the names that are in no cache. Raises ValueError for a bad filter.

    Of what `stays` whatever is decided here, a budget takes the next one as well. `shared` says what of a subject
    others may hold too, which a budget counts once: inode -> bytes.
    """
    subjects: list[Subject] = []
    missing: list[str] = []
    if chosen.names:
        for name in chosen.names:
            found = _named(models, name)
            subjects += found
            if not found:
                missing.append(name)
    else:
        subjects = [Subject(repo) for repo in models.repos]
    subjects = [one for one in dict.fromkeys(subjects) if not chosen.roots or one.repo.root in chosen.roots]
    if chosen.incomplete:
        subjects = [
            Subject(one.repo, None, part) for one in subjects for part in one.repo.partials if part.live is False
        ]
        subjects = [] if chosen.detached or chosen.superseded else list(dict.fromkeys(subjects))
    elif chosen.detached or chosen.superseded:
        revisions = [Subject(one.repo, each) for one in subjects
                     for each in ([one.revision] if one.revision else one.repo.revisions)
                     if each.superseded or (each.detached and not chosen.superseded)]  # fmt: skip
        subjects = list(dict.fromkeys(revisions))
    candidates = [
        Candidate(
            one,
            f"{one.repo.type}/{one.key}",
            one.repo.last_used,
            one.repo.last_modified,
            size_of(one),
            shared(one) if chosen.max_size is not None else {},
        )
        for one in subjects
    ]
    left = narrow(candidates, chosen, FILTERS, now, stays)
    return [one.subject for one in left], missing


def names_of(repo: Repo) -> tuple[str, ...]:
    """How a repo may be called: `org/name`, `model/org/name`, `models/org/name`."""
    return repo.id, f"{repo.type}/{repo.id}", f"{layout.FOLDERS[repo.type]}/{repo.id}"


def size_of(one: Subject) -> int:
    if one.partial is not None:
        return one.partial.bytes
    return one.revision.size_on_disk if one.revision else one.repo.size_on_disk


def shared(one: Subject, scanner: Scanner) -> dict[Hashable, int]:
    """Inode -> bytes of what other repos or revisions may hold too: payloads of the shared store, hard links, blobs."""
    known = scanner.find(one.repo)
    if known is None or one.partial is not None:
        return {}
    blobs = known.contents.blobs
    if one.revision is None:
        found = [blob for blob in blobs.values() if blob.stored or blob.links > 1]
    else:
        keys = known.contents.keys
        found = [blobs[name] for file in one.revision.files if (name := keys.get(file.blob or "", file.blob)) in blobs]
    return {(blob.device, blob.inode): blob.disk for blob in found}


def _named(models: Models, name: str) -> list[Subject]:
    """`org/name`, `model/org/name`, either with `@commit` (or its beginning) or `@ref`."""
    wanted, at, revision = name.partition("@")
    found = []
    for repo in models.repos:
        if wanted not in names_of(repo):
            continue
        if not at:
            found.append(Subject(repo))
            continue
        found += [Subject(repo, each) for each in choose.named(repo, revision)]
    return found
