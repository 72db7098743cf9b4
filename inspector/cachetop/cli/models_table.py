"""The lines of `cachetop models` for people: a row for each repo or revision, what is wrong, totals, where that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.cli.models_show import wrong
from cachetop.cli.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachetop.hub.records import Models, Partial, Repo, Revision, Root

_REPOS = ("REPO", "TYPE", "REVISIONS", "REFS", "SIZE", "IN RAM", "USED", "MODIFIED", "REMARKS")
_REVISIONS = ("REPO", "TYPE", "REVISION", "REFS", "SIZE", "FREES", "FILES", "REMARKS")
_REFS = 2
"""Refs that a repo's row names; of the others it says how many."""


def names(repos: Sequence[Repo], revisions: bool) -> Iterator[str]:
    """`TYPE/REPO`, or `TYPE/REPO@COMMIT` of each of its revisions, for another program's command line."""
    for repo in repos:
        name = f"{repo.type}/{repo.id}"
        if revisions:
            yield from (clean(f"{name}@{revision.commit}") for revision in repo.revisions)
        else:
            yield clean(name)


def report(models: Models, total: int, revisions: bool = False) -> list[str]:
    """The lines; `total`: repos in all, of which those of `models` are shown. `revisions`: a row for each of them."""
    lines: list[str] = []
    if models.repos and revisions:
        rows = [_revision(repo, one, models.roots) for repo in models.repos for one in repo.revisions]
        lines = table(_REVISIONS, rows, "<<<<>>><")
    elif models.repos:
        lines = table(_REPOS, [_row(repo, models.roots) for repo in models.repos], "<<><>>>><")
    problems = [(f"{repo.id}: ", problem) for repo in models.repos for problem in repo.problems]
    problems += [("", problem) for problem in models.problems]
    if problems:
        lines += ["", "Problems", *(line for whose, problem in problems for line in wrong(problem, whose))]
    if lines:
        lines.append("")
    if total:
        filtered = "" if len(models.repos) == total else f"{len(models.repos)} shown of "
        repos = "1 repo" if total == 1 else f"{total} repos"
        lines.append(f"{filtered}{repos}, {units.size(models.size)}, on disk {units.size(models.size_on_disk)}")
    lines += [_where(root.path, root.reason, root.exists, root.problem, total) for root in models.roots]
    if models.beside:
        rows = [(row.kind, units.size(row.size), row.path, row.problem or row.reason) for row in models.beside]
        lines += ["", *table(("BESIDE THE HUB", "SIZE", "PATH", ""), rows, "<><<")]
    return lines


def _where(path: str, reason: str, exists: bool, problem: str | None, total: int) -> str:
    if problem:
        return problem
    if total:
        return f"In {path} ({reason})."
    state = "holds no repos" if exists else "is not there yet"
    return (
        f"No models: {path} {state} ({reason}). "
        "Whatever huggingface_hub, transformers or docling download will appear there."
    )


def _row(repo: Repo, roots: Sequence[Root]) -> tuple[str, ...]:
    return (
        repo.id,
        repo.type,
        str(len(repo.revisions)),
        _refs([ref for revision in repo.revisions for ref in revision.refs]),
        units.size(repo.size),
        _warm(repo),
        units.age(repo.last_used),
        units.age(repo.last_modified),
        _remarks(repo, roots),
    )


def _refs(refs: Sequence[str]) -> str:
    """`main, v1.0 and 3 more`, main first."""
    ranked = sorted(refs, key=lambda ref: (ref != "main", ref))
    more = len(ranked) - _REFS
    return ", ".join(ranked[:_REFS]) + (f" and {more} more" if more > 0 else "")


def _revision(repo: Repo, revision: Revision, roots: Sequence[Root]) -> tuple[str, ...]:
    remarks = [f"in {repo.root}"] if roots and repo.root != roots[0].path else []
    if revision.complete is False:
        remarks.append(_missing(len(revision.missing)))
    if revision.detached:
        remarks.append("superseded" if revision.superseded else "detached")
    return (
        repo.id,
        repo.type,
        revision.commit,
        ", ".join(revision.refs),
        units.size(revision.size),
        units.size(revision.reclaimable),
        str(len(revision.files)),
        ", ".join(remarks),
    )


def _missing(count: int) -> str:
    return "1 file missing" if count == 1 else f"{count} files missing"


def _warm(repo: Repo) -> str:
    """The share of the repo's bytes that is in RAM; unknown when it is for any of its files."""
    from cachetop.hub.choose import resident

    found = resident(repo)
    if found is None:
        return units.UNKNOWN
    return f"{100 * found[0] / found[1]:.0f} %" if found[1] else "0 %"


def _remarks(repo: Repo, roots: Sequence[Root]) -> str:
    found = [f"in {repo.root}"] if roots and repo.root != roots[0].path else []
    found += [_partial(partial) for partial in repo.partials]
    missing = sum(len(revision.missing) for revision in repo.revisions if revision.complete is False)
    if missing:
        found.append(_missing(missing))
    detached = sum(revision.detached for revision in repo.revisions)
    if detached:
        found.append(f"{detached} detached")
    if not (repo.revisions or repo.partials or repo.problems):
        found.append("nothing downloaded")
    if repo.problems:
        found.append("1 problem" if len(repo.problems) == 1 else f"{len(repo.problems)} problems")
    return ", ".join(found)


def _partial(partial: Partial) -> str:
    amount = units.size(partial.bytes)
    if partial.expected is not None:
        amount += f" of {units.size(partial.expected)}"
    if partial.live:
        return f"downloading {amount}" + (f" (pid {partial.pid})" if partial.pid is not None else "")
    return f"cut off at {amount}" if partial.live is False else f"unfinished, {amount}"
