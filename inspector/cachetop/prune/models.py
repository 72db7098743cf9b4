"""A plan for a hub cache: whole repos, single revisions, dead partial downloads, and the shared store behind them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.hub import layout
from cachetop.hub.known import Known
from cachetop.hub.records import Models, Repo, Revision
from cachetop.hub.scan import Scanner
from cachetop.locations import token_files
from cachetop.prune import references
from cachetop.prune.draft import Drafting
from cachetop.prune.records import Rebuild
from cachetop.prune.selection import Selection
from cachetop.prune.subjects import Subject, meant, names_of, shared, size_of
from cachetop.prune.tree import Measured, measure, opened
from cachetop.prune.words import words
from cachetop.prune.work import Move, Work, move

_UNFINISHED = 60.0
"""Seconds after its last change for which a repo with missing files counts as being downloaded."""


def draft(models: Models, scanner: Scanner, chosen: Sequence[Selection], into: Drafting) -> None:
    """Add what any of `chosen` means to a draft. `models` is the newest picture of `scanner`, with detail.

    All at once, because a blob goes only when everything goes that names it.
    """
    subjects: dict[Subject, list[Selection]] = {}
    planner = _Planner(models, scanner, subjects, into)
    for one in chosen:
        found, missing = meant(models, one, into.now, planner.stays, lambda subject: shared(subject, scanner))
        into.missing += missing
        for subject in found:
            subjects.setdefault(subject, []).append(one)
    by_root: dict[str, list[Subject]] = {}
    for subject in subjects:
        known = scanner.find(subject.repo)
        if known is not None:
            by_root.setdefault(known.root, []).append(subject)
    for root, members in by_root.items():
        with into.root(root) as at:
            if at is not None:
                planner.plan(root, at, members)


class _Planner:
    def __init__(
        self, models: Models, scanner: Scanner, chosen: Mapping[Subject, Sequence[Selection]], into: Drafting
    ) -> None:
        self.models = models
        self.scanner = scanner
        self.chosen = chosen
        self.into = into
        self._tokens = [os.path.realpath(path) for path in token_files() if os.path.lexists(path)]

    def plan(self, root: str, at: int, subjects: list[Subject]) -> None:
        """Plan what goes of one cache root, then the payloads that nobody names any more."""
        works: list[tuple[Work, set[str]]] = []
        repos = list(dict.fromkeys(one.repo for one in subjects))
        for repo in in_turns(repos):
            known = self.scanner.find(repo)
            members = [] if known is None else self._free(repo, known, [one for one in subjects if one.repo == repo])
            if known is None or not members:
                continue
            try:
                works += self._repo(root, at, repo, known, members)
            except OSError as error:
                self._block(repo, known, members, f"it could not be looked at: {words(error)}")
        self._payloads(root, at, works)
        for work, _ in works:
            self.into.add(work)

    def stays(self, one: Subject) -> bool:
        """Whether something keeps a subject that was asked for, were it alone."""
        known = self.scanner.find(one.repo)
        if known is None or self.into.keeps(*names_of(one.repo)):
            return True
        if one.partial is None and self._hindrance(one.repo, known)[0]:
            return True
        try:
            with self.into.root(known.root) as at:
                if at is None:
                    return True
                works = self._repo(known.root, at, one.repo, known, [one])
                self._payloads(known.root, at, works)
                return any(self.into.obstacle(work) for work, _ in works)
        except OSError:
            return True

    def _free(self, repo: Repo, known: Known, members: list[Subject]) -> list[Subject]:
        """Those that neither the keep list nor a download keeps. A dead partial may go beside a live one."""
        path = clean(os.path.join(known.root, known.folder))
        if self.into.kept(path, sum(size_of(one) for one in members), *names_of(repo)):
            return []
        dead = [one for one in members if one.partial is not None]
        others = [one for one in members if one.partial is None]
        reason, pids = self._hindrance(repo, known) if others else (None, [])
        if reason is None:
            return members
        self._block(repo, known, others, reason, pids)
        return dead

    def _hindrance(self, repo: Repo, known: Known) -> tuple[str | None, list[int]]:
        """What says that a repo is being downloaded into, or holds a token; and the processes that do it."""
        for token in self._tokens:
            if known.folder in token and token.startswith(f"{os.path.realpath(known.root)}/{known.folder}/"):
                return "your login token lies in it: move that elsewhere, and HF_TOKEN_PATH with it", []
        live = [part for part in repo.partials if part.live is not False]
        if live:
            pids = [part.pid for part in live if part.pid is not None]
            sure = any(part.live for part in live)
            what = "downloading: its lock is held" if sure else "it may be downloading: its file system cannot tell"
            return what + (f" by pid {pids[0]}" if pids else ""), pids
        missing = sum(len(revision.missing) for revision in repo.revisions if revision.complete is False)
        if missing and self.into.now - _newest(known) < _UNFINISHED:
            what = "1 of its files has" if missing == 1 else f"{missing} of its files have"
            return f"downloading: {what} still to come, and it changed less than a minute ago", []
        return None, []

    def _block(
        self, repo: Repo, known: Known, members: list[Subject], reason: str, pids: list[int] | None = None
    ) -> None:
        path = os.path.join(known.root, known.folder)
        for one in members:
            self.into.block(clean(path), one.key, size_of(one), reason, pids or (), named=self._is_named([one]))

    def _repo(
        self, root: str, at: int, repo: Repo, known: Known, members: list[Subject]
    ) -> list[tuple[Work, set[str]]]:
        """The work for one repo, each with the blobs that go with it."""
        partials = [one for one in members if one.partial]
        commits = {clean(each.commit): each.commit for each in known.contents.snapshots}
        going = [commits[one.revision.commit] for one in members if one.revision and one.revision.commit in commits]
        with opened((known.folder,), at) as folder:
            there = references.snapshots(folder)
            asked = any(one.revision is None and one.partial is None for one in members)
            if asked or (going and set(there) <= set(going)):
                return [self._whole(root, at, folder, repo, known, members)]
            spelled = references.spellings(root)
            named = {commit: references.named_blobs(folder, known.folder, commit, spelled) for commit in there}
            left = set().union(*[blobs for commit, blobs in named.items() if commit not in going])
            works = []
            for number, commit in enumerate(going):
                later = set().union(*[named[other] for other in going[number + 1 :]])
                blobs = named[commit] - left - later
                one = next(one for one in members if one.revision and commits.get(one.revision.commit) == commit)
                works.append((self._revision(root, at, folder, known, one, commit, blobs, named[commit]), blobs))
            # last: a revision goes only if its repo is as it was, and a partial changes it
            return works + [(self._partial(root, at, known, one), set()) for one in partials]

    def _whole(
        self, root: str, at: int, folder: int, repo: Repo, known: Known, members: list[Subject]
    ) -> tuple[Work, set[str]]:
        measured = measure(known.folder, at, self.into.users)
        blobs: set[str] = set()
        with contextlib.suppress(FileNotFoundError), opened(("blobs",), folder) as inner:
            blobs = set(os.listdir(inner))
        revisions = [one for one in members if one.revision]
        reasons = self._reasons(repo, [one for one in members if not one.revision] or members)
        if revisions:
            reasons += (f"all its revisions go ({len(revisions)})",)
        path = clean(os.path.join(root, known.folder))
        work = Work(
            item=self.into.item(
                kind="repo", key=repo.id, path=path, measured=measured, reasons=reasons or ("asked for",),
                rebuild=Rebuild(download=repo.size),
            ),
            moves=[move(root, (), known.folder, at, "repo")],
            measured=measured,
            repo=known.folder,
            marks=references.marks(at, known.folder),
            names=frozenset(f"{known.folder}/blobs/{blob}" for blob in blobs),
            named=self._is_named(members),
        )  # fmt: skip
        return work, blobs

    def _revision(
        self,
        root: str,
        at: int,
        folder: int,
        known: Known,
        one: Subject,
        commit: str,
        blobs: set[str],
        named: set[str],
    ) -> Work:
        assert one.revision is not None
        top = (known.folder,)
        measured = Measured()
        moves: list[Move] = []

        def take(parents: tuple[str, ...], name: str, role: str) -> None:
            with contextlib.suppress(FileNotFoundError), opened(parents, folder) as inner:
                moves.append(move(root, top + parents, name, inner, role))
                measure(name, inner, self.into.users, measured)

        for ref in references.refs_to(folder, commit):
            take(ref[:-1], ref[-1], "ref")
        take(("snapshots",), commit, "snapshot")
        take(("trees",), f"{commit}.json", "list")
        take((".no_exist",), commit, "list")
        for blob in in_turns(sorted(blobs), 8):
            take(("blobs",), blob, "blob")
        refs = " ".join(one.revision.refs)
        what = f"at {refs}" if refs else "detached: no ref names it"
        if one.revision.superseded:
            what = "superseded: no ref names it, and one names a newer download of the repo"
        reasons = (*self._reasons(one.repo, [one]), what)
        return Work(
            item=self.into.item(
                kind="revision", key=one.key, path=clean(os.path.join(root, known.folder, "snapshots", commit)),
                measured=measured, reasons=reasons, rebuild=Rebuild(download=_download(one.revision, blobs, known)),
            ),
            moves=moves,
            measured=measured,
            repo=known.folder,
            marks=references.marks(at, known.folder),
            commit=commit,
            names=frozenset(f"{known.folder}/blobs/{blob}" for blob in named),
            named=self._is_named([one]),
        )  # fmt: skip

    def _partial(self, root: str, at: int, known: Known, one: Subject) -> Work:
        assert one.partial is not None
        name = next(name for name in known.contents.partials if clean(name) == one.partial.blob)
        with opened((known.folder, "blobs"), at) as inner:
            measured = measure(name, inner, self.into.users)
            moves = [move(root, (known.folder, "blobs"), name, inner, "partial")]
        reason = "dead partial download: nobody holds its lock"
        return Work(
            item=self.into.item(
                kind="partial", key=one.key, path=clean(os.path.join(root, known.folder, "blobs", name)),
                measured=measured, reasons=(reason,),
                rebuild=Rebuild(download=0, note="it would not be resumed: the download starts from 0 either way"),
            ),
            moves=moves,
            measured=measured,
            repo=known.folder,
            marks=(),
        )  # fmt: skip

    def _is_named(self, members: Sequence[Subject]) -> bool:
        return any(one.names for member in members for one in self.chosen.get(member, ()))

    def _reasons(self, repo: Repo, members: Sequence[Subject]) -> tuple[str, ...]:
        found = []
        for one in (one for member in members for one in self.chosen.get(member, ())):
            if one.older_than is not None:
                found.append(f"last used {units.age(repo.last_used)} ago")
            if one.max_size is not None:
                found.append(f"least recently used beyond {units.size(one.max_size)}")
        return tuple(dict.fromkeys(found))

    def _payloads(self, root: str, at: int, works: list[tuple[Work, set[str]]]) -> None:
        """Payloads of the shared store go with the last item that names them, when nothing else does."""
        users: dict[str, set[str]] = {}
        for repo in self.models.repos:
            known = self.scanner.find(repo)
            if known is not None and known.root == root:
                for name, blob in known.contents.blobs.items():
                    if blob.stored:
                        users.setdefault(blob.stored, set()).add(f"{known.folder}/blobs/{name}")
        going = {f"{work.repo}/blobs/{blob}" for work, blobs in works for blob in blobs}
        for payload, named in users.items():
            last = next(
                (
                    work
                    for work, blobs in reversed(works)
                    if any(f"{work.repo}/blobs/{blob}" in named for blob in blobs)
                ),
                None,
            )
            if last is None or not named <= going:
                continue
            prefix, name = payload.split("/")
            with contextlib.suppress(OSError), opened((layout.STORE, prefix), at) as inner:
                found = [move(root, (layout.STORE, prefix), name, inner, "payload")]
                measure(name, inner, self.into.users, last.measured)
                with contextlib.suppress(FileNotFoundError):
                    found.append(move(root, (layout.STORE, prefix), f"{name}.refs", inner, "manifest"))
                    measure(f"{name}.refs", inner, self.into.users, last.measured)
                last.moves += found
                last.referrers[payload] = tuple(sorted(named))
        for work, _ in works:
            if work.referrers:
                work.item = self.into.item(
                    kind=work.item.kind, key=work.item.key, path=work.item.path, measured=work.measured,
                    reasons=work.item.reasons, rebuild=work.item.rebuild,
                )  # fmt: skip


def _newest(known: Known) -> float:
    return max([modified for _, _, modified in known.contents.marks], default=0.0)


def _download(revision: Revision, blobs: set[str], known: Known) -> int:
    """Bytes to fetch again: of the blobs that go, and of files kept without a blob."""
    sizes = {file.blob: file.size for file in revision.files if file.blob is not None}
    kept = sum(file.size for file in revision.files if file.blob is None)
    return kept + sum(size for blob, size in sizes.items() if known.contents.keys.get(blob or "", blob) in blobs)
