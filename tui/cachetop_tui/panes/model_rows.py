"""Which rows the models pane has: notes, the repos a filter keeps in their order, and what is unfolded below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cachetop.hub import choose
from cachetop.hub.rates import Rates
from cachetop.hub.records import Models, Partial, Repo
from cachetop_tui.finding import Place
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Row
from cachetop_tui.panes import model_files, names
from cachetop_tui.panes import models_data as data
from cachetop_tui.panes.notes import notes


@dataclass(slots=True)
class View:
    """What the pane shows besides the snapshot: folds, filter, order, and what other snapshots say."""

    unfolded: Mapping[str, bool] = field(default_factory=dict)
    filter: str = ""
    order: Sequence[str] = ()
    held: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    totals: data.Totals = field(default_factory=data.Totals)
    rates: Rates = field(default_factory=Rates)
    now: float | None = None
    others: frozenset[str] = frozenset()
    """The cache roots besides the first, whose repos say where they are."""
    chosen: Chosen | None = None
    """What `choose_repos` worked out last."""

    @property
    def files(self) -> model_files.Known:
        """What is known of the large revisions of what is shown."""
        return {} if self.chosen is None else self.totals.summary(self.chosen.models).files


@dataclass(frozen=True, slots=True)
class Chosen:
    """The repos to show for a snapshot, and what was asked for: a filter, a moment, an order."""

    models: Models
    asked: object
    repos: Sequence[tuple[str, Repo]]
    """With their keys, in order."""
    places: Mapping[str, int]
    """Where each key is in `repos`."""
    partly: frozenset[int]
    """The places of those with downloads."""
    wrong: str | None = None
    """What the filter line says that is no filter."""


def rows(models: Models | None, width: int, view: View) -> Sequence[Row]:
    """All rows: notes first, then each repo with what is unfolded below it."""
    out = Listing()
    if models is None:
        return out
    for root in models.roots:
        if root.problem:
            out.add(*notes(root.problem, width, "err"))
    chosen = choose_repos(models, view)
    if chosen.wrong:
        out.add(*notes(f"{chosen.wrong}.", width, "warn"))
    done = 0
    for place in sorted({*chosen.partly, *_open(chosen, view)}):
        out.run(chosen.repos[done:place], _folded, _key)
        _with_rows_below(out, *chosen.repos[place], view)
        done = place + 1
    out.run(chosen.repos[done:], _folded, _key)
    if not models.repos and not models.scanning:
        out.add(*_empty(models, width))
    elif models.repos and not chosen.repos:
        nothing = f"No repo has {view.filter!r}, by name or as a filter. Esc in the filter line clears it."
        out.add(*notes(nothing, width, "dim"))
    if not view.filter:
        out.add(*[Row(f"beside\0{row.path}", "beside", row) for row in models.beside if row.size or row.problem])
    return out


def choose_repos(models: Models, view: View) -> Chosen:
    """The repos to show, worked out once for a snapshot, a filter and an order."""
    asked = (view.filter, view.now, view.order)
    if view.chosen is None or view.chosen.models is not models or view.chosen.asked != asked:
        by_key = dict(view.totals.summary(models).ranked)
        repos = [(key, repo) for key in view.order or order(models, view) if (repo := by_key.get(key))]
        wrong = None
        if view.filter:
            search = _search(view)
            keep, wrong = search.keep, search.wrong
            repos = [(key, repo) for key, repo in repos if keep(repo)]
        places = {key: place for place, (key, _) in enumerate(repos)}
        partly = frozenset(place for place, (_, repo) in enumerate(repos) if repo.partials)
        view.chosen = Chosen(models, asked, repos, places, partly, wrong)
    return view.chosen


def _open(chosen: Chosen, view: View) -> list[int]:
    """The places of the repos that are unfolded."""
    return [chosen.places[key] for key, is_open in view.unfolded.items() if is_open and key in chosen.places]


def _key(one: tuple[str, Repo]) -> str:
    return one[0]


def _folded(one: tuple[str, Repo]) -> Row:
    key, repo = one
    return Row(key, "repo", repo, 0, False if repo.revisions else None)


def _with_rows_below(out: Listing, key: str, repo: Repo, view: View) -> None:
    """A repo that is unfolded, or is being downloaded, and what stands below it."""
    is_open = view.unfolded.get(key, False)
    out.add(Row(key, "repo", repo, 0, is_open if repo.revisions else None))
    for partial in repo.partials:
        if partial.live or is_open:
            out.add(Row(partial_key(key, partial), "partial", (repo, partial), 1, fixed=not is_open))
    if is_open:
        _below(out, repo, key, view)


def _search(view: View) -> choose.Search:
    return choose.search(view.filter, view.now, view.totals.part)


def order(models: Models, view: View) -> list[str]:
    """The keys of all repos in the order the filter line asks for, else what is in use and then the biggest first."""
    arrange = _search(view).arrange if view.filter else None
    if arrange:
        return [data.key_of(repo) for repo in arrange(models.repos)]
    return data.in_order(view.totals.summary(models).ranked, view.held)


def _below(out: Listing, repo: Repo, key: str, view: View) -> None:
    for revision in repo.revisions:
        mark = f"{key}\0{revision.commit}"
        is_open = view.unfolded.get(mark, len(repo.revisions) == 1)
        out.add(Row(mark, "revision", (repo, revision), 1, is_open))
        if is_open:
            model_files.add(out, model_files.folder(view.files, key, revision), mark, 2, view.unfolded)


def _empty(models: Models, width: int) -> list[Row]:
    if models.roots and all(root.problem for root in models.roots):
        return []  # that is all there is to say
    out = notes("No models here yet.", width, "fg")
    for root in models.roots:
        if root.problem:
            continue
        state = "is empty" if root.exists else "does not exist"
        out += notes(f"{names.home(root.path, str(Path.home()))} {state} ({root.reason}).", width, "dim")
    if not models.roots:
        out += notes("No cache folder is known to look in.", width, "dim")
    return out + notes("It fills when a program downloads a model, for example: hf download REPO", width, "dim")


def folded(models: Models, view: View) -> Iterator[Place]:
    """Everything below the repos that are shown, in the order in which it stands when all is unfolded."""
    files = view.files
    for key, repo in choose_repos(models, view).repos:
        for partial in repo.partials:
            yield Place(partial_key(key, partial), partial.file or partial.blob, (key,))
        for revision in repo.revisions:
            mark = f"{key}\0{revision.commit}"
            yield Place(mark, f"{' '.join(revision.refs)} {revision.commit}", (key,))
            yield from model_files.places(files, key, revision, mark, repo.id)


def partial_key(key: str, partial: Partial) -> str:
    """The key of the row of a download of the repo `key`."""
    return f"{key}\0partial\0{partial.blob}"
