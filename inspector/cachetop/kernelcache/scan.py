"""The graph of all kernel caches: entries with name, SM, size, age and state, found once and then kept up.

The first pass reads one small metadata file per Triton entry and nothing else. What costs more (producers,
last use, checks of group files and cubins, verdicts) is `cachetop.kernelcache.detail`.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from cachetop.base.collecting import collecting_later
from cachetop.base.hostile import clean
from cachetop.base.mounts import Mount, mount_of, mounts
from cachetop.base.record import why
from cachetop.kernelcache.extensions import Extensions
from cachetop.kernelcache.flashinfer import FlashInfer
from cachetop.kernelcache.formats import Context, Format, Links, Row, Shelf
from cachetop.kernelcache.hf_kernels import HfKernels
from cachetop.kernelcache.inductor import Inductor
from cachetop.kernelcache.jax_cache import Jax
from cachetop.kernelcache.numba_cache import Numba
from cachetop.kernelcache.nvrtc import Nvrtc
from cachetop.kernelcache.opaque import Driver, NotUnderstood
from cachetop.kernelcache.records import Cache, Entry, Kernels
from cachetop.kernelcache.triton import Triton
from cachetop.kernelcache.vllm import Vllm
from cachetop.kernelcache.warp_cache import Warp
from cachetop.locations import Location, plugins

_READ: tuple[type[Format], ...] = (
    Triton, Inductor, Nvrtc, Driver, Extensions, FlashInfer, Vllm, HfKernels, Numba, Jax, Warp,
)  # fmt: skip
_TELL_EVERY = 0.25
UNREAD = ("cupy", "deep-gemm", "tilelang", "cute-dsl", "helion", "tensorrt")
FORMATS: dict[str, Callable[[], Format]] = {
    **{one.kind: one for one in _READ},
    **{kind: partial(NotUnderstood, kind) for kind in UNREAD},
}


def scan(locations: Sequence[Location]) -> Kernels:
    """What the caches at `locations` hold now; a cache that is missing is listed as such."""
    return Scanner(locations).scan()


class Scanner:
    """Keeps the picture of some caches; each scan costs what changed. One thread at a time.

    An entry that did not change stays the same object from one answer to the next. A finished entry is
    taken to be immutable: losing files is noticed when something is added to or removed from its root, by
    `rescan`, or by a new scanner.
    """

    def __init__(self, locations: Sequence[Location]) -> None:
        self.kept: list[Kept] = []
        self._parts: list[tuple[Cache, int]] = []
        self._last: Kernels | None = None
        self._whole: Kernels | None = None
        self._flying: tuple[Kernels | None, list[tuple[str, str]]] = None, []
        self._asked_at: Kernels | None = None
        formats: dict[str, Callable[[], Format]] = {**plugins(), **FORMATS}
        numbers: dict[str, int] = {}
        seen: set[tuple[str, str]] = set()
        for location in locations:
            if location.kind not in formats or (same := (location.kind, os.path.realpath(location.path))) in seen:
                continue
            seen.add(same)
            number = numbers[location.kind] = numbers.get(location.kind, 0) + 1
            self.kept.append(
                Kept(location, formats[location.kind](), location.kind if number == 1 else f"{location.kind}:{number}")
            )

    def scan(
        self,
        quick: bool = False,
        but: Collection[str] = (),
        progress: Callable[[Kernels], None] | None = None,
        entries: bool = True,
    ) -> Kernels:
        """Bring everything up to date, `but` the caches with these ids, which stay as they are.

        `progress` is given what is known by then, four times a second at most, while large caches are read. Without
        `entries` the answer lists none: for who has them from `Detail.filled`.

        A `quick` scan lists what changed and reads what is new or in flight: that a complete entry lost files, or
        lies on another file system now, is left to a whole one.
        """
        elsewhere = self._roots()
        table = None if quick else mounts()
        last = time.monotonic()

        def tell() -> None:
            nonlocal last
            if progress is not None and time.monotonic() - last >= _TELL_EVERY:
                progress(self._partly())
                last = time.monotonic()

        with collecting_later():
            for kept in self.kept:
                if kept.id not in but:
                    kept.scan(elsewhere, table, quick, tell if progress is not None else None)
                    tell()
            return self._picture(entries)

    def rescan(self, cache_id: str, keys: Iterable[str], entries: bool = True) -> Kernels:
        """Bring only the entries at `keys` of one cache up to date: their paths below its root, which for Triton
        are their folders' names; `entries` as in `scan`. Raises KeyError for an unknown cache.
        """
        self._of(cache_id).rescan(list(keys), self._roots())
        return self._picture(entries)

    def in_flight(self) -> list[tuple[str, str]]:
        """(cache id, path below its root) of every entry that was being compiled when last looked at."""
        if self._last is None or self._flying[0] is not self._last:
            found = [
                (kept.id, shelf.rows[name].entry.path)
                for kept in self.kept
                for shelf in kept.shelves.values()
                for name in shelf.rows.flying
            ]
            self._flying = self._last, found
        return self._flying[1]

    def born(self) -> frozenset[tuple[str, str]]:
        """(cache id, path below its root) of the entries that were not there when this was last asked."""
        if self._last is not None and self._asked_at is self._last:
            return frozenset()
        self._asked_at = self._last
        found = []
        for kept in self.kept:
            for shelf in kept.shelves.values():
                found += [(kept.id, shelf.rows[name].entry.path) for name in shelf.rows.born]
                shelf.rows.born.clear()
        return frozenset(found)

    def forget_born(self) -> None:
        """Take every entry for one that was there when `born` was last asked."""
        self._asked_at = self._last
        for kept in self.kept:
            for shelf in kept.shelves.values():
                shelf.rows.born.clear()

    def owner(self, cache_id: str, path: str) -> str | None:
        """The path of the entry that the file at `path` (below the root of that cache) belongs to, None for none."""
        return self._of(cache_id).format.owner(path)

    def location(self, entry: Entry) -> str:
        """The entry's real place on disk, also where its name had to be cleaned to be shown.

        Raises KeyError for an entry that is not of this scanner's newest picture.
        """
        return os.path.normpath(os.path.join(*self.place(entry)))

    def place(self, entry: Entry) -> tuple[str, str, str]:
        """(root of its cache, its folder below that, its raw name there), to be opened step by step.

        Raises KeyError for an entry that is not of this scanner's newest picture.
        """
        kept = self._of(entry.cache)
        for path, shelf in kept.shelves.items():
            for name, row in shelf.rows.items():
                if row.entry.path == entry.path and row.entry.key == entry.key:
                    return kept.root, path, name
        raise KeyError(entry.path)

    def root(self, cache_id: str) -> str:
        """The folder of a cache as its writer names it. Raises KeyError."""
        return self._of(cache_id).root

    def removable(self, cache_id: str) -> bool:
        """Whether the format of a cache says that its entries may be taken away whole. Raises KeyError."""
        return bool(getattr(self._of(cache_id).format, "removable", False))

    def uses(self, cache_id: str) -> dict[str, tuple[str, ...] | None]:
        """Path of each graph (fxgraph) -> keys of the Triton entries that it uses; None before it was read."""
        rows = (row for row in self._of(cache_id).rows() if row.entry.part == "fxgraph")
        return {row.entry.path: None if row.facts is None else row.facts.uses for row in rows}

    def linked(self) -> dict[tuple[str, str], Links]:
        """(cache id, path below its root) -> (device, inode, bytes) of the files of an entry with several names."""
        return {(kept.id, row.entry.path): row.links for kept in self.kept for row in kept.rows() if row.links}

    def entries(self) -> tuple[Entry, ...]:
        """Every entry as far as it is known by now: with what `Detail` found, where that has been."""
        every = (shelf.rows.entries() for kept in self.kept for shelf in kept.shelves.values())
        return tuple(itertools.chain.from_iterable(every))

    def entries_changed(self) -> None:
        """Told by `Detail`: the entries listed last do not say everything known any more."""
        self._whole = None

    def _of(self, cache_id: str) -> Kept:
        for kept in self.kept:
            if kept.id == cache_id:
                return kept
        raise KeyError(cache_id)

    def _roots(self) -> dict[str, tuple[int, int]]:
        found = {}
        for kept in self.kept:
            try:
                about = os.stat(kept.root)
            except OSError:
                continue
            found[kept.id] = (about.st_dev, about.st_ino)
        return found

    def _partly(self) -> Kernels:
        """What is known in the middle of a scan."""
        caches = tuple(kept.describe_partly() for kept in self.kept)
        size = sum(cache.size_on_disk for cache in caches)
        return Kernels(caches=caches, size_on_disk=size, entries=self.entries(), scanning=True)

    def _picture(self, entries: bool) -> Kernels:
        """The same object as the last time when nothing changed. Listing very many entries takes its time."""
        parts = [(kept.cache, kept.version) for kept in self.kept]
        if self._last is None or parts != self._parts:
            caches = tuple(cache for cache, _ in parts)
            size = sum(cache.size_on_disk for cache in caches)
            self._parts, self._last, self._whole = parts, Kernels(caches=caches, size_on_disk=size), None
        if not entries:
            return self._last
        if self._whole is None:
            self._whole = replace(self._last, entries=self.entries())
        return self._whole


class Kept:
    """One cache as it was last seen."""

    def __init__(self, location: Location, form: Format, cache_id: str) -> None:
        self.id = cache_id
        self.location = location
        self.root = os.path.abspath(location.path)
        self.format = form
        self.shelves: dict[str, Shelf] = {}
        self.version = 0
        """How often its entries were found changed."""
        self.cache = self._describe(None, None, False, True)

    def rows(self) -> Iterator[Row]:
        for shelf in self.shelves.values():
            yield from shelf.rows.values()

    def scan(
        self,
        roots: dict[str, tuple[int, int]],
        table: list[Mount] | None,
        quick: bool,
        progress: Callable[[], None] | None = None,
    ) -> None:
        def work(root: int, context: Context) -> bool:
            context.progress = progress
            return self.format.scan(root, self.shelves, context)

        self._update(roots, work, table, quick)

    def describe_partly(self) -> Cache:
        """The cache while it is being read."""
        return replace(self.cache, exists=self.cache.exists or bool(self.shelves), size_on_disk=self._size())

    def rescan(self, paths: list[str], roots: dict[str, tuple[int, int]]) -> None:
        self._update(roots, lambda root, context: self.format.rescan(root, self.shelves, paths, context), None, True)

    def _update(
        self,
        roots: dict[str, tuple[int, int]],
        how: Callable[[int, Context], bool],
        table: list[Mount] | None,
        quick: bool = False,
    ) -> None:
        elsewhere = frozenset(inode for cache_id, inode in roots.items() if cache_id != self.id)
        context = Context(self.id, self.location.kind, time.time(), elsewhere, quick=quick)
        problem, exists, readable = None, True, True
        try:
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            exists = not isinstance(error, FileNotFoundError)
            readable = not exists
            problem = f"{clean(self.root)} cannot be read: {why(error)}" if exists else None
            changed = any(shelf.rows for shelf in self.shelves.values())
            self.shelves.clear()
        else:
            try:
                changed = how(root, context)
            except OSError as error:
                changed, readable = True, False
                context.errors.append(f"{clean(self.root)} cannot be read: {why(error)}")
            finally:
                os.close(root)
        self.version += changed
        if context.errors:
            more = f" (and {len(context.errors) - 1} more)" if len(context.errors) > 1 else ""
            problem = context.errors[0] + more
        filesystem = self.cache.filesystem
        if table is not None:
            mount = mount_of(self.root, table) if exists else None
            filesystem = mount.kind if mount else None
        now = (problem, filesystem, exists, readable)
        was = self.cache
        if changed or now != (was.problem, was.filesystem, was.exists, was.readable):
            self.cache = self._describe(*now)

    def _describe(self, problem: str | None, filesystem: str | None, exists: bool, readable: bool) -> Cache:
        return Cache(
            id=self.id,
            kind=self.location.kind,
            path=clean(self.root),
            reason=self.location.reason,
            exists=exists,
            size_on_disk=self._size(),
            filesystem=filesystem,
            problem=problem,
            readable=readable,
        )

    def _size(self) -> int:
        """Every inode once, also one that several entries name."""
        total = sum(shelf.rows.size_on_disk for shelf in self.shelves.values())
        if not any(shelf.rows.linked for shelf in self.shelves.values()):
            return total
        seen: set[tuple[int, int]] = set()
        for row in self.rows():
            for device, inode, count in row.links:
                if (device, inode) in seen:
                    total -= count
                seen.add((device, inode))
        return total
