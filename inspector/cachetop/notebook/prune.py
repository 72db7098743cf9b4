"""`%cachetop prune` and `%cachetop undo`: the command line's plan, confirmed by a call instead of an answer."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from cachetop import config, locations
from cachetop.base import units
from cachetop.base.hostile import show
from cachetop.base.readonly import is_read_only
from cachetop.base.record import why
from cachetop.gpu.present import sms
from cachetop.hub.roots import roots
from cachetop.notebook import prune_sheet
from cachetop.notebook.output import Output
from cachetop.notebook.sheet import Sheet, count
from cachetop.notebook.show import Shown, bundle
from cachetop.prune.confirm import THRESHOLD, agrees
from cachetop.prune.execute import execute
from cachetop.prune.plan import plan
from cachetop.prune.records import Failed, Plan, Result, Undone
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.selection import Selection, of_policy, selection
from cachetop.prune.undo import NothingToUndo, undo
from cachetop.prune.waiting import look, sentences, stop
from cachetop.prune.words import words
from cachetop.prune.work import Draft

_SELECTORS = (
    "names", "stale", "sm", "assume_sm", "cache", "ir_only", "detached", "superseded", "older_than", "incomplete",
    "max_size", "all",
)  # fmt: skip


class Planned(Shown):
    """A plan to look at. Nothing of it has happened before `execute`, which works once."""

    def __init__(self, draft: Draft, asked: argparse.Namespace, undo_for: float, output: Output) -> None:
        self.plan: Plan = draft.plan
        """What would go, what stays and why."""
        self.result: Result | None = None
        """What happened, after `execute`."""
        self._draft = draft
        self._undo_for = undo_for
        self._now = asked.now or undo_for == 0
        self._read_only = asked.read_only
        self._output = output

    def execute(self, size: str | None = None, *, yes: bool = False) -> Result:
        """Do it, each item checked again. Interrupting the cell stops it between two steps and shows what went.

        A plan that frees more than `THRESHOLD` needs its `size` as the plan shows it, or `yes`. Raises UsageError
        with a sentence where nothing is done: read-only, a second time, the size is missing, no journal.
        """
        _refuse_read_only(self._read_only)
        if self.result is not None:
            raise UsageError("This plan was executed before; `result` says what happened. Make a new plan.")
        if not yes and self.plan.frees > THRESHOLD and not agrees(size or "", self.plan.frees):
            raise UsageError(f"This frees {units.size(self.plan.frees)}. Confirm it by its size: {self._call}")
        _recover()
        state = locations.state_dir()
        with _interruptible() as cancel:
            try:
                self.result = execute(self._draft, state, undo=self._undo_for, now=self._now, cancel=cancel)
            except OSError as error:
                raise UsageError(
                    f"Nothing was deleted: the journal below {show(str(state))} cannot be written: {why(error)}"
                ) from None
        if cancel.is_set():
            self._output.show(bundle(self.result))
            raise KeyboardInterrupt
        return self.result

    @property
    def _call(self) -> str:
        return f'execute("{units.size(self.plan.frees)}")' if self.plan.frees > THRESHOLD else "execute()"

    def __repr__(self) -> str:
        return f"<Planned {self.plan.id}: {prune_sheet.plan(self.plan).title}>"

    def shown(self) -> Sheet:
        """The plan, and what to write to execute it."""
        shown = prune_sheet.plan(self.plan)
        if self.result is not None:
            shown.remark("note", "This plan was executed.")
        elif self.plan.items:
            shown.remark("note", f"Nothing has been deleted. To do it: _.{self._call} (_ is what the last cell gave).")
        return shown


class Trash(Shown):
    """What earlier prunes still hold for undo. Nothing of it goes before `execute`."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._place = locations.state_dir(), [one.path for one in (*roots(), *locations.kernel_roots())]
        self._waiting = look(*self._place)
        self.plans: tuple[str, ...] = tuple(dict.fromkeys(one.id for one in self._waiting))
        """The plans whose items can be brought back, or could not be unlinked yet."""

    def execute(self) -> Result:
        """Unlink all of it for good. Raises UsageError in read-only mode."""
        _refuse_read_only(self._asked.read_only)
        gone, _ = empty_all(*self._place)
        failed = tuple(Failed(path=name, error=words(error)) for name, error in gone.errors)
        return Result(failed=failed, freed=gone.freed)

    def shown(self) -> Sheet:
        """The plans it holds."""
        made = Sheet(f"The trash holds {count(len(self.plans), 'plan')}" if self.plans else "The trash is empty")
        made.table("", "PLAN|WHAT IT HOLDS", [(one.id, one.sentence) for one in self._waiting])
        if self.plans:
            made.remark("note", "To unlink what it holds for good: _.execute() (_ is what the last cell gave).")
        return made

    @property
    def notes(self) -> tuple[str, ...]:
        """How many plans it holds something of, and a sentence on each."""
        return sentences(self._waiting)

    def keep(self) -> tuple[str, ...]:
        """Let nothing of it be unlinked by itself; returns what is left, as `notes`. Raises UsageError."""
        _refuse_read_only(self._asked.read_only)
        try:
            return sentences(stop(*self._place))
        except OSError as error:
            raise UsageError(f"The trash is not kept: {words(error)}.") from None


def _trash(asked: argparse.Namespace) -> Trash | Plan | Result:
    if asked.cancel and (asked.dry_run or asked.yes or asked.now):
        raise UsageError("--cancel keeps what is in the trash; leave --dry-run, --yes and --now away.")
    if not (asked.dry_run or asked.cancel):  # else what is overdue would be unlinked now
        _recover()
    waiting = Trash(asked)
    if asked.cancel:
        return Plan(notes=waiting.keep())
    if asked.dry_run:
        return Plan(notes=waiting.notes)
    return waiting.execute() if asked.yes else waiting


def prune(asked: argparse.Namespace, output: Output) -> Planned | Trash | Plan | Result:
    """The plan to confirm; with `--dry-run` only its record, with `--yes` what happened.

    Raises UsageError with a sentence without a selector, in read-only mode with `--yes`, or for a configuration
    that cannot be used, and ValueError for a selector that makes no sense.
    """
    for name in ("dry_run", "yes", "now", "force", "read_only"):
        setattr(asked, name, getattr(asked, name, False) or getattr(asked, f"top_{name}"))
    if asked.what is None and not asked.policy:
        raise UsageError(
            "Say what to prune: %cachetop prune kernels or models, with a selector; %cachetop prune trash; or --policy."
        )
    if asked.what is not None and asked.policy:
        raise UsageError("--policy has its selectors in the configuration; leave kernels, models and trash away.")
    if asked.yes and not asked.dry_run:
        _refuse_read_only(asked.read_only)
    if asked.what == "trash":
        return _trash(asked)
    try:
        settings = config.load(locations.config_file())
    except config.ConfigError as error:
        raise UsageError(show(str(error))) from None
    draft = plan(_selections(asked, settings), keep=settings.keep, force=asked.force, sms=sms())
    if asked.dry_run:
        return draft.plan
    planned = Planned(draft, asked, settings.undo, output)
    if not asked.yes:
        return planned
    output.show(bundle(draft.plan))
    return planned.execute(yes=True)


def _selections(asked: argparse.Namespace, settings: config.Config) -> list[Selection]:
    if asked.policy:
        if not settings.policy:
            raise UsageError(f"{show(settings.path)} has no [[prune.policy]]; nothing says what to remove.")
        return of_policy(settings.policy)
    given = {name: getattr(asked, name) for name in _SELECTORS if hasattr(asked, name)}
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    chosen = selection(asked.what, filters=tuple(asked.filter), **(given | tuples))
    if chosen.is_empty:
        raise UsageError(
            f"Name what to prune of the {asked.what}, or give a selector such as --older-than 30d; --all means all."
        )
    return [chosen]


def take_back(asked: argparse.Namespace) -> Undone:
    """`%cachetop undo [PLAN]`. Raises UsageError with a sentence when nothing can be brought back."""
    _refuse_read_only(asked.read_only)
    _recover()
    state = locations.state_dir()
    try:
        return undo(state, asked.plan)
    except NothingToUndo as nothing:
        raise UsageError(show(str(nothing))) from None
    except OSError as error:
        raise UsageError(f"The journals below {show(str(state))} cannot be used: {why(error)}") from None


def _refuse_read_only(flag: bool) -> None:
    if flag or is_read_only():
        raise UsageError("This is read-only (--read-only or CACHETOP_READ_ONLY): nothing is deleted or brought back.")


def _recover() -> None:
    for sentence in recover(locations.state_dir()):
        print(f"cachetop: {sentence}")  # noqa: T201


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that an interrupt sets, where this thread may say what an interrupt does."""
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    before = signal.signal(signal.SIGINT, lambda *_: cancel.set())
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
