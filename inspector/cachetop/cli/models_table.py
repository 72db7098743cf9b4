"""The lines of `cachetop models` for people: a row for each repo or revision, what is wrong, totals, where that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetop.base import cells, units
from cachetop.base.hostile import clean
from cachetop.cli.models_show import wrong
from cachetop.cli.table import room, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachetop.hub.records import Models, Repo, Revision, Root

_REPOS = ("REPO", "TYPE", "REVISIONS", "REFS", "SIZE", "IN RAM", "USED", "MODIFIED", "REMARKS")
_REVISIONS = ("REPO", "TYPE", "REVISION", "REFS", "SIZE", "FREES", "FILES", "REMARKS")
_DISPENSABLE = ("FILES", "MODIFIED", "REVISIONS", "TYPE", "REFS", "USED")
"""What goes first where a terminal is narrow."""
_NAME = 40
"""Cells of a repo's name that are worth more than those columns."""
_WIDE = 150
"""Cells of a terminal that has room for whole commits."""
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
        digits = 12 if room() < _WIDE else None
        rows = [_revision(repo, one, models.roots, digits) for repo in models.repos for one in repo.revisions]
        lines = _listing(_REVISIONS, rows, "<<<<>>><")
    elif models.repos:
        lines = _listing(_REPOS, [_row(repo, models.roots) for repo in models.repos], "<<><>>>><")
    problems = [(f"{repo.id}: ", problem) for repo in models.repos for problem in repo.problems]
    problems += [("", problem) for problem in models.problems]
    if problems:
        lines += ["", "Problems", *(line for whose, problem in problems for line in wrong(problem, whose))]
    if lines:
        lines.append("")
    if total:
        filtered = "" if len(models.repos) == total else f"{len(models.repos):,} shown of "
        size = f"{units.size(models.size)}, on disk {units.size(models.size_on_disk)}"
        lines.append(f"{filtered}{units.many(total, 'repo')}, {size}")
    lines += [_where(root.path, root.reason, root.exists, root.problem, total) for root in models.roots]
    if models.beside:
        rows = [(row.kind, units.size(row.size), row.path, row.problem or row.reason) for row in models.beside]
        lines += ["", *table(("BESIDE THE HUB", "SIZE", "PATH", ""), rows, "<><<")]
    return lines


def _listing(head: Sequence[str], rows: Sequence[tuple[str, ...]], right: str) -> list[str]:
    """A line for each of `rows`, whose last column are remarks. Where it would be too long, remarks go to lines of
    their own, and then columns go, so that names can be told apart."""
    wide = {
        name: max(map(cells.width, column)) for name, column in zip(head, zip(head, *rows, strict=True), strict=True)
    }
    shown = list(head)

    def too_long() -> bool:
        names = min(wide["REPO"], _NAME) - wide["REPO"] if "REMARKS" not in shown else 0
        return sum(wide[name] + 2 for name in shown) - 2 + names > room()

    for name in ("REMARKS", *_DISPENSABLE):
        if name in shown and too_long():
            shown.remove(name)
    kept = [number for number, name in enumerate(head) if name in shown]
    lines = table(shown, [[row[n] for n in kept] for row in rows], "".join(right[n] for n in kept))
    if "REMARKS" in shown:
        return lines
    below = [[f"    {row[-1]}"] if row[-1] else [] for row in rows]
    return [lines[0], *(line for own, more in zip(lines[1:], below, strict=True) for line in (own, *more))]


def _where(path: str, reason: str, exists: bool, problem: str | None, total: int) -> str:
    if problem:
        return problem
    if total:
        return f"In {path} ({reason}){'' if exists else ', which is not there yet'}."
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


def _revision(repo: Repo, revision: Revision, roots: Sequence[Root], digits: int | None) -> tuple[str, ...]:
    remarks = [f"in {repo.root}"] if roots and repo.root != roots[0].path else []
    if revision.complete is False:
        remarks.append(_missing(len(revision.missing)))
    if revision.detached:
        remarks.append("superseded" if revision.superseded else "detached")
    return (
        repo.id,
        repo.type,
        revision.commit[:digits],
        ", ".join(revision.refs),
        units.size(revision.size),
        units.size(revision.reclaimable),
        str(len(revision.files)),
        ", ".join(remarks),
    )


def _missing(count: int) -> str:
    return f"{units.many(count, 'file')} missing"


def _warm(repo: Repo) -> str:
    """The share of the repo's bytes that is in RAM; unknown when it is for any of its files."""
    from cachetop.hub.choose import resident

    found = resident(repo)
    return units.UNKNOWN if found is None else units.share(*found)


def _remarks(repo: Repo, roots: Sequence[Root]) -> str:
    from cachetop.hub.facts import downloads

    found = [f"in {repo.root}"] if roots and repo.root != roots[0].path else []
    found += downloads(repo.partials)
    missing = sum(len(revision.missing) for revision in repo.revisions if revision.complete is False)
    if repo.downloading and not any(partial.live for partial in repo.partials):
        found.append("downloading")
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
