"""A plan for kernel caches: which entries are meant, and what keeps some of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable

from cachetop import locations
from cachetop.base import units
from cachetop.base.files import is_locked
from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.kernelcache import sm
from cachetop.kernelcache.choose import FILTERS
from cachetop.kernelcache.records import NOT_UNDERSTOOD, Entry, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.prune import ir, pairs
from cachetop.prune.draft import Drafting
from cachetop.prune.records import Rebuild
from cachetop.prune.selection import Candidate, Selection, narrow
from cachetop.prune.tree import TRASH, Measured, measure, opened
from cachetop.prune.words import words
from cachetop.prune.work import Move, Work, move

_WHOLE = ("triton", "fxgraph", "aotautograd", "module")
"""The parts that are one folder each."""


def meant(
    found: Kernels,
    chosen: Selection,
    now: float | None = None,
    stays: Callable[[Entry], bool] = lambda _: False,
    linked: Callable[[Entry], dict[Hashable, int]] = lambda _: {},
) -> tuple[list[Entry], list[str]]:
    """The entries that a selection means, and the names that are no entry. Raises ValueError for a bad filter.

    Of what `stays` whatever is decided here, a budget takes the next one as well. `linked` says which files of an
    entry have several names, which a budget counts once: inode -> bytes.
    """
    names = set(chosen.names)
    candidates = [
        Candidate(
            entry, f"{entry.cache}/{entry.path}", entry.last_used, entry.created, entry.size_on_disk, linked(entry)
        )
        for entry in found.entries
        if _wanted(entry, chosen, names)
    ]
    known = {name for entry in found.entries for name in (entry.key, entry.path, f"{entry.cache}/{entry.path}")}
    left = narrow(candidates, chosen, FILTERS, now, stays)
    return [one.subject for one in left], [name for name in chosen.names if name not in known]


def names_of(entry: Entry) -> tuple[str, ...]:
    """What a keep list may call an entry."""
    return entry.key, entry.name or "", f"{entry.cache}/{entry.key}", f"{entry.cache}/{entry.name}"


def _wanted(entry: Entry, chosen: Selection, names: set[str]) -> bool:
    if names and not names & {entry.key, entry.path, f"{entry.cache}/{entry.path}"}:
        return False
    if chosen.cache and chosen.cache not in (entry.kind, entry.cache):
        return False
    if chosen.sm and not any(sm.asked(one, chosen.sm) for one in (*entry.sm, entry.target or "")):
        return False
    if chosen.stale and not entry.stale:
        return False
    if chosen.ir_only and not ir.applies(entry):
        return False
    return not chosen.incomplete or entry.state == "orphan"


def draft(found: Kernels, scanner: Scanner, chosen: Selection, into: Drafting) -> None:
    """Add the entries that `chosen` means to a draft. `found` is the newest picture of `scanner`, with detail."""
    names = {} if chosen.max_size is None else scanner.linked()
    entries, missing = meant(
        found,
        chosen,
        into.now,
        lambda entry: _stays(entry, scanner, chosen, into),
        lambda entry: {(device, inode): size for device, inode, size in names.get((entry.cache, entry.path), ())},
    )
    into.missing += missing
    for cache in dict.fromkeys(entry.cache for entry in entries):
        root = scanner.root(cache)
        with into.root(root) as at:
            if at is None:
                continue
            for entry in in_turns(entries, 4):
                if entry.cache == cache:
                    _entry(entry, root, at, scanner, chosen, into)
    into.notes += pairs.notes(found, entries, scanner, stages_only=chosen.ir_only)


def _entry(entry: Entry, root: str, at: int, scanner: Scanner, chosen: Selection, into: Drafting) -> None:
    shown = clean(os.path.join(root, entry.path))
    named = bool(chosen.names)
    if into.kept(shown, entry.size_on_disk, *names_of(entry)):
        return
    if reason := _blocked(entry, root, scanner.removable(entry.cache), into):
        into.block(shown, entry.key, entry.size_on_disk, reason, named=named)
        return
    try:
        work = _work(entry, root, at, scanner, chosen, into)
    except (OSError, KeyError) as error:
        into.block(shown, entry.key, entry.size_on_disk, _why(error), named=named)
        return
    if work is not None:
        into.add(work)


def _stays(entry: Entry, scanner: Scanner, chosen: Selection, into: Drafting) -> bool:
    """Whether something keeps an entry that was asked for."""
    root = scanner.root(entry.cache)
    if into.keeps(*names_of(entry)) or _blocked(entry, root, scanner.removable(entry.cache), into):
        return True
    try:
        with into.root(root) as at:
            work = None if at is None else _work(entry, root, at, scanner, chosen, into)
            return at is None or (work is not None and into.obstacle(work) is not None)
    except (OSError, KeyError):
        return True


def _work(entry: Entry, root: str, at: int, scanner: Scanner, chosen: Selection, into: Drafting) -> Work | None:
    """What has to move for an entry; None for nothing. Raises OSError, and KeyError where it is gone."""
    where = scanner.location(entry) if "�" in entry.path or "…" in entry.path else os.path.join(root, entry.path)
    folder, name = os.path.split(os.path.relpath(where, root))
    parents = tuple(folder.split("/")) if folder else ()
    with opened(parents, at) as inner:
        group = None
        if chosen.ir_only:
            moves, measured, group = ir.moves(root, parents, name, inner, into.users)
        else:
            moves, measured = _moves(entry, root, parents, name, inner, scanner, into)
    if not moves:
        return None
    measured.pids |= into.use.loaded(entry.kind, entry.key)
    item = into.item(
        kind=entry.kind, key=entry.key, path=clean(os.path.join(root, entry.path)), measured=measured,
        reasons=reasons(entry, chosen), rebuild=_rebuild(entry, chosen), name=entry.name, sm=entry.sm,
    )  # fmt: skip
    return Work(item=item, moves=moves, measured=measured, group=group, named=bool(chosen.names))


def _why(error: OSError | KeyError) -> str:
    return f"it could not be looked at: {words(error) if isinstance(error, OSError) else 'it is gone'}"


def _moves(
    entry: Entry, root: str, parents: tuple[str, ...], name: str, inner: int, scanner: Scanner, into: Drafting
) -> tuple[list[Move], Measured]:
    """Every name on disk that belongs to an entry: one folder, one file, several files, or a whole cache."""
    if name == ".":
        names = [one for one in os.listdir(inner) if not one.startswith(TRASH)]
        parents = ()
    elif entry.part in _WHOLE or entry.kind in ("triton", "nvrtc", "torch-extensions"):
        names = [name]
    else:
        below = "/".join(parents)
        owner = f"{below}/{name}" if below else name
        names = sorted(
            one for one in os.listdir(inner) if scanner.owner(entry.cache, f"{below}/{one}" if below else one) == owner
        )
    measured = Measured()
    moves = []
    for one in names:
        moves.append(move(root, parents, one, inner))
        measure(one, inner, into.users, measured)
    return moves, measured


def _blocked(entry: Entry, root: str, removable: bool, into: Drafting) -> str | None:
    if entry.kind == "hf-kernels":
        return "it lies in the Hugging Face cache: `cachetop prune models` takes it with its repo"
    if not removable or entry.part == NOT_UNDERSTOOD:
        return f"what lies in a {entry.kind} cache is not understood: only the program that made it can clean it"
    if entry.path == "." and (shared := _shared(root)):
        return f"its folder {shared}: all of it would go, not only the {entry.kind} cache"
    if entry.state == "compiling":
        return f"compiling: last written {units.age(entry.created, into.now)} ago, or its compiler still runs"
    if entry.part == "locks":
        return "it holds Inductor's locks: a process may wait on one of them"
    if entry.kind == "inductor" and is_locked(os.path.join(root, "locks", f"{entry.key}.lock")):
        return "locked: a process is building it now"
    if entry.kind == "torch-extensions":
        baton = os.path.join(root, entry.path, "lock")
        try:
            age = time.time() - os.lstat(baton).st_mtime
        except OSError:
            return None
        return "locked: a build began less than ten minutes ago" if age < 600 else None
    return None


def _shared(root: str) -> str | None:
    """Why what lies in a cache root is not all the cache's own; None where nothing tells so."""
    found = locations.holders(
        [
            (locations.hf_home()[0], "HF_HOME, where the login token lies"),
            (locations.hub().path, "the Hugging Face cache"),
            (str(locations.state_dir()), "cachetop's state folder"),
            (locations.home(os.environ), "the home folder"),
        ]
    )
    key = locations.identity(root)
    return found.get(key) if key else None


def reasons(entry: Entry, chosen: Selection) -> tuple[str, ...]:
    """Why an entry goes: its verdicts with their evidence, and the selectors that meant it."""
    found = [f"{one.rule}: {one.evidence}" for one in entry.stale]
    if chosen.older_than is not None:
        found.append(f"last used {units.age(entry.last_used)} ago")
    if chosen.max_size is not None:
        found.append(f"least recently used beyond {units.size(chosen.max_size)}")
    if chosen.ir_only:
        found.append("intermediate stages only: the machine code stays and loads")
    if chosen.sm:
        found.append(f"made for {' '.join(entry.sm) or 'an unknown SM'}")
    if chosen.incomplete and not found:
        found.append("the compile never finished")
    return tuple(found) or ("asked for",)


def _rebuild(entry: Entry, chosen: Selection) -> Rebuild | None:
    if chosen.ir_only:
        return Rebuild(milliseconds=0.0, note="nothing has to be compiled again")
    if entry.state == "orphan":
        return Rebuild(milliseconds=0.0, note="nothing to lose: it was never usable")
    return Rebuild(milliseconds=entry.build_milliseconds)
