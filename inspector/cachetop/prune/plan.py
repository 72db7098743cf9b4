"""Making a plan: look at the caches afresh, choose, check. Nothing is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachetop import locations
from cachetop.base.collecting import collecting_later
from cachetop.hub.roots import roots as hub_roots
from cachetop.prune import kernels, models
from cachetop.prune.draft import Drafting
from cachetop.prune.selection import Selection
from cachetop.prune.work import Draft

if TYPE_CHECKING:
    from cachetop.hub.scan import Scanner


def plan(
    selections: Sequence[Selection], *, keep: Sequence[str] = (), force: bool = False, sms: Sequence[str] | None = None
) -> Draft:
    """What the selections mean, with everything that is blocked or kept.

    `keep` are globs of names that never go; `force` lifts the block on what is only in use; `sms` are the SMs of
    this machine's GPUs, without which nothing is called foreign. Raises ValueError for a filter that is none.
    """
    caches = locations.kernel_roots()
    roots = [one.path for one in hub_roots()] if any(one.what == "models" for one in selections) else []
    roots += [one.path for one in caches if one.exists] if any(one.what == "kernels" for one in selections) else []
    into = Drafting(roots, keep=keep, force=force)
    for one in selections:
        if one.is_empty:
            raise ValueError(f"a plan for {one.what} needs a selector")
    with collecting_later():
        if of_models := [one for one in selections if one.what == "models"]:
            _models(of_models, into)
        for one in selections:
            if one.what == "kernels":
                _kernels(one, into, sms)
        return into.done()


def _models(chosen: Sequence[Selection], into: Drafting) -> None:
    from cachetop.hub.scan import Scanner

    scanner = Scanner(hub_roots())  # the last to hold what it found: it gives very much of that up bit by bit
    _add_models(scanner, chosen, into)


def _add_models(scanner: Scanner, chosen: Sequence[Selection], into: Drafting) -> None:
    from cachetop.hub.detail import with_detail

    found = with_detail(scanner.scan(), scanner)
    into.unreadable += [root.problem for root in found.roots if root.problem]
    models.draft(found, scanner, chosen, into)


def _kernels(chosen: Selection, into: Drafting, sms: Sequence[str] | None) -> None:
    from cachetop.kernelcache.detail import with_detail
    from cachetop.kernelcache.scan import Scanner

    roots = locations.kernel_roots()
    kinds = dict.fromkeys(root.kind for root in roots)
    if chosen.cache and chosen.cache.partition(":")[0] not in kinds:
        raise ValueError(f"{chosen.cache!r} is no kind of kernel cache; there are {', '.join(kinds)}")
    scanner = Scanner(roots)
    here = chosen.assume_sm or tuple(sms or ())
    found = with_detail(scanner.scan(), scanner, here)
    into.unreadable += [cache.problem for cache in found.caches if cache.problem and not cache.readable]
    kernels.draft(found, scanner, chosen, into)
