"""Inductor keeps each Triton kernel twice: as an entry, and in the graph that uses it (`fxgraph`, a pickle).

A graph that is found in the cache writes the entries that are gone again (torch/_inductor/triton_bundler.py), and an
entry outlives its graph. So what goes from one place alone is not gone for long, and a plan has to say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cachetop.base import units
from cachetop.kernelcache.records import Entry, Kernels
from cachetop.kernelcache.scan import Scanner


def notes(found: Kernels, going: Sequence[Entry], scanner: Scanner, *, stages_only: bool) -> list[str]:
    """A sentence for each Inductor cache of which `going` takes one half of a kernel. `scanner` has read the graphs.

    `stages_only`: only the intermediate stages of the entries go.
    """
    said = []
    for cache in dict.fromkeys(entry.cache for entry in going if entry.part in ("fxgraph", "triton")):
        mine = [entry for entry in going if entry.cache == cache]
        kernels = {entry.key: entry for entry in found.entries if entry.cache == cache and entry.part == "triton"}
        graphs = scanner.uses(cache)
        gone = {entry.key for entry in mine if entry.part == "triton"}
        left = {path: uses for path, uses in graphs.items() if path not in {entry.path for entry in mine}}
        if stages_only:
            if graphs:
                said.append(f"The graphs (fxgraph) of {cache} hold the stages once more; those bytes stay.")
            continue
        back = [kernels[key] for key in gone & _used(left.values()) if key in kernels]
        if back:
            said.append(
                f"{_several(back)} of {cache} will come back from their graphs (fxgraph), which stay, "
                "when they are next needed: both have to go."
            )
        elif gone and None in left.values():
            said.append(
                f"Graphs (fxgraph) of {cache} that could not be read may bring some of its Triton entries back."
            )
        without = _used(uses for path, uses in graphs.items() if path not in left) - gone
        if kept := [kernels[key] for key in without if key in kernels]:
            said.append(f"{_several(kept)} of {cache} will stay, though the graphs that use them go.")
    return said


def _used(graphs: Iterable[tuple[str, ...] | None]) -> set[str]:
    return {key for uses in graphs for key in uses or ()}


def _several(entries: Sequence[Entry]) -> str:
    size = units.size(sum(entry.size_on_disk for entry in entries))
    return f"1 Triton entry ({size})" if len(entries) == 1 else f"{len(entries)} Triton entries ({size})"
