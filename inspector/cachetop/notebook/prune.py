"""`%cachetop prune` and `%cachetop undo`: the command line's plan, confirmed by a call instead of an answer."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError

from cachetop import config, locations
from cachetop.base import units
from cachetop.base.hostile import show
from cachetop.base.readonly import is_read_only
from cachetop.base.record import why
from cachetop.gpu.present import sms
from cachetop.notebook import markup, plain, prune_sheet
from cachetop.notebook.output import Output
from cachetop.notebook.own_use import respected
from cachetop.notebook.show import bundle
from cachetop.prune.confirm import THRESHOLD, agrees
from cachetop.prune.execute import execute
from cachetop.prune.plan import plan
from cachetop.prune.records import Plan, Result, Undone
from cachetop.prune.recover import recover
from cachetop.prune.selection import selection
from cachetop.prune.undo import NothingToUndo, undo
from cachetop.prune.work import Draft

_SELECTORS = (
    "names", "stale", "sm", "assume_sm", "cache", "ir_only", "detached", "older_than", "incomplete", "max_size", "all",
)  # fmt: skip


class Planned:
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
        state, draft = locations.state_dir(), _respected(self._draft)
        with _interruptible() as cancel:
            try:
                self.result = execute(draft, state, undo=self._undo_for, now=self._now, cancel=cancel)
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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        shown = prune_sheet.plan(self.plan)
        if self.result is not None:
            shown.remark("note", "This plan was executed.")
        elif self.plan.items:
            shown.remark("note", f"Nothing has been deleted. To do it: _.{self._call} (_ is what the last cell gave).")
        return {"text/plain": plain.text(shown), "text/html": markup.html(shown)}


def prune(asked: argparse.Namespace, output: Output) -> Planned | Plan | Result:
    """The plan to confirm; with `--dry-run` only its record, with `--yes` what happened.

    Raises UsageError with a sentence without a selector, in read-only mode with `--yes`, or for a configuration
    that cannot be used, and ValueError for a selector that makes no sense.
    """
    if asked.what is None:
        raise UsageError("Say what to prune: %cachetop prune kernels or models, with a selector.")
    if asked.yes and not asked.dry_run:
        _refuse_read_only(asked.read_only)
    try:
        settings = config.load(locations.config_file())
    except config.ConfigError as error:
        raise UsageError(show(str(error))) from None
    given = {name: getattr(asked, name) for name in _SELECTORS if hasattr(asked, name)}
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    chosen = selection(asked.what, filters=tuple(asked.filter), **(given | tuples))
    if chosen.is_empty:
        raise UsageError(
            f"Name what to prune of the {asked.what}, or give a selector such as --older-than 30d; --all means all."
        )
    draft = _respected(plan([chosen], keep=settings.keep, force=asked.force, sms=sms()))
    if asked.dry_run:
        return draft.plan
    planned = Planned(draft, asked, settings.undo, output)
    if not asked.yes:
        return planned
    output.show(bundle(draft.plan))
    return planned.execute(yes=True)


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


def _respected(draft: Draft) -> Draft:
    try:
        return respected(draft)
    except OSError as error:
        raise UsageError(f"Nothing was deleted: what this process uses cannot be told: {why(error)}") from None


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
