"""Keep rows where they are while somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def settle(before: Iterable[str], fresh: Sequence[str]) -> list[str]:
    """`fresh` in the order of `before`: known keys keep their order, a new one follows its neighbour in `fresh`."""
    present = set(fresh)
    known = [key for key in before if key in present]
    old = set(known)
    after: dict[str | None, list[str]] = {}
    anchor: str | None = None
    for key in fresh:
        if key in old:
            anchor = key
        else:
            after.setdefault(anchor, []).append(key)
    out = list(after.get(None, ()))
    for key in known:
        out.append(key)
        out += after.get(key, ())
    return out
