"""vLLM's compile cache: a folder per hash of its settings, with Inductor and Triton caches inside.

`torch_compile_cache/<10 hex>/rank_<r>_<dp>/<model part>/...` and `torch_compile_cache/torch_aot_compile/<64 hex>/...`;
anywhere in them an `inductor_cache/` and an unpacked `artifact_.../` is an Inductor tree, a `triton_cache/` a Triton
one (vllm/compilation/backends.py, compiler_interface.py, decorators.py of 0.33; torch/_inductor/standalone_compile.py).
Their entries are this cache's; what else a hash holds is one row, not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from cachetop.base.record import why
from cachetop.kernelcache.formats import Context, Format, Shelf
from cachetop.kernelcache.inductor import Inductor
from cachetop.kernelcache.shelves import drop, folders, keep, open_folder, opened_below
from cachetop.kernelcache.triton import Triton
from cachetop.kernelcache.usage import tree_row

_TOP = "torch_compile_cache"
_AOT = "torch_aot_compile"
_HASH = re.compile(r"[0-9a-f]{10,64}\Z")
_INNER: dict[str, type[Inductor] | type[Triton]] = {"inductor_cache": Inductor, "triton_cache": Triton}
_ARTIFACT = "artifact_"
_DEPTH = 4


@dataclass
class _Inner:
    """A cache within this one, with its own shelves by their path below itself."""

    format: Format
    shelves: dict[str, Shelf] = field(default_factory=dict)


class Vllm:
    """A vLLM cache: a shelf for the hashes, and those of the caches inside."""

    kind = "vllm"
    removable = True

    def __init__(self) -> None:
        self._inner: dict[str, _Inner] = {}

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed = False
        present: dict[str, str] = {}
        seen: set[str] = set()
        for place in (_TOP, f"{_TOP}/{_AOT}"):
            with opened_below(root, place) as folder:
                if folder is None:
                    continue
                seen.add(place)
                shelf = shelves.setdefault(place, Shelf())
                names = [name for name in folders(folder) if _HASH.match(name)]
                changed |= drop(shelf.rows, names)
                for name in names:
                    changed |= self._hash(folder, place, name, shelf, present, context)
        for path, kind in present.items():
            changed |= self._within(root, path, kind, shelves, seen, context)
        for path in [path for path in self._inner if path not in present]:
            del self._inner[path]
        gone = shelves.keys() - seen
        changed |= any(shelves[path].rows for path in gone)
        for path in gone:
            del shelves[path]
        return changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        for place, name in enumerate(parts):
            if name in _INNER or (name.startswith(_ARTIFACT) and place > 2):
                inner = _INNER.get(name, Inductor)().owner("/".join(parts[place + 1 :]))
                return None if inner is None else "/".join([*parts[: place + 1], inner])
        depth = 3 if len(parts) > 1 and parts[1] == _AOT else 2
        return "/".join(parts[:depth]) if len(parts) > depth and parts[0] == _TOP else None

    def _hash(
        self, parent: int, place: str, name: str, shelf: Shelf, present: dict[str, str], context: Context
    ) -> bool:
        """The row of one hash without the caches inside, whose places are added to `present`."""
        inner = open_folder(name, parent)
        if inner is None:
            return shelf.rows.discard(name)
        try:
            there: dict[str, str] = {}
            _find(inner, f"{place}/{name}", there, _DEPTH)
            present |= there
            if context.quick and name in shelf.rows:
                return False
            inside = tuple({path.rpartition("/")[2] for path in there})
            row = tree_row(
                inner, f"{place}/{name}", context, key=name, state="opaque", part="compiled graphs", but=inside
            )
            return keep(shelf.rows, name, row)
        except OSError as error:
            context.errors.append(f"{name} cannot be listed: {why(error)}")
            return False
        finally:
            os.close(inner)

    def _within(
        self, root: int, path: str, kind: str, shelves: dict[str, Shelf], seen: set[str], context: Context
    ) -> bool:
        with opened_below(root, path) as folder:
            if folder is None:
                return False
            inner = self._inner.setdefault(path, _Inner(_INNER.get(kind, Inductor)()))
            below = replace(context, prefix=f"{context.prefix}{path}/")
            changed = inner.format.scan(folder, inner.shelves, below)
            for name, shelf in inner.shelves.items():
                shelves[f"{path}/{name}"] = shelf
                seen.add(f"{path}/{name}")
            return changed


def _find(folder: int, path: str, present: dict[str, str], depth: int) -> None:
    """The caches within a folder, a few levels deep."""
    for name in folders(folder):
        if name in _INNER or (name.startswith(_ARTIFACT) and _is_tree(folder, name)):
            present[f"{path}/{name}"] = name
        elif depth and (inner := open_folder(name, folder)) is not None:
            try:
                _find(inner, f"{path}/{name}", present, depth - 1)
            finally:
                os.close(inner)


def _is_tree(folder: int, name: str) -> bool:
    """Whether an artifact is unpacked: a whole Inductor cache with at least the graph in it."""
    for part in ("fxgraph", "aotautograd"):
        with opened_below(folder, f"{name}/{part}") as found:
            if found is not None:
                return True
    return False
