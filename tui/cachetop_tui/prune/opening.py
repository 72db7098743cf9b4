"""The ways into the review: from marked rows, from the stale rules, and back again by undo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from textual.app import App

from cachetop import config, locations
from cachetop.base.collecting import collecting_later
from cachetop.base.hostile import clean
from cachetop.base.readonly import is_read_only
from cachetop.base.record import why
from cachetop.gpu.present import sms
from cachetop.hub.records import Repo, Revision
from cachetop.hub.roots import roots as hub_roots
from cachetop.kernelcache.records import Entry
from cachetop.prune.plan import plan
from cachetop.prune.records import Undone
from cachetop.prune.recover import recover
from cachetop.prune.selection import Selection
from cachetop.prune.undo import undo
from cachetop.prune.waiting import Waiting, look, stop
from cachetop.prune.work import Draft
from cachetop_tui.background import in_background
from cachetop_tui.prune.disk import Disks
from cachetop_tui.prune.lines import Group, groups
from cachetop_tui.prune.review import ReviewScreen

STALE = Selection("kernels", stale=True)
"""What the command 'Kernels: Prune stale' plans."""
SUPERSEDED = Selection("models", superseded=True)
"""What the command 'Models: Prune superseded' plans."""

_LISTED = 5


def marked(repos: Iterable[tuple[Repo, Revision | None]], entries: Iterable[Entry]) -> list[Selection]:
    """The selections for rows that were marked: repos or single revisions, and kernel entries."""
    by_root: dict[str, list[str]] = {}
    for repo, revision in repos:
        name = f"{repo.type}/{repo.id}" + (f"@{revision.commit}" if revision else "")
        by_root.setdefault(repo.root, []).append(name)
    kernels = tuple(f"{entry.cache}/{entry.path}" for entry in entries)
    found = [Selection("models", names=tuple(names), roots=(root,)) for root, names in by_root.items()]
    return found + ([Selection("kernels", names=kernels)] if kernels else [])


async def plan_and_review(app: App[Any], selections: Sequence[Selection]) -> None:
    """Make a plan off the event loop, then open its review. What goes wrong is said as a notification."""
    try:
        settings = config.load(locations.config_file())
        draft, grouped, disks = await in_background(_plan, tuple(selections), settings)
    except (config.ConfigError, ValueError, OSError) as error:
        app.notify(_sentence(error), severity="error", markup=False)
        return
    app.push_screen(ReviewScreen(draft, settings.undo, read_only=is_read_only(), groups=grouped, disks=disks))


def _plan(selections: Sequence[Selection], settings: config.Config) -> tuple[Draft, list[Group], Disks]:
    with collecting_later():  # it may be for very many entries
        draft = plan(selections, keep=settings.keep, sms=sms())
        found = Disks(draft.roots)
        found.share(draft.plan)
        return draft, groups(draft.plan), found


def _sentence(error: Exception) -> str:
    """What went wrong, for the person: of the system's errors its own words, and where."""
    if isinstance(error, OSError):
        where = f"{clean(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return f"{where}{why(error)}."
    return clean(str(error))


async def undo_last(app: App[Any]) -> None:
    """Bring back what the newest plan deleted, and say what came of it."""
    if is_read_only():
        app.notify("This is read-only: nothing is brought back.", severity="warning", markup=False)
        return
    try:
        done = await in_background(undo, locations.state_dir())
    except Exception as error:  # NothingToUndo and OSError alike are sentences for the person
        app.notify(_sentence(error), severity="warning", markup=False)
        return
    app.notify(told(done), severity="error" if done.failed else "information", markup=False)


async def show_trash(app: App[Any]) -> None:
    """Say what the trash holds, until when, and how far unlinking it is."""
    app.notify(_listed(await in_background(look, *_places())), markup=False, timeout=12)


async def keep_trash(app: App[Any]) -> None:
    """Stop unlinking, and keep what is left until somebody empties the trash."""
    if is_read_only():
        app.notify("This is read-only: the trash is left as it is.", severity="warning", markup=False)
        return
    try:
        left = await in_background(stop, *_places())
    except OSError as error:
        app.notify(f"The trash is not kept: {clean(error.strerror or '')}.", severity="error", markup=False)
        return
    app.notify(_listed(left), markup=False, timeout=12)


def _places() -> tuple[Path, list[str]]:
    return locations.state_dir(), [one.path for one in (*hub_roots(), *locations.kernel_roots())]


def _listed(waiting: Sequence[Waiting]) -> str:
    if len(waiting) > _LISTED:
        rest = f"and {len(waiting) - _LISTED} more: cachetop prune trash --dry-run"
        return "\n".join([*(one.sentence for one in waiting[:_LISTED]), rest])
    return "\n".join(one.sentence for one in waiting) or "The trash is empty."


def told(done: Undone) -> str:
    """What an undo did, in one sentence."""
    said = f"{len(done.restored)} back"
    if done.skipped:
        said += f", {len(done.skipped)} left alone because they exist again"
    if done.failed:
        said += f", {len(done.failed)} failed: {done.failed[0].error}"
    return said + "."


def take_up() -> list[str]:
    """At the start of the app, off the event loop: bring plans that were cut short to an end; sentences on that."""
    return [] if is_read_only() else recover(locations.state_dir())
