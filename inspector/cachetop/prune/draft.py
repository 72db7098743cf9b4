"""Putting a plan together: what every kind of cache needs for it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.prune import inuse
from cachetop.prune.records import Blocked, Cost, Item, Keeping, Plan, Rebuild
from cachetop.prune.selection import kept_by
from cachetop.prune.tree import Measured, mounted_below, open_root, together
from cachetop.prune.words import words
from cachetop.prune.work import Draft, Move, Work


class Drafting:
    """A plan in the making. `keep` are the globs of the keep list; `roots` the cache roots that matter."""

    def __init__(
        self, roots: Sequence[str], *, keep: Sequence[str] = (), force: bool = False, now: float | None = None
    ) -> None:
        self.now = time.time() if now is None else now
        self.use = inuse.look(roots)
        self.users = self.use.users
        self.missing: list[str] = []
        self.unreadable: list[str] = []
        self.notes: list[str] = []
        self._keep = tuple(keep)
        self._force = force
        self._work: list[Work] = []
        self._blocked: list[Blocked] = []
        self._kept: list[Keeping] = []
        self._roots: dict[str, tuple[int, int]] = {}
        self._shut: set[str] = set()
        """The roots that are blocked as a whole."""
        self._mounts = {root: mounted_below(root) for root in roots}
        self._named_blocked = 0
        self._taken: set[tuple[str, ...]] = set()
        """The paths of everything that goes so far."""
        self._above: set[tuple[str, ...]] = set()
        """The folders that these lie in."""

    @contextmanager
    def root(self, path: str) -> Iterator[int | None]:
        """A cache root, open; None when it cannot be opened or written, which blocks it as a whole."""
        try:
            at = open_root(path)
        except OSError as error:
            self._shut_out(path, words(error))
            yield None
            return
        try:
            found = os.fstat(at)
            self._roots[path] = (found.st_dev, found.st_ino)
            if os.fstatvfs(at).f_flag & os.ST_RDONLY:
                self._shut_out(path, "read-only: the file system of this cache is mounted read-only")
                yield None
            else:
                yield at
        finally:
            os.close(at)

    def _shut_out(self, root: str, reason: str) -> None:
        if root not in self._shut:
            self._shut.add(root)
            self.block(clean(root), "", 0, reason)

    def keeps(self, *names: str) -> bool:
        """Whether the keep list protects something by one of its names."""
        return kept_by(self._keep, *filter(None, names)) is not None

    def kept(self, shown: str, size: int, *names: str) -> bool:
        """Whether the keep list protects something by one of its names; if so it is listed."""
        pattern = kept_by(self._keep, *[name for name in names if name]) if self._keep else None
        if pattern is not None:
            self._kept.append(Keeping(path=shown, key=names[0], pattern=pattern, size_on_disk=size))
        return pattern is not None

    def block(
        self, shown: str, key: str, size: int, reason: str, pids: Sequence[int] = (), *, named: bool = False,
        lifted: bool = False,
    ) -> None:  # fmt: skip
        """List something that stays."""
        self._named_blocked += named
        self._blocked.append(
            Blocked(
                path=shown, reason=reason, pids=tuple(sorted(pids)), key=key, size_on_disk=size, lifted_by_force=lifted
            )
        )

    def item(
        self, *, kind: str, key: str, path: str, measured: Measured, reasons: tuple[str, ...],
        rebuild: Rebuild | None, name: str | None = None, sm: tuple[str, ...] = (),
    ) -> Item:  # fmt: skip
        """The record of one item."""
        return Item(
            kind=kind, key=key, path=path, size_on_disk=measured.total, reasons=reasons, rebuild=rebuild, name=name,
            frees=measured.reclaimed(), sm=sm,
        )  # fmt: skip

    def add(self, work: Work) -> None:
        """Take one item in, unless something keeps it: a use, another user, another file system."""
        mine = {(one.root, *one.parents, one.name) for one in work.moves}
        if any(_within(path, self._taken) for path in mine):
            return  # another rule or name of the same plan took it
        reason = self.obstacle(work)
        if reason is not None:
            item = work.item
            pids = () if reason[1] is None else tuple(work.measured.pids)
            self.block(item.path, item.key, item.size_on_disk, reason[0], pids, named=work.named, lifted=bool(pids))
            return
        if mine & self._above:  # what it holds goes with it
            self._work = [
                each for each in self._work if not any(_within((m.root, *m.parents, m.name), mine) for m in each.moves)
            ]
        self._taken |= mine
        self._above |= {path[:length] for path in mine for length in range(2, len(path))}
        self._work.append(work)

    def obstacle(self, work: Work) -> tuple[str, str | None] | None:
        """(why something must stay, "use" when a use is all); None when nothing keeps it."""
        measured = work.measured
        for one in work.moves:
            inside = [
                point for point in self._mounts.get(one.root, ()) if _covers(os.path.realpath(one.root), one, point)
            ]
            if inside:
                return f"another file system is mounted at {clean(inside[0])}", None
        return keeps(measured, {one.device for one in work.moves}, self._roots, work, self._force)

    def done(self) -> Draft:
        """The draft, with its plan."""
        for number, work in enumerate(self._work):
            work.number = number
        frees = together(work.measured for work in self._work)
        plan = Plan(
            id=secrets.token_hex(6),
            items=tuple(work.item for work in self._work),
            frees=frees,
            blocked=tuple(self._blocked),
            kept=tuple(self._kept),
            uninspectable=self.use.uninspectable,
            cost=cost(self._work),
            notes=tuple(dict.fromkeys(self.notes)),
            missing=tuple(clean(name) for name in self.missing),
            unreadable=tuple(self.unreadable),
            created=self.now,
        )
        return Draft(plan, self._work, dict(self._roots), self._force, self._named_blocked)


def keeps(
    measured: Measured, devices: set[int], roots: dict[str, tuple[int, int]], work: Work, force: bool
) -> tuple[str, str | None] | None:
    """What in the files themselves keeps an item: another device, another owner, a use."""
    if measured.foreign is not None or any(device != roots[work.moves[0].root][0] for device in devices):
        return "it lies on another file system than its cache, which is not entered", None
    me = os.geteuid()
    others = measured.owners - {me}
    if others:
        return f"it belongs to another user (uid {min(others)})", None
    if measured.pids and not force:
        several = f" and {len(measured.pids) - 1} more" if len(measured.pids) > 1 else ""
        mine = os.getpid()
        who = f"this process (pid {mine})" if mine in measured.pids else inuse.who(min(measured.pids))
        return f"in use: open or mapped by {who}{several}", "use"
    return None


def _within(path: tuple[str, ...], taken: set[tuple[str, ...]]) -> bool:
    """Whether a path, or a folder that it lies in, is among `taken`."""
    return any(path[:length] in taken for length in range(2, len(path) + 1))


def _covers(real: str, one: Move, point: str) -> bool:
    path = os.path.join(real, *one.parents, one.name)
    return point == path or point.startswith(path + "/")


def cost(work: Sequence[Work]) -> Cost:
    """Compile time and download of everything that goes. Unknown parts are said, never counted as nothing."""
    kernels = [one.item for one in work if one.repo is None]
    models = [one.item for one in work if one.repo is not None]
    times = [item.rebuild.milliseconds for item in kernels if item.rebuild]
    unknown = sum(one is None for one in times)
    known = sum(one for one in times if one is not None)
    download = sum(item.rebuild.download or 0 for item in models if item.rebuild)
    parts = []
    if kernels:
        told = [f"{units.duration(known / 1000)} of recompilation"] if known else []
        if unknown:
            told.append(f"{unknown} {'kernel' if unknown == 1 else 'kernels'} of unknown build time")
        parts.append(" and ".join(told) or "nothing to recompile")
    if models:
        parts.append(f"{units.size(download)} to download")
    only = "" if kernels and models else "only kernels: " if kernels else "only models: "
    return Cost(
        milliseconds=None if unknown and not known else known if kernels else 0.0,
        download=download,
        sentence=only + " and ".join(parts) if parts else "nothing",
    )
