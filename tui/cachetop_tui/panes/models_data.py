"""What the models pane works out from a snapshot: order, shares in RAM, states, rates of downloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpus
from cachetop.hub import choose
from cachetop.hub.records import Models, Repo, Revision
from cachetop_tui.panes import model_files

_AHEAD = 3


def key_of(repo: Repo) -> str:
    """What tells this repo from every other one."""
    return f"{repo.root}\0{repo.type}\0{repo.id}"


def on_disk(repo: Repo) -> int:
    """Bytes of `repo` with those of its downloads so far, which `repo.size` leaves out as the Hub does."""
    return repo.size + sum(partial.bytes for partial in repo.partials)


@dataclass(frozen=True, slots=True)
class State:
    """The state of a repo or revision in one glyph, its token, and a word for it (empty when all is well)."""

    glyph: str
    token: str
    word: str


def repo_state(repo: Repo) -> State:
    """What is to be said about a repo: a running download first, then damage, then what could go."""
    if repo.downloading:
        more = sum(len(revision.missing) for revision in repo.revisions) - sum(1 for one in repo.partials if one.live)
        return State("▼", "live", f"{more} more to come" if more > 0 else "")
    incomplete = [revision for revision in repo.revisions if revision.complete is False]
    wrong = [problem for problem in repo.problems if problem.rule != "no-snapshots" or not repo.partials]
    if wrong:
        return State("✗", "err", clean(wrong[0].rule, 40))
    if repo.partials and not repo.revisions:
        return State("✗", "err", "dead partial" if repo.partials[0].live is False else "partial")
    if incomplete:
        dead = any(partial.live is False for partial in repo.partials)
        return State("✗", "err", "incomplete, dead partial" if dead else "incomplete")
    if repo.partials:
        dead = all(partial.live is False for partial in repo.partials)
        return State("▲", "warn", "dead partial" if dead else "partial")
    detached = sum(revision.detached for revision in repo.revisions)
    if detached:
        return State("▲", "warn", f"{detached} revision{'s' if detached > 1 else ''} detached")
    if not repo.revisions:
        return State("·", "dim", "nothing downloaded")
    if any(revision.complete is None for revision in repo.revisions):
        return State("·", "dim", "")
    return State("●", "ok", "")


def revision_state(revision: Revision) -> State:
    """What is to be said about one revision."""
    if revision.complete is False:
        missing = len(revision.missing)
        return State("", "err", f"{missing} file{'s' if missing > 1 else ''} missing" if missing else "incomplete")
    return State("", "warn", "detached") if revision.detached else State("", "dim", "")


def holders(gpus: Gpus | None) -> dict[str, tuple[int, ...]]:
    """Repo id -> indices of the GPUs on which some process holds it."""
    found: dict[str, set[int]] = {}
    for gpu in gpus.gpus if gpus else ():
        for process in gpu.processes:
            for model in process.models:
                found.setdefault(model.repo, set()).add(gpu.index)
    return {repo: tuple(sorted(indices)) for repo, indices in found.items()}


def in_order(ranked: Iterable[tuple[str, Repo]], held: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The keys of the repos, which come with them, the biggest first: those in use go before the others."""
    busy: list[str] = []
    idle: list[str] = []
    for key, repo in ranked:
        used = repo.id in held or repo.downloading
        (busy if used else idle).append(key)
    return busy + idle


@dataclass(frozen=True, slots=True)
class Summary:
    """A snapshot sorted and counted. With thousands of repos that takes longer than the event loop may be held."""

    models: Models
    ranked: tuple[tuple[str, Repo], ...]
    """Every repo with its key, the biggest first."""
    kinds: tuple[tuple[str, int, tuple[Repo, ...]], ...]
    """(type, bytes on disk, its repos), the types by name, the biggest repos first."""
    size: int
    """Bytes on disk, with those of downloads so far."""
    warm: int | None
    """Bytes in RAM of all repos; None until they were looked at."""
    files: model_files.Known
    """What lies in the large revisions."""


@dataclass(slots=True)
class Totals:
    """Bytes in RAM of each repo, remembered so that a new snapshot costs what changed.

    The feed's thread asks for each `summary` first, so that the event loop finds it made.
    """

    _known: dict[str, tuple[tuple[Repo, tuple[int, int] | None], ...]] = field(default_factory=dict)
    """By key the newest records of a repo, each with what `part` says of it."""
    _made: list[Summary] = field(default_factory=list)
    """The newest summaries: the feed may be some snapshots ahead."""

    def part(self, repo: Repo) -> tuple[int, int] | None:
        """Bytes of `repo` in RAM and all its bytes, None where not known."""
        key = key_of(repo)
        known = self._known.get(key, ())
        for one, part in known:
            if one is repo:
                return part
        part = choose.resident(repo)
        self._known[key] = (*known[1 - _AHEAD :], (repo, part))
        return part

    def newest(self, repo: Repo) -> int | None:
        """Bytes of `repo` in RAM as last measured, whichever record of it this is; None where not known."""
        known = self._known.get(key_of(repo))
        part = known[-1][1] if known else None
        return None if part is None else part[0]

    def summary(self, models: Models) -> Summary:
        """The snapshot sorted and counted."""
        made = next((one for one in self._made if one.models is models), None)
        if made is None:
            keys = {key_of(repo) for repo in models.repos}
            for gone in self._known.keys() - keys:
                self._known.pop(gone, None)
            made = self._summarize(models)
            self._made = [*self._made[1 - _AHEAD :], made]
        return made

    def _summarize(self, models: Models) -> Summary:
        sizes = [(-on_disk(repo), repo.id, key_of(repo), repo) for repo in models.repos]
        sizes.sort(key=lambda one: one[:3])
        kinds: dict[str, list[Repo]] = {}
        sums: dict[str, int] = {}
        for _, _, _, repo in sizes:
            kinds.setdefault(repo.type, []).append(repo)
            partly = sum(partial.bytes for partial in repo.partials)
            sums[repo.type] = sums.get(repo.type, models.size_by_type.get(repo.type, 0)) + partly
            self.part(repo)  # worked out here, where nobody waits
        ranked = tuple((key, repo) for _, _, key, repo in sizes)
        return Summary(
            models,
            ranked,
            tuple((kind, sums[kind], tuple(kinds[kind])) for kind in sorted(kinds)),
            models.size + sum(partial.bytes for repo in models.repos for partial in repo.partials),
            models.resident,
            model_files.prepared(ranked, self._made[-1].files if self._made else {}),
        )
