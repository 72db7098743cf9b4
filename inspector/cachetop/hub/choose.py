"""Which repos, and in what order: the same filters, orders and presets on the command line and in the app.

The grammar is that of `hf cache ls` (`size>1GB`, `accessed>7d`, `type=model`, `refs=main`), and more keys; some
words stand alone: `partial`, `detached`, `superseded`, `problem`, `resident`, `incomplete`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from cachetop.base.filters import Predicate, compile_filters
from cachetop.hub.records import Repo, Revision, in_ram

Part = Callable[[Repo], tuple[int, int] | None]
Arrange = Callable[[Sequence[Repo]], list[Repo]]
_SORT = "sort="
_DIGITS = 4


def refs(repo: Repo) -> list[str]:
    """All refs of a repo."""
    return [ref for revision in repo.revisions for ref in revision.refs]


def named(repo: Repo, revision: str) -> list[Revision]:
    """The revisions meant by a ref, else by a commit or by its beginning, of four digits at least."""
    return (
        [one for one in repo.revisions if revision in one.refs]
        or [one for one in repo.revisions if one.commit == revision]
        or [one for one in repo.revisions if len(revision) >= _DIGITS and one.commit.startswith(revision)]
    )


def resident(repo: Repo) -> tuple[int, int] | None:
    """(bytes in RAM, bytes) of a repo, each blob once; None where one of its files was not measured, or it has none."""
    if not any(revision.files for revision in repo.revisions):
        return None
    return in_ram(chain.from_iterable([revision.files for revision in repo.revisions]))


def _partial(repo: Repo) -> list[str]:
    words = {True: "live", False: "stale", None: "unknown"}
    between = ["live"] if repo.downloading else []
    return between + [words[partial.live] for partial in repo.partials]


def _some(part: tuple[int, int] | None) -> bool:
    return part is not None and part[0] > 0


FILTERS: dict[str, tuple[str, Callable[[Repo], Any]]] = {
    "size": ("size", lambda repo: repo.size),
    "reclaimable": ("size", lambda repo: repo.reclaimable),
    "accessed": ("age", lambda repo: repo.last_used),
    "modified": ("age", lambda repo: repo.last_modified),
    "type": ("text", lambda repo: repo.type),
    "refs": ("text", refs),
    "id": ("text", lambda repo: repo.id),
    "name": ("text", lambda repo: repo.id),
    "resident": ("part", resident),
    "partial": ("text", _partial),
    "detached": ("number", lambda repo: sum(revision.detached for revision in repo.revisions)),
    "problem": ("text", lambda repo: [problem.rule for problem in repo.problems]),
}
WORDS: dict[str, Predicate] = {
    "resident": lambda repo: _some(resident(repo)),
    "partial": lambda repo: bool(repo.partials),
    "detached": lambda repo: any(revision.detached for revision in repo.revisions),
    "superseded": lambda repo: any(revision.superseded for revision in repo.revisions),
    "incomplete": lambda repo: any(revision.complete is False for revision in repo.revisions),
    "problem": lambda repo: bool(repo.problems),
}
SORTS: dict[str, tuple[Callable[[Repo], Any], bool]] = {
    "size": (lambda repo: repo.size, True),
    "reclaimable": (lambda repo: repo.reclaimable, True),
    "accessed": (lambda repo: repo.last_used, True),
    "modified": (lambda repo: repo.last_modified, True),
    "resident": (lambda repo: (resident(repo) or (None,))[0], True),
    "name": (lambda repo: (repo.type, repo.id.lower()), False),
    "id": (lambda repo: (repo.type, repo.id.lower()), False),
    "type": (lambda repo: repo.type, False),
    "refs": (lambda repo: len(refs(repo)), True),
}
"""Key: (what to compare, whether the largest comes first)."""


class Preset(NamedTuple):
    """A question that is asked often, as filters and an order."""

    filters: tuple[str, ...]
    sort: str


PRESETS = {
    "biggest": Preset((), "size"),
    "longest-unused": Preset((), "accessed:asc"),
    "superseded": Preset(("superseded",), "reclaimable"),
    "stale-partials": Preset(("partial=stale",), "size"),
}
_SECOND_PASS = re.compile(r"\s*(resident|partial|problem|incomplete)\b", re.IGNORECASE)
_SPACED = re.compile(r"\s*(>=|<=|!=|>|<|=)\s*")
_LOOKS_LIKE_ONE = re.compile(r"\s*[A-Za-z_]+\s*[<>!=]")


def needs_detail(expressions: Iterable[str], order: str) -> bool:
    """Whether these filters or this order ask for what only the second pass knows."""
    return any(_SECOND_PASS.match(text) for text in (*expressions, order))


def keep(expressions: Iterable[str], now: float | None = None, warm: Part = resident) -> Predicate:
    """One predicate over repos out of filters joined with AND. Raises ValueError with a sentence.

    `warm` says what `resident` does, where somebody has worked that out already.
    """
    if warm is resident:
        return compile_filters(expressions, FILTERS, now, WORDS)
    filters = {**FILTERS, "resident": ("part", warm)}
    return compile_filters(expressions, filters, now, {**WORDS, "resident": lambda repo: _some(warm(repo))})


def arrange(order: str, warm: Part = resident) -> Arrange:
    """What sorts repos by `KEY`, `KEY:asc` or `KEY:desc`; unknown values come last. Raises ValueError."""
    key, colon, direction = order.strip().lower().partition(":")
    if key not in SORTS or (colon and direction not in ("asc", "desc")):
        raise ValueError(f"{order!r} is no order; there are {', '.join(sorted(SORTS))}, each also with :asc or :desc")
    value, largest_first = SORTS[key]
    if key == "resident":
        value = lambda repo: (warm(repo) or (None,))[0]  # noqa: E731
    if colon:
        largest_first = direction == "desc"

    def sort(repos: Sequence[Repo]) -> list[Repo]:
        known = [repo for repo in repos if value(repo) is not None]
        unknown = [repo for repo in repos if value(repo) is None]
        return sorted(known, key=value, reverse=largest_first) + unknown

    return sort


class Search(NamedTuple):
    """What a person typed into a filter line."""

    keep: Predicate
    arrange: Arrange | None
    """How to sort what is kept; None where no order was typed."""
    wrong: str | None = None
    """A sentence on what looks like a filter or an order and is none."""


def search(text: str, now: float | None = None, warm: Part = resident) -> Search:
    """What a person typed into a filter line; it never raises.

    Words that are filters count as such, `sort=KEY[:asc|:desc]` is an order; all others must be in the repo's
    name, or be its type. What is no filter but looks like one hides nothing.
    """
    filters, names, order, wrong = [], [], None, None
    for word in _SPACED.sub(r"\1", text).split():
        try:
            if word.lower().startswith(_SORT):
                order = arrange(word[len(_SORT) :], warm)
            else:
                keep([word], now, warm)
                filters.append(word)
        except ValueError as error:
            if not _LOOKS_LIKE_ONE.match(word):
                names.append(word.casefold())
            elif word[-1] not in "<>!=":  # else it is still being typed
                wrong = wrong or str(error)
    test = keep(filters, now, warm)
    return Search(
        lambda repo: test(repo) and all(name in repo.id.casefold() or name == repo.type for name in names),
        order,
        wrong,
    )


def preset_of(text: str) -> str | None:
    """The preset that `typed` writes so."""
    return next((name for name in PRESETS if typed(name) == text), None)


def typed(preset: str) -> str:
    """A preset of `PRESETS` as it would be typed into a filter line."""
    chosen = PRESETS[preset]
    return " ".join([*chosen.filters, _SORT + chosen.sort])
