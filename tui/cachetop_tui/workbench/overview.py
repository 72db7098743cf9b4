"""The overview: the three live panes and the conversion panel, laid out by the size of the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from cachetop_tui.commands.registry import LISTS, PANES
from cachetop_tui.lines import LineView
from cachetop_tui.panes.gpu import GpuPane
from cachetop_tui.panes.kernels import KernelsPane
from cachetop_tui.panes.models import ModelsPane
from cachetop_tui.workbench.chrome import QUICK_OPEN, Divider, Hints, TopStrip
from cachetop_tui.workbench.live import Live
from cachetop_tui.workbench.plan import TOO_SMALL, plan
from cachetop_tui.workbench.side import ActivityBar, SideBar
from cachetop_tui.workbench.status import Status

if TYPE_CHECKING:
    from cachetop.hub.records import Repo, Revision
    from cachetop.kernelcache.records import Entry
    from cachetop_tui.panel.acting import ReportWanted
    from cachetop_tui.workbench.problems import ProblemsPane


_WITH_MENU = (*PANES, "problems", "side", "glance", "document")


class Overview(Live):
    """The workbench: bars at the left, panes or a document in the middle, the run or the problems below them."""

    DEFAULT_CSS = """
    Overview { layout: vertical; overflow: hidden; background: $background; }
    Overview #middle { height: 1fr; }
    Overview #aside { width: 31; background: $surface; display: none; }
    Overview #editor { width: 1fr; height: 1fr; }
    Overview #panes { layout: vertical; height: 1fr; }
    Overview #panes.-beside { layout: horizontal; }
    Overview #left { height: auto; width: 1fr; }
    Overview #panes.-beside #left { height: 1fr; }
    Overview Divider { display: none; }
    Overview #panes.-beside Divider { display: block; }
    Overview #bottom { background: $surface; height: 8; }
    Overview #small { display: none; padding: 0 1; }
    """

    class Ready(Message):
        """Every pane is there and can be told what to show."""

    def __init__(self, clock: Callable[[], float] = time.time, host: str | None = None) -> None:
        super().__init__(clock, host)
        self.maximised = False
        self.side: bool | None = None
        """Whether the side bar is wanted; None: where there is room."""
        self.bottom_hidden = False
        self.bottom = "conversion"
        """Which tab of the bottom panel is in front: the conversion or the problems."""
        self._before_side = PANES[0]

    def compose(self) -> ComposeResult:
        """Everything there is in any layout; the plan decides what is seen."""
        yield TopStrip()
        with Horizontal(id="middle"):
            yield ActivityBar()
            yield Container(id="aside")  # `complete` fills the empty ones, after the first frame
            with Vertical(id="editor"):
                with Container(id="panes"):
                    with Vertical(id="left"):
                        yield ModelsPane(self.clock)
                        yield KernelsPane(self.clock)
                    yield Divider()
                    yield GpuPane(self.clock)
                yield Container(id="bottom")
        yield Hints()
        yield Status()

    @staticmethod
    def load() -> None:
        """Import what `complete` needs. Takes a while: not for the event loop."""
        from textual.widgets import Static  # noqa: F401

        from cachetop_tui.panel import conversion  # noqa: F401
        from cachetop_tui.workbench import document, filterline, glance, opening, problems, tabs  # noqa: F401

    async def complete(self) -> None:
        """Add what the first frame can do without."""
        from textual.widgets import Static

        from cachetop_tui.panel.conversion import ConversionPanel
        from cachetop_tui.workbench.document import DocumentView
        from cachetop_tui.workbench.filterline import FilterLine
        from cachetop_tui.workbench.glance import Glance
        from cachetop_tui.workbench.opening import label_of, marks, opens
        from cachetop_tui.workbench.problems import ProblemsPane
        from cachetop_tui.workbench.tabs import TabStrip

        bottom = self.query_one("#bottom")
        await bottom.mount(ConversionPanel(id="conversion", clock=self.clock), ProblemsPane(self.picture))
        side = SideBar(self.picture)
        await self.query_one("#aside").mount(side, Glance(self.picture, side))
        editor = self.query_one("#editor")
        await editor.mount(TabStrip(self.tabs), before="#panes")
        await editor.mount(
            DocumentView(self.clock), FilterLine(self.narrow, lambda: self.focus_pane(self.pane)), after="#panes"
        )
        await self.mount(Static(id="small", markup=False))
        for view in self.query(LineView):
            view.opens, view.marks = opens, marks
            view.label = label_of
            view.moved = self.say_place
        self.use_profile(self.lite)
        self.lay_out()
        self.whole.set()

    # Layout

    def on_mount(self) -> None:
        """Lay out, put the cursor into the models, and let what moves by itself move once a second."""
        self.lay_out()
        self.models.focus()
        self.set_interval(1.0, self.kernels.tick)
        self.set_interval(10.0, self._age)
        self.post_message(self.Ready())

    def _age(self) -> None:
        """Ages grow; lines whose words stay the same are not sent."""
        self.models.update_lines()
        self.kernels.update_lines()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out for the new size."""
        self.lay_out()

    def lay_out(self) -> None:
        """Give every pane the room the plan says."""
        width, height = self.app.size
        document = self.tabs.current is not None
        made = plan(width, height, self.pane, self.maximised, document, self.side)
        tiny = made.mode == "tiny"
        for small in self.query("#small"):
            small.display = tiny
            if tiny:
                self._say_small(TOO_SMALL.format(width, height))
        for pane in PANES[:3]:
            self._room(self.query_one(f"#{pane}"), getattr(made, pane))
        self._room(self.query_one("#bottom"), "0" if self.bottom_hidden else made.conversion)
        for name in ("conversion", "problems"):
            for widget in self.query(f"#{name}"):
                widget.display = self.bottom == name
        bar = self.query_one("#activity")
        bar.display = made.activity > 0
        bar.styles.width = made.activity
        aside = self.query_one("#aside")
        aside.display = made.side > 0
        aside.styles.width = made.side
        self.query_one("#editor").display = made.side < width
        self.call_after_refresh(self.share_side)
        self.query_one("#middle").display = not tiny
        for view in self.query("#document"):
            view.display = made.document
        left, panes = self.query_one("#left"), self.query_one("#panes")
        left.display = made.models != "0" or made.kernels != "0"
        panes.display = (left.display or made.gpus != "0") and not made.document
        panes.set_class(made.side_by_side, "-beside")
        left.styles.width = made.left or "1fr"
        grows = "fr" in made.models or "fr" in made.kernels
        left.styles.height = "1fr" if made.side_by_side or grows else "auto"
        panes.styles.height = "1fr" if made.side_by_side or "fr" not in made.conversion else "auto"
        self.query_one(Hints).display = made.hints
        for name in ("#top", "#status"):
            self.query_one(name).display = not tiny
        self._chrome()

    def _say_small(self, text: str) -> None:
        from textual.widgets import Static

        self.query_one("#small", Static).update(text)

    @staticmethod
    def _room(widget: Widget, height: str) -> None:
        widget.display = height != "0"
        if height != "0":
            widget.styles.height = height

    # Focus

    def focus_pane(self, pane: str) -> None:
        """Put the cursor into `pane` and let it grow."""
        if pane in PANES[:3] and self.tabs.current is not None:
            self.turn_to_overview()
        if pane in ("conversion", "problems"):
            self.bottom, self.bottom_hidden = pane, False
            self.query_one("#bottom").display = True  # what is hidden cannot take the focus
        for widget in self.query(f"#{pane}"):  # some come after the first frame
            widget.display = True
            self.set_focus(widget)  # at once: `focus()` would let the keys typed meanwhile go to the pane before
            if self.focused is widget and pane != self.pane:
                self.pane = pane
                self.side_follows(pane)
                self.lay_out()

    def turn_to_overview(self) -> None:
        """Bring the panes to the front, and leave the focus to the caller."""
        self.tabs.front = -1
        self._turned()

    def toggle_side(self) -> None:
        """Show the side bar and go there, or hide it."""
        shown = self.query_one("#aside").display
        self.side = not shown
        if shown and self.pane in ("side", "glance"):
            self.focus_pane("document" if self.tabs.current else self._before_side)
        self.lay_out()
        if not shown:
            self._before_side = self.pane if self.pane in PANES else PANES[0]
            self.focus_pane("side")

    def toggle_bottom(self) -> None:
        """Hide the bottom panel, or show it again."""
        self.bottom_hidden = not self.bottom_hidden
        if self.bottom_hidden and self.pane in ("conversion", "problems"):
            self.focus_pane("document" if self.tabs.current else PANES[0])
        self.lay_out()

    def chosen(self) -> tuple[list[tuple[Repo, Revision | None]], list[Entry]]:
        """The marked repos (or single revisions of them) and entries; without marks those under the cursor."""
        views = [self.models, self.kernels]
        rows = [row for view in views for row in view.marked.values()]
        if not rows:
            rows = [row for view in views if view.has_focus and (row := view.cursor) is not None]
        repos: list[tuple[Repo, Revision | None]] = []
        for row in rows:
            if row.kind == "repo":
                repos.append((row.subject, None))
            elif row.kind == "revision":
                repos.append(row.subject)
        return repos, [row.subject for row in rows if row.kind == "entry"]

    def on_problems_pane_tab_picked(self, message: ProblemsPane.TabPicked) -> None:
        """A tab of the panel was picked while the problems were in front."""
        self.panel_tab(message.tab)

    def panel_tab(self, tab: int) -> None:
        """Bring a tab of the bottom panel to the front."""
        from cachetop_tui.panel.tabline import PROBLEMS

        if tab != PROBLEMS:
            self.focus_pane("conversion")
        self.panel.turn_to(tab)

    def choose(self, activity: str) -> None:
        """Go to an activity: its pane, and its tree where the side bar is seen."""
        if activity != "settings":
            self.focus_pane(activity)
            self.side_follows(activity)

    def place(self) -> tuple[str, ...]:
        """The breadcrumbs of where the cursor is; a document has its own, above its lines."""
        from cachetop_tui.workbench.crumbs import TRAILS, crumbs
        from cachetop_tui.workbench.here import focused
        from cachetop_tui.workbench.opening import report_document

        if self.pane == "document":  # for a moment also while the way back leads out of it
            tab = self.tabs.current
            return tab.document.trail[:1] if tab is not None else (TRAILS.get(self.origin, self.origin),)
        if self.pane == "conversion":
            run = self.panel.selected_run
            return (TRAILS[self.pane],) if run is None else report_document(run.job).trail
        view = focused(self)
        activity = self.query_one(SideBar).activity if self.pane in ("side", "glance") else self.pane
        return crumbs(activity, view.cursor if view is not None else None)

    def side_follows(self, activity: str) -> None:
        """Show the tree of an activity in the side bar."""
        for side in self.query(SideBar):
            side.choose(activity)

    def next_pane(self, by: int) -> None:
        """The next pane (1) or the one before (-1)."""
        here = PANES.index(self.pane) if self.pane in PANES else -1 if by > 0 else 0
        self.focus_pane(PANES[(here + by) % len(PANES)])

    def maximise(self) -> None:
        """Give the pane in focus all the room, or share it again."""
        self.maximised = not self.maximised
        self.lay_out()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Lay out around the pane that has the focus now; what `event` tells of may be over."""
        name = self.focused.id if self.focused is not None else None
        if name in (*PANES, "problems", "document", "side", "glance") and name != self.pane:
            self.pane = name
            self.side_follows(name)
            self.lay_out()

    @on(SideBar.Moved)
    def share_side(self) -> None:
        """Share the side bar between the tree and what stands below it, which says where the chosen cache lies."""
        if not self.whole.is_set():  # and what it takes is not loaded either
            return
        from cachetop_tui.workbench.glance import Glance, share

        for glance in self.query(Glance):
            share(self.query_one(SideBar), glance)
            glance.update_lines()

    @on(SideBar.Left)
    def _below_tree(self) -> None:
        from cachetop_tui.workbench.glance import Glance

        for glance in self.query(Glance):
            if glance.display and glance.cursor is not None:
                self.set_focus(glance)

    @on(TopStrip.Picked)
    @on(ActivityBar.Picked)
    async def _activity_picked(self, message: TopStrip.Picked | ActivityBar.Picked) -> None:
        if message.activity == QUICK_OPEN:
            await self.run_action("app.quick_open")
        elif message.activity == "settings":
            await self.run_action("app.settings")
        else:
            self.choose(message.activity)

    def on_report_wanted(self, message: ReportWanted) -> None:
        """A document on the run in the panel; found by its name, so that the first frame need not know the panel."""
        from cachetop_tui.workbench import opening

        made = {"report": opening.report_document, "result": opening.result_document, "tree": opening.tree_document}
        self.open_document(made[message.what](message.job))

    async def on_click(self, event: events.Click) -> None:
        """The right button opens the menu of what it points at; the list under it has moved its cursor already."""
        if event.button == 3 and event.widget is not None:
            pane = next((node.id for node in event.widget.ancestors_with_self if node.id in _WITH_MENU), None)
            if pane is not None:
                self.focus_pane(pane)
                await self.run_action(f"app.menu({event.screen_x}, {event.screen_y})")

    # Filter

    def open_filter(self) -> bool:
        """Type a filter for the list in focus; False where it is none that can be filtered."""
        if self.pane not in LISTS:
            return False
        from cachetop_tui.workbench.filterline import FilterLine

        line = self.query_one(FilterLine)
        line.open(self._filtered().view.filter)
        self.set_focus(line)
        return True

    def narrow(self, text: str) -> None:
        """Show only the rows of the list in focus that have `text` in their name."""
        self._filtered().set_filter(text.strip())

    def _filtered(self) -> ModelsPane | KernelsPane:
        return self.models if self.pane == "models" else self.kernels
