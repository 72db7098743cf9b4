"""Taking items out of a plan: what is left may free less, for what it shared with them now stays."""

from __future__ import annotations

import os
from collections.abc import Collection

import msgspec

from cachetop.prune.draft import cost
from cachetop.prune.tree import Measured, measure, open_root, opened, together
from cachetop.prune.work import Draft, Work


def narrowed(draft: Draft, keep: Collection[int]) -> Draft:
    """The plan with only the items of these numbers (their places in `draft.plan.items`). Raises OSError.

    Blobs and payloads that an item left out names stay, so they are taken from the others' moves, which are then
    measured again. The id stays: it is the same plan, of which a part is carried out.
    """
    left = [work for number, work in enumerate(draft.work) if number in keep]
    staying = {name for number, work in enumerate(draft.work) if number not in keep for name in work.names}
    works = [_without(work, staying) for work in left]
    plan = msgspec.structs.replace(
        draft.plan,
        items=tuple(work.item for work in works),
        frees=together(work.measured for work in works),
        cost=cost(works),
    )
    return Draft(plan, works, draft.roots, draft.force, draft.named_blocked)


def _without(work: Work, staying: set[str]) -> Work:
    """The work without the blobs in `staying`, and without payloads that one of these names."""
    payloads = {payload for payload, users in work.referrers.items() if staying & set(users)}
    moves = [
        one
        for one in work.moves
        if not (one.role == "blob" and f"{work.repo}/blobs/{one.name}" in staying)
        and not (
            one.role in ("payload", "manifest") and f"{one.parents[-1]}/{one.name.removesuffix('.refs')}" in payloads
        )
    ]
    if len(moves) == len(work.moves):
        return work
    measured = Measured()
    for one in moves:
        root = open_root(one.root)
        try:
            with opened(one.parents, root) as folder:
                measure(one.name, folder, {}, measured)
        finally:
            os.close(root)
    item = msgspec.structs.replace(work.item, size_on_disk=measured.total, frees=measured.reclaimed())
    return Work(item, moves, measured, work.number, work.repo, work.marks, work.commit, work.referrers, work.names,
                work.group, work.named)  # fmt: skip
