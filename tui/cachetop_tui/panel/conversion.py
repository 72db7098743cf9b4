"""The bottom panel of the app: the run that matters now, the recent runs, and what happened.

Everything is painted from records on one canvas; of a new picture only the lines that differ are refreshed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip

from cachetop.conversion.records import Job, Jobs, Run
from cachetop_tui import themes
from cachetop_tui.commands import registry
from cachetop_tui.cut import head
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panel import happenings, history, lanes, output, result, words
from cachetop_tui.panel.acting import Acting, CancelRequested, ReportWanted, RunWanted, UnloadRequested
from cachetop_tui.panel.compact import draw_compact
from cachetop_tui.panel.figures import Figures, read
from cachetop_tui.panel.happenings import Happening
from cachetop_tui.panel.tabline import PROBLEMS, TABS, TabLine, tab_line
from cachetop_tui.themes.palette import Palette
from cachetop_tui.workbench.plan import RUN_LINES

BACKGROUND = "side"
COMPACT_HEIGHT = RUN_LINES
"""Up to this height the panel is a run in three lines, without tabs."""
_TICK = 1.0


class ConversionPanel(Acting, can_focus=True):
    """Shows one run as lanes; `[` and `]` step through the runs."""

    BINDINGS: ClassVar[list[BindingType]] = registry.bindings("runs")
    DEFAULT_CSS = "ConversionPanel { width: 1fr; height: 1fr; background: $surface; }"

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` tells the time between two calls of `show`; without it time goes on from the last call."""
        super().__init__(id=id, classes=classes)
        self.tab = 0
        self.lite = False
        """Whether the line is slow: what grows by itself is painted every other second."""
        self._clock = clock
        self._jobs: tuple[Job, ...] = ()
        self._listing: Jobs | None = None
        self._runs: tuple[Run, ...] = ()
        self._now = 0.0
        self._at = 0.0
        self._picked: str | None = None
        self._cursor = 0
        self._offset = 0
        self._first = 0
        self._fetched: dict[str, Run] = {}
        self._others: tuple[Happening, ...] = ()
        self._printed: tuple[str, tuple[str, ...] | None] = ("", None)
        self._back = 0
        self._problems = 0
        self._strips: list[Strip] = []
        self._palette: Palette | None = None
        self._text: list[str] = []
        self._tabs: TabLine | None = None

    # What it shows

    @property
    def selected_run(self) -> Run | None:
        """The run that is shown: the picked one, else the newest that is going on, else the newest."""
        picked = next((run for run in self._runs if run.job.id == self._picked), None)
        if picked is not None:
            return picked
        going = (run for run in self._runs if run.finished is None and run.job.state in ("queued", "running"))
        return next(going, self._runs[0] if self._runs else None)

    @property
    def texts(self) -> list[str]:
        """The characters of every line as they were last painted."""
        return list(self._text)

    def show(self, jobs: Jobs | None, runs: tuple[Run, ...], now: float) -> None:
        """Show this state of the jobs, as of `now` (epoch seconds); what did not change is not sent again."""
        self._listing = jobs
        given = {run.job.id for run in runs}
        self._fetched = {job: run for job, run in self._fetched.items() if job not in given}
        everything = (*runs, *self._fetched.values())
        self._runs = tuple(sorted(everything, key=lambda run: (run.job.started, run.job.id), reverse=True))
        known = {job.id: job for job in jobs.jobs} if jobs else {}
        for run in self._runs:
            known[run.job.id] = run.job
        self._jobs = tuple(sorted(known.values(), key=lambda job: (job.started, job.id), reverse=True))
        self._cursor = max(0, min(self._cursor, len(self._jobs) - 1))
        self._now, self._at = now, time.monotonic()
        self.repaint()

    def add(self, run: Run) -> None:
        """Show a run that was read because the person picked it."""
        shown = tuple(one for one in self._runs if one.job.id not in self._fetched)
        self._fetched[run.job.id] = run
        self.show(self._listing, shown, self._now + (time.monotonic() - self._at))

    def note(self, moments: Iterable[Happening]) -> None:
        """Add lines to the events that come from elsewhere than the runs."""
        self._others = tuple(sorted((*self._others, *moments), key=lambda one: one.time))[-happenings.MOST :]
        if self.tab == 2:
            self.repaint()

    def count_problems(self, many: int) -> None:
        """Say how many problems there are beside this tab."""
        if many != self._problems:
            self._problems = many
            self.repaint()

    def take_output(self, job_id: str, lines: tuple[str, ...]) -> None:
        """Show what a run's worker printed; somebody who has scrolled up stays where they are."""
        if self._back and self._printed[1] is not None and self._printed[0] == job_id:
            self._back += max(0, len(lines) - len(self._printed[1]))
        self._printed = (job_id, lines)
        if self.tab == 3:
            self.repaint()

    def on_mount(self) -> None:
        """Let the clock of a run that goes on move once a second."""
        self.set_interval(_TICK, self._tick)

    def _tick(self) -> None:
        run = self.selected_run
        shown = time.monotonic() - self._at < _TICK  # while events come, each picture moves the clock
        if not shown and run is not None and run.finished is None and run.job.state in ("queued", "running"):
            self.repaint()
        if self.tab == 3 and run is not None and self.display:
            self.read_output(run.job.id)

    # Painting

    def repaint(self) -> None:
        """Paint anew and refresh the lines that differ."""
        width, height = self.size
        if not self.is_mounted or width == 0 or height == 0:
            return
        palette = themes.current(self.app)
        canvas = Canvas(width, height, BACKGROUND, palette)
        self._paint(canvas, self._clock() if self._clock else self._now + (time.monotonic() - self._at))
        strips, before = canvas.strips(), self._strips
        self._strips, self._palette, self._text = strips, palette, canvas.text()
        if len(before) != len(strips):
            self.refresh()
            return
        regions = [Region(0, y, width, 1) for y, strip in enumerate(strips) if strip != before[y]]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """A finished line, as Textual asks for it."""
        if self._palette is not themes.current(self.app) or len(self._strips) != self.size.height:
            self.repaint()
        if y < len(self._strips) and self._strips[y].cell_length == self.size.width:
            return self._strips[y]
        return Strip.blank(self.size.width, themes.current(self.app).style("fg", BACKGROUND))

    def _paint(self, canvas: Canvas, now: float) -> None:
        run = self.selected_run
        figures = read(run, _in_steps(now, run.job.started, self.lite)) if run is not None else None
        self._tabs = None
        if canvas.height <= COMPACT_HEIGHT:
            if figures is not None:
                draw_compact(canvas, 0, figures)
            else:
                canvas.fill(0, canvas.width, 0, "head")
                canvas.run(1, 0, registry.named("runs.focus").key, "faint", " RUNS", "b:fg")
                text = _empty(canvas.width - 2)
                canvas.put(1, 1, head(text, canvas.width - 2), "dim")
            if self.has_focus:
                canvas.put(0, 0, "▎", "accent")
            return
        canvas.rule(0)
        self._tab_line(canvas, 1, figures)
        if self.tab == 1:
            runs = {one.job.id: one for one in self._runs}
            workers = self._listing.workers if self._listing else ()
            shown = run.job.id if run is not None else None
            self._first = history.draw(canvas, 2, self._jobs, runs, workers, self._cursor, shown, now, self.has_focus)
        elif self.tab == 2:
            lines = happenings.gather(self._runs, self._others)
            self._offset = max(0, min(self._offset, len(lines) - (canvas.height - 2)))
            happenings.draw(canvas, 2, lines, self._offset)
        elif self.tab == 3 and run is not None:
            printed = self._printed[1] if self._printed[0] == run.job.id else None
            self._back = max(0, min(self._back, len(printed or ()) - (canvas.height - 2)))
            output.draw(canvas, 2, run.job.id, printed, self._back)
        elif figures is None:
            text = _empty(canvas.width - 4)
            canvas.put(2, 3 if canvas.height > 5 else 2, head(text, canvas.width - 4), "dim")
        else:
            lanes.draw(canvas, 2, figures, self._before(figures.run))

    def _tab_line(self, canvas: Canvas, y: int, figures: Figures | None) -> None:
        if self.has_focus:
            canvas.put(0, y, "▎", "accent")
        tabs = self._tabs = tab_line(self.tab, len(self._jobs), self._problems)
        for mark in tabs.texts:
            canvas.put(mark.x, y, mark.text, mark.word)
        x = tabs.end
        if figures is None:
            return
        if canvas.height - 2 < 8:  # there is no header line below
            text, word = result.headline(figures)
            more = result.left(figures) or result.clock(figures)
            tail: tuple[str, ...] = (f"   {text}", word, f"  {more}", "dim")
            room = canvas.width - 1 - x - sum(width_of(part) for part in tail[::2])
            if room < 6:
                tail, room = tail[:2], room + width_of(tail[2])
            name = result.files(figures.run, max(0, room)) if room > 3 else ""
            canvas.right(canvas.width - 1, y, name, "fg", *tail)
        else:
            canvas.right(canvas.width - 1, y, *result.title(figures, canvas.width - 1 - x))

    def _before(self, run: Run) -> Run | None:
        """The last run of the same files that succeeded before this one."""
        earlier = (
            one
            for one in self._runs
            if one.job.files == run.job.files
            and one.job.id != run.job.id
            and one.job.started <= run.job.started
            and one.status == "success"
        )
        return next(earlier, None)

    # What the person does

    def action_step(self, by: int) -> None:
        """Show the run `by` places further back; forward from the newest follows the newest again."""
        run = self.selected_run
        if run is None:
            return
        index = next(i for i, one in enumerate(self._runs) if one is run) + by
        if index < 0:
            self._picked = None
        elif index < len(self._runs):
            self._picked = self._runs[index].job.id
        self.repaint()

    def action_tab(self, by: int) -> None:
        """The next tab (1) or the one before (-1)."""
        self.turn_to((self.tab + by) % len(TABS))

    @property
    def tab_places(self) -> tuple[tuple[int, int], ...]:
        """(first column, the one after the last) of each tab on the second line; none while there are no tabs."""
        return self._tabs.places if self._tabs is not None else ()

    def turn_to(self, tab: int) -> None:
        """Bring a tab to the front; the problems are a list of their own, in the same place."""
        if tab == PROBLEMS:
            self.run_worker(self.app.run_action("focus_pane('problems')"), exit_on_error=False)
            return
        self.tab, self._back = tab, 0
        run = self.selected_run
        if tab == 3 and run is not None:
            self.read_output(run.job.id)
        self.repaint()

    def action_move(self, by: int) -> None:
        """Move the cursor among the runs, or scroll the events."""
        if self.tab == 1:
            self._cursor = max(0, min(self._cursor + by, len(self._jobs) - 1))
        elif self.tab == 2:
            self._offset = max(0, self._offset + by)
        elif self.tab == 3:
            self._back = max(0, self._back - by)
        self.repaint()

    def action_open(self) -> None:
        """Show the run under the cursor of the runs; open the report of the run that is shown and has ended."""
        run = self.selected_run
        if self.tab == 0 and run is not None and run.job.state not in ("queued", "running"):
            self.post_message(ReportWanted(run.job))
        if self.tab != 1 or not self._jobs:
            return
        wanted = self._jobs[self._cursor].id
        self._picked = wanted
        self.tab = 0
        if not any(run.job.id == wanted for run in self._runs):
            self.post_message(RunWanted(wanted))
        self.repaint()

    def action_read(self, what: str) -> None:
        """Open the `result` of the run that is shown, or that as a `tree`."""
        run = self._ended()
        if run is not None:
            self.post_message(ReportWanted(run.job, what))

    def action_folder(self) -> None:
        """Show the folder of the outputs."""
        run = self.selected_run
        if run is not None:
            self.show_folder(run.job.id)

    def action_copy_result(self) -> None:
        """Copy what the run wrote."""
        run = self._ended()
        if run is not None:
            self.copy_result(run.job.id)

    def action_cold(self) -> None:
        """Run the same again, cold."""
        run = self._ended()
        if run is not None:
            self.again_cold(run.job.id)

    def _ended(self) -> Run | None:
        """The run that is shown, once it has ended; else that is said."""
        run = self.selected_run
        if run is not None and run.finished is None and run.job.state in ("queued", "running"):
            self.tell(f"{words.run_name(run.job.id)} goes on; it has no result yet", "warning")
            return None
        return run

    def action_cancel(self) -> None:
        """Ask for the run that is shown to be cancelled, if it is going on."""
        run = self.selected_run
        if run is not None and run.finished is None and run.job.state in ("queued", "running"):
            self.post_message(CancelRequested(run.job.id))

    def action_unload(self) -> None:
        """Ask for the resident workers to end, if there are any."""
        if self._listing is not None and self._listing.workers:
            self.post_message(UnloadRequested())

    # Events

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.repaint()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the focus mark, or hide it."""
        super().watch_has_focus(has_focus)
        self.repaint()

    def on_click(self, event: events.Click) -> None:
        """Open a tab, or a run of the list. The right button is the menu's."""
        if event.button == 3:
            return
        tab = self._tabs.at(event.x) if self._tabs is not None and event.y == 1 else None
        if tab is not None:
            self.turn_to(tab)
        elif self.tab == 1 and event.y >= 2:
            index = event.y - 2 + self._first
            if index < len(self._jobs):
                self._cursor = index
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self.action_move(3)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self.action_move(-3)
        event.stop()


def _empty(width: int) -> str:
    """What stands there before there is a run."""
    key = registry.named("runs.new").key
    start = f"Press {key} to start one, or run" if key else "Run"
    whole = f"No conversion yet. {start} `cachetop convert FILE` in any terminal: it shows up here."
    if width_of(whole) <= width:
        return whole
    return f"No conversion yet: {f'{key} starts one, or ' if key else ''}`cachetop convert FILE`"


def _in_steps(now: float, begin: float, lite: bool) -> float:
    """`now` in steps, so that a run's events send the lines they change and not a clock ten times a second."""
    step = 2.0 if lite else 0.1 if now - begin < 10 else 0.5
    return begin + int((now - begin) / step + 1e-6) * step
