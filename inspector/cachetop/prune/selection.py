"""What somebody wants to be rid of, as data: the same for the command line, the policy and the app."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from cachetop.base import units
from cachetop.base.filters import compile_filters

_ONLY = {"kernels": ("stale", "sm", "assume_sm", "cache", "ir_only"), "models": ("detached", "superseded")}
"""Selectors that mean something in one kind of cache. In the other they would narrow nothing: everything would go."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Selectors, joined with AND. Without any of them nothing is meant.

    `names` are keys of kernel entries, or `REPO[@REVISION]`. `older_than` in seconds, `max_size` in bytes:
    the least recently used go until what matches is no larger than that.
    """

    what: str
    names: tuple[str, ...] = ()
    stale: bool = False
    sm: str | None = None
    assume_sm: tuple[str, ...] = ()
    cache: str | None = None
    older_than: float | None = None
    incomplete: bool = False
    detached: bool = False
    superseded: bool = False
    max_size: int | None = None
    ir_only: bool = False
    filters: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    """Of models: only those in these cache roots; all of them for none. No selector by itself."""
    all: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence for what is no cache, or a selector that belongs to the other one."""
        if self.what not in _ONLY:
            raise ValueError(f"{self.what!r} cannot be pruned; there are kernels and models")
        for what, names in _ONLY.items():
            for name in names:
                if what != self.what and getattr(self, name):
                    raise ValueError(f"{name.replace('_', '-')} selects among {what}, not among {self.what}")

    @property
    def is_empty(self) -> bool:
        """Whether no selector was given. `assume_sm` only says by which SM to judge."""
        return not (
            self.names or self.stale or self.sm or self.cache or self.older_than is not None or self.incomplete
            or self.detached or self.superseded or self.max_size is not None or self.ir_only or self.filters or self.all
        )  # fmt: skip


def selection(what: str, **given: Any) -> Selection:
    """Check and normalise raw selectors, as a person writes them. Raises ValueError with a sentence."""
    from cachetop.kernelcache import sm

    known = [one.name for one in fields(Selection)]
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is no selector; there are {', '.join(known[1:])}")
        if name in ("names", "filters", "assume_sm"):
            given[name] = (value,) if isinstance(value, str) else tuple(value)
    older, most = given.pop("older_than", None), given.pop("max_size", None)
    wanted = given.pop("sm", None)
    assumed = given.pop("assume_sm", ())
    return Selection(
        what=what,
        older_than=units.parse_span(older) if isinstance(older, str) else older,
        max_size=units.parse_size(most) if isinstance(most, str) else most,
        sm=sm.normalize(wanted) if wanted else None,
        assume_sm=tuple(sm.normalize(one) for one in assumed),
        **given,
    )


def of_policy(rules: Sequence[Mapping[str, Any]]) -> list[Selection]:
    """The rules of a configuration's `prune.policy`, as selections. Raises ValueError with a sentence."""
    return [selection(**_given(rule)) for rule in rules]


def _given(rule: Mapping[str, Any]) -> dict[str, Any]:
    given = {key.replace("-", "_"): tuple(value) if isinstance(value, list) else value for key, value in rule.items()}
    if "filter" in given:
        given["filters"] = given.pop("filter")
    return given


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """Something that may go: what to call it, when it was last used, and what it holds."""

    subject: T
    key: str
    used: float | None
    """Last use; None where unknown, and then no age matches it."""
    since: float
    """When it came, which orders what was never seen in use."""
    size: int
    shared: Mapping[Hashable, int] = field(default_factory=dict)
    """Of that, what others may hold too: inode -> bytes."""


def narrow(
    candidates: Sequence[Candidate[T]],
    chosen: Selection,
    keys: Mapping[str, tuple[str, Callable[[Any], Any]]],
    now: float | None = None,
    spared: Callable[[T], bool] = lambda _: False,
) -> list[Candidate[T]]:
    """The candidates that filters, age and the size budget mean. Raises ValueError for a filter that is none.

    What is `spared` will stay, whatever is decided here: for a budget the next one goes as well.
    """
    moment = time.time() if now is None else now
    keep = compile_filters(chosen.filters, keys, moment)
    left = [one for one in candidates if keep(one.subject)]
    if chosen.older_than is not None:
        left = [one for one in left if one.used is not None and moment - one.used > chosen.older_than]
    if chosen.max_size is not None:
        left = _beyond(left, chosen.max_size, spared)
    return left


def _beyond(candidates: list[Candidate[T]], budget: int, spared: Callable[[T], bool]) -> list[Candidate[T]]:
    """The least recently used, until the rest fits into `budget` bytes, each inode counted once."""
    holders = Counter(inode for one in candidates for inode in one.shared)
    shared = {inode: size for one in candidates for inode, size in one.shared.items()}
    total = sum(shared.values()) + sum(one.size - sum(one.shared.values()) for one in candidates)
    gone = []
    for one in sorted(candidates, key=lambda one: (one.used if one.used is not None else one.since, one.key)):
        if total <= budget:
            break
        gone.append(one)
        if spared(one.subject):
            continue
        total -= one.size - sum(one.shared.values())
        holders.subtract(one.shared)
        total -= sum(size for inode, size in one.shared.items() if not holders[inode])
    return gone


def kept_by(patterns: Sequence[str], *names: str) -> str | None:
    """The first glob of the keep list that one of `names` matches, whatever its case; None for none."""
    import fnmatch

    for pattern in patterns:
        compiled = re.compile(fnmatch.translate(pattern), re.IGNORECASE)
        if any(compiled.match(name) for name in names):
            return pattern
    return None
