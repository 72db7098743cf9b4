"""The editor area of the workbench: opening documents from rows, and the tabs they stand in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from cachetop.base.hostile import clean, show
from cachetop.base.record import why
from cachetop_tui.background import in_background
from cachetop_tui.commands.registry import PANES
from cachetop_tui.lines import LineView
from cachetop_tui.steady import Steady
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.tabs import Document, Tab, Tabs, TabStrip

if TYPE_CHECKING:
    from cachetop.summary import StatusProblem


class Editor(Steady[None], inherit_bindings=False):
    """A screen that has tabs. What stands around them is the business of `Overview`."""

    ALLOW_SELECT: ClassVar[bool] = False
    """Lines that are painted have no text that the mouse could select; terminals do that with Shift held."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.clock = clock
        self.tabs = Tabs()
        self.picture = Picture()
        self.pane = PANES[0]
        """The pane in focus, also while a dialog covers it."""
        self._origin = PANES[0]
        """The pane from which a document was opened: there Esc leads back."""

    def lay_out(self) -> None:
        """Give every part the room it should have now."""
        raise NotImplementedError

    def narrow(self, text: str) -> None:
        """Show only the rows of the list in focus that `text` means."""
        raise NotImplementedError

    def focus_pane(self, pane: str) -> None:
        """Put the cursor into `pane`."""
        raise NotImplementedError

    @property
    def origin(self) -> str:
        """The pane from which the document in front was opened, if it can still be seen, else the models."""
        found = self.query(f"#{self._origin}")
        seen = any(widget.id not in ("side", "glance") or widget.is_on_screen for widget in found)
        return self._origin if seen else PANES[0]

    @on(LineView.Opened)
    async def _row_opened(self, message: LineView.Opened) -> None:
        from cachetop_tui.workbench.opening import document_of, problem_of

        if message.row.kind == "setting":
            app: Any = self.app
            await app.change_setting(message.row.subject[3])
            message.view.update_lines()
            return
        if message.row.kind == "prospect":
            from cachetop_tui.workbench.glance import FILTERS

            pane, text = FILTERS[message.row.subject.name]
            self.focus_pane(pane)
            self.narrow(text)
            return
        problem = problem_of(message.row)
        if problem is not None:
            await self._mend(problem)
            return
        document = document_of(message.row, self.picture)
        if document is not None:
            self.open_document(document, stay=message.view.id in ("side", "glance"))

    async def _mend(self, problem: StatusProblem) -> None:
        """Open the review of the plan that mends a problem; where there is none say all about it."""
        from cachetop_tui.workbench.problems import fix_of, judged, review_of

        wanted = review_of(problem)
        if wanted is None:
            said = f"{show(problem.message, 400)}\n{fix_of(problem)}"
            self.notify(said, title=clean(problem.rule, 40), severity="warning", markup=False, timeout=15)
            return
        from cachetop_tui.prune.opening import plan_and_review

        await plan_and_review(self.app, [judged(wanted, self.picture.gpus)])

    def open_document(self, document: Document, stay: bool = False) -> None:
        """Bring a document to the front and read it; the cursor goes there unless it should `stay` the first time."""
        if self.pane != "document":
            self._origin = self.pane
        again = self.tabs.current is not None and self.tabs.current.document.key == document.key
        tab = self.tabs.open(document)
        if tab.record is None:
            self.read(tab)
        self._turned()
        if again or not stay:
            self.focus_pane("document")

    def read(self, tab: Tab) -> None:
        """Fetch what a tab shows, in a thread of its own."""

        async def fetch() -> None:
            try:
                tab.record, tab.problem = await in_background(tab.document.load), ""
            except OSError as error:
                tab.problem = f"This cannot be read: {why(error)}."
            except (ValueError, LookupError) as error:
                tab.problem = show(str(error.args[0] if error.args else error), 400)
            except Exception as error:  # else it would say for ever that it is being read
                tab.problem = show(f"This cannot be shown: {type(error).__name__}: {error}", 400)
            if self.tabs.current is tab:
                self._show()

        self.run_worker(fetch(), exit_on_error=False)

    def renew(self, document: Document) -> None:
        """Show what a document says now, if it is in front; its `load` costs nothing."""
        for tab in self.tabs.tabs:
            if tab.document.key == document.key:
                tab.record = document.load()
        if self.tabs.current is not None and self.tabs.current.document.key == document.key:
            self._show()

    def _show(self) -> None:
        from cachetop_tui.workbench.document import DocumentView

        for view in self.query(DocumentView):
            view.show(self.tabs.current)

    def _turned(self) -> None:
        """Another tab is in front, or there are others."""
        strip = self.query_one(TabStrip)
        strip.display = bool(self.tabs.tabs)
        self.lay_out()
        strip.repaint()
        self._show()

    @on(TabStrip.Picked)
    def _tab_picked(self, message: TabStrip.Picked) -> None:
        self.turn_to(message.index)

    def turn_to(self, index: int) -> None:
        """Bring tab `index` to the front; -1 is the overview."""
        self.tabs.front = index
        self._turned()
        self.focus_pane("document" if self.tabs.current else self.origin)

    def action_overview(self) -> None:
        """Back to the overview; the tabs stay."""
        self.turn_to(-1)

    async def action_pin(self) -> None:
        """Follow the link under the cursor; elsewhere keep the preview as a tab."""
        from cachetop_tui.workbench.document import DocumentView

        tab = self.tabs.current
        if tab is None:
            return
        link = self.query_one(DocumentView).link
        if link is not None and tab.document.act is not None:
            await tab.document.act(link.target)
            if self.tabs.current is tab:
                self._show()
            return
        tab.pinned = True
        self.query_one(TabStrip).repaint()

    def action_close_tab(self) -> None:
        """Close the tab in front."""
        if self.tabs.current is not None:
            self.tabs.close()
            self.turn_to(self.tabs.front)

    def action_step_tab(self, by: int) -> None:
        """The next tab (1) or the one before (-1)."""
        if self.tabs.tabs:
            self.tabs.step(by)
            self.turn_to(self.tabs.front)

    def reread(self) -> bool:
        """Read the document in front again; False where there is none."""
        tab = self.tabs.current
        if tab is not None:
            self.read(tab)
        return tab is not None
