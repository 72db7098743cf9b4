"""The review screen: a plan to look through, to thin out and to confirm; then what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from cachetop import locations
from cachetop.base.hostile import clean
from cachetop.base.units import size
from cachetop.prune.confirm import THRESHOLD, agrees
from cachetop.prune.execute import execute
from cachetop.prune.narrow import narrowed
from cachetop.prune.records import Plan, Result
from cachetop.prune.waiting import look_at
from cachetop.prune.work import Draft
from cachetop_tui import garbage
from cachetop_tui.background import in_background
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Press, Sentence
from cachetop_tui.lines import LineView
from cachetop_tui.marks import Line, Pen, Row
from cachetop_tui.prune import lines
from cachetop_tui.prune.disk import Disks

_EVERY = 1.0
"""Seconds between two looks at the trash."""


class PlanView(LineView):
    """The plan as a list. Space takes an item out of it, or in again."""

    def __init__(self, draft: Draft, undo: float, groups: Sequence[lines.Group], disks: Disks) -> None:
        super().__init__(id="plan")
        self._undo = undo
        self._groups = groups
        self.draft = draft
        self.off: set[int] = set()
        self.shown: Plan = draft.plan
        """The plan without what was taken out."""
        self.result: Result | None = None
        self.state = ("nothing is deleted yet", "ok")
        self._disks = disks

    def headers(self, width: int) -> list[Line]:
        """Bytes and the disk."""
        return [*lines.headers(self.shown, self._disks.share(self.shown), width, *self.state), Line()]

    def rows(self, width: int, height: int) -> Sequence[Row]:
        """The plan, or what came of it."""
        if self.result is None:
            return lines.rows(self.draft.plan, self._groups, self.off, self.unfolded, width, self._undo, height)
        return lines.told(self.result, width)

    def line(self, row: Row, width: int) -> Line:
        """One row of either."""
        if row.kind == "told":
            pen = Pen(width)
            pen.put(2, *row.subject)
            return pen.line()
        return lines.line(row, self.draft.plan, self.off, width)

    def action_mark(self) -> None:
        """Take what the row stands for out of the plan, or in again."""
        row = self.cursor
        numbers = set(lines.members(row)) if row is not None and self.result is None else set()
        if not numbers:
            return
        self.off = self.off - numbers if numbers <= self.off else self.off | numbers
        self.update_lines()
        self.action_move(1)
        self.post_message(self.Marked())

    def empty(self, draft: Draft) -> None:
        """Hold only `draft` from now on."""
        self.draft, self.shown, self.result = draft, draft.plan, None
        self._groups, self._rows, self._disks = (), (), Disks()


class ReviewScreen(Dialog[Result | None]):
    """Shows a plan; returns the result when it was carried out, None when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", show=False),
        Binding("q", "leave", "leave", show=False),
        Binding("tab", "app.focus_next", "next", show=False),
        Binding("shift+tab", "app.focus_previous", "previous", show=False),
    ]
    DEFAULT_CSS = """
    ReviewScreen { background: $background; }
    ReviewScreen > Vertical { width: 100%; height: 100%; }
    ReviewScreen #foot { height: 3; background: $panel; }
    ReviewScreen .line { height: 1; }
    ReviewScreen Input { width: 16; }
    ReviewScreen Press { width: 17; }
    """

    def __init__(
        self,
        draft: Draft,
        undo_seconds: float,
        *,
        read_only: bool = False,
        groups: Sequence[lines.Group] | None = None,
        disks: Disks | None = None,
    ) -> None:
        """`groups` as by `lines.groups`, and the `disks` of its roots, where somebody has asked for them before."""
        super().__init__()
        self._draft = draft
        self._groups = lines.groups(draft.plan) if groups is None else groups
        self._disks = disks or Disks()
        self._undo = undo_seconds
        self._read_only = read_only
        self._cancel = threading.Event()
        self._at_work = False
        self._thinning = 0
        self._narrow = draft
        """The draft without what was taken out."""
        self._view: PlanView | None = None

    def compose(self) -> ComposeResult:
        """The list, and below it what confirms."""
        with Vertical():
            yield Sentence(f"Prune plan {self._draft.plan.id}", "b:hi", id="title")
            self._view = PlanView(self._draft, self._undo, self._groups, self._disks)
            yield self._view
            with Vertical(id="foot"):
                yield Sentence(id="ask")
                with Horizontal(classes="line", id="answer"):
                    yield Input(placeholder="size", compact=True, id="size")
                    yield Press("Move to trash" if self._undo else "Delete for good", id="go")
                    yield Press("Keep all", id="keep", default=True)
                yield Sentence(
                    "↑↓ move  Space keep or take  Tab to the buttons  Esc leave, nothing is deleted", id="hint"
                )

    def on_mount(self) -> None:
        """The cursor stands on the plan; nothing dangerous has the focus."""
        self.query_one(PlanView).focus()
        self._ask()

    @property
    def _plan(self) -> Plan:
        return self.query_one(PlanView).shown

    def _ask(self) -> None:
        plan, ask = self._plan, self.query_one("#ask", Sentence)
        typed = self.query_one("#size", Input)
        typed.display = plan.frees > THRESHOLD and not self._read_only
        go = self.query_one("#go", Press)
        go.display = not self._read_only and bool(plan.items) and (not typed.display or agrees(typed.value, plan.frees))
        if self._read_only:
            ask.say("This is read-only: nothing can be deleted from here.", "warn")
        elif not plan.items:
            ask.say("Nothing would go.", "dim")
        elif typed.display and not go.display:
            ask.say(f"Type the size that will be freed, {size(plan.frees)}, to confirm", "fg")
        else:
            ask.say(f"{lines.count(len(plan.items))}, {size(plan.frees)}", "fg")

    @on(LineView.Marked)
    def _thin_out(self) -> None:
        self._thinning += 1
        self._thin(self._thinning)

    @work
    async def _thin(self, number: int) -> None:
        view = self.query_one(PlanView)
        keep = set(range(len(self._draft.work))) - view.off
        try:
            thinner = await in_background(self._narrowed, keep)
        except OSError as error:
            self.query_one("#ask", Sentence).say(f"It cannot be thinned out: {error.strerror}.", "err")
            return
        if number == self._thinning and not self._at_work:
            view.shown = thinner.plan
            self._narrow = thinner
            view.update_lines()
            self._ask()

    def _narrowed(self, keep: set[int]) -> Draft:
        """The draft with only these items, and what of it lies on which disk. Blocks."""
        thinner = narrowed(self._draft, keep)
        self._disks.share(thinner.plan)
        return thinner

    @on(Input.Changed, "#size")
    def _typed(self) -> None:
        self._ask()

    @on(Input.Submitted, "#size")
    def _entered(self) -> None:
        if self.query_one("#go", Press).display:
            self.query_one("#go", Press).focus()

    @on(Press.Pressed, "#keep")
    def _keep(self) -> None:
        self.action_leave()

    @on(Press.Pressed, "#go")
    def _go(self) -> None:
        view = self.query_one(PlanView)
        settled = not view.off or len(view.shown.items) == len(self._draft.work) - len(view.off)
        if not self._at_work and self.query_one("#go", Press).display and settled and view.result is None:
            self._at_work = True
            self._carry_out(self._narrow)

    @work
    async def _carry_out(self, draft: Draft) -> None:
        view = self.query_one(PlanView)
        view.state = ("at work", "live")
        for name in ("#size", "#go", "#keep"):
            self.query_one(name).display = False
        self.query_one("#hint", Sentence).say("Esc stops after the item at hand")
        view.focus()
        view.update_lines()

        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def progress(step: str, done: int, total: int) -> None:
            text = f"{step} {done:,}" + (f" of {total:,}" if total else " files")
            with contextlib.suppress(RuntimeError):  # the app has ended; the plan goes on to its end
                loop.call_soon_threadsafe(self._say, text, context=context)

        try:
            result = await in_background(
                execute, draft, locations.state_dir(), undo=self._undo, now=not self._undo, progress=progress,
                cancel=self._cancel,
            )  # fmt: skip
        except OSError as error:
            view.state = ("nothing was deleted", "err")
            self._say(f"The journal could not be written, so nothing was touched: {clean(str(error.strerror))}.", "err")
            self._at_work = False
            view.update_lines()
            return
        self._at_work = False
        view.result = result
        view.touched = view.placed = False
        view.state = ("done", "ok") if not result.failed else (f"{len(result.failed)} failed", "err")
        view.update_lines()
        self._say(f"{len(result.deleted)} deleted, {len(result.failed)} failed, {len(result.skipped)} left", "fg")
        self.query_one("#hint", Sentence).say("Esc leaves")
        if result.undo_until is not None:
            self._follow(result)

    @work
    async def _follow(self, result: Result) -> None:
        """Say what becomes of the trash for as long as the result is looked at."""
        hint = self.query_one("#hint", Sentence)
        while (there := await in_background(look_at, locations.state_dir(), result.id)) is not None:
            hint.say(f"Esc leaves. {there.sentence}")
            await asyncio.sleep(_EVERY)
        hint.say(f"Esc leaves. The trash of plan {result.id} is empty: unlinked, or brought back.")

    def _say(self, text: str, word: str = "fg") -> None:
        self.query_one("#ask", Sentence).say(text, word)

    def action_leave(self) -> None:
        """Leave; while it is at work, stop after the item at hand."""
        if self._at_work:
            self._cancel.set()
        else:
            self.dismiss(self.query_one(PlanView).result)

    def on_unmount(self) -> None:
        """Let go of the plan, which may be large: a screen is part of cycles and stays until the collector comes by."""
        garbage.let_go(*(pile for draft in (self._draft, self._narrow) for pile in (draft.work, draft.plan.items)))
        nothing = msgspec.structs.replace(self._draft.plan, items=(), blocked=(), kept=())
        self._draft = self._narrow = Draft(nothing, [], {}, False, 0)
        self._groups, self._disks = (), Disks()
        if self._view is not None:
            self._view.empty(self._draft)
