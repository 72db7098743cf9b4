"""What a run's records add up to: how far it is, how fast, how long it will still take, who sets the pace.

Everything here is arithmetic on a `Run`; nothing is guessed. What the run did not say is None.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter

from cachetop.conversion.records import Phase, Run, Stage

STAGE_ORDER = ("preprocess", "layout", "ocr", "layout_postprocess", "table", "form_field", "assemble", "vlm")
_SECONDS = attrgetter("seconds")
STALL_SECONDS = 15.0
"""No page for this long, and for five times the usual, is worth a remark."""


@dataclass(frozen=True)
class StageFigures:
    """One stage of the pages: how many are through it, and how long it worked in all (seconds)."""

    name: str
    busy: float
    items: tuple[Stage, ...]

    @property
    def done(self) -> int:
        """How many pages are through this stage."""
        return len(self.items)


@dataclass(frozen=True)
class Figures:
    """The numbers of one run at one moment. Moments are epoch seconds."""

    run: Run
    begin: float
    now: float
    """The moment the lanes are drawn up to: now while it goes on, else when it ended or was last heard of."""
    live: bool
    done: int
    total: int | None
    failed: int
    rate: float | None
    """Pages a second since the first page, None before the second one."""
    finish: float | None
    """When the pages will be through at this rate; None when that cannot be told."""
    silent: float | None
    """For how long no page has come, where that is much longer than usual."""
    stages: tuple[StageFigures, ...]

    @property
    def elapsed(self) -> float:
        """Seconds from the start of the job."""
        return max(0.0, self.now - self.begin)

    @property
    def left(self) -> float | None:
        """Seconds the pages will still take."""
        return None if self.finish is None else max(0.0, self.finish - self.now)

    def phase(self, name: str) -> Phase | None:
        """The phase of that name, None when it has not begun."""
        return next((p for p in self.run.phases if p.name == name and p.spans), None)

    def seconds(self, name: str) -> float | None:
        """What a phase took so far: as it said when it finished, plus its stretch that is still open."""
        found = self.phase(name)
        if found is None:
            return None
        if not found.open:
            return found.seconds if found.seconds is not None else sum((b or self.now) - a for a, b in found.spans)
        return (found.seconds or 0.0) + max(0.0, self.now - found.spans[-1][0])

    def running(self, name: str) -> bool:
        """Whether the phase is under way; False once the run is over, however it ended."""
        found = self.phase(name)
        return self.live and found is not None and found.open

    def broken(self, name: str) -> bool:
        """Whether the run ended while the phase was under way: it began, but never said that it finished."""
        found = self.phase(name)
        return not self.live and found is not None and (found.open or found.seconds is None)


def read(run: Run, now: float) -> Figures:
    """Add up a run as of `now`."""
    live = run.finished is None and run.job.state in ("queued", "running")
    begin = run.job.started
    for phase in run.phases:
        if phase.spans:
            begin = min(begin, phase.spans[0][0])
    until = max(begin, now if live else _ended(run, begin))
    done = len(run.pages)
    total = pages_of(run, done)
    rate, finish, silent = _pace(run, done, total, until) if live else (_mean(run), None, None)
    return Figures(
        run=run,
        begin=begin,
        now=until,
        live=live,
        done=done,
        total=total,
        failed=sum(1 for page in run.pages if not page[2]),
        rate=rate,
        finish=finish,
        silent=silent,
        stages=_stages(run),
    )


def _ended(run: Run, begin: float) -> float:
    if run.finished is not None:
        return run.finished
    if run.job.seconds is not None:
        return run.job.started + run.job.seconds
    heard = [begin]
    heard += [moment for phase in run.phases for span in phase.spans for moment in span if moment is not None]
    heard += [run.pages[-1][1]] if run.pages else []
    heard += [run.stages[-1].end] if run.stages else []
    heard += [run.vram[-1][0]] if run.vram else []
    heard += [load.started + (load.seconds or 0.0) for load in run.loads]
    heard += [run.notices[-1].time] if run.notices else []
    return max(heard)


def pages_of(run: Run, done: int) -> int | None:
    """Pages of a run of which `done` are through; None where it is not known (yet)."""
    said = run.progress.get("convert")
    if said and said[2] in ("pages", "page") and said[1] is not None and said[1] >= done:
        return said[1]
    if not run.documents or any(d.pages is None and d.status is None for d in run.documents):
        return None
    total = sum(d.pages if d.pages is not None else d.pages_done for d in run.documents)
    return total if total >= done and total > 0 else None


def _mean(run: Run) -> float | None:
    if len(run.pages) < 2:
        return None
    span = run.pages[-1][1] - run.pages[0][1]
    return (len(run.pages) - 1) / span if span > 0 else None


def _pace(run: Run, done: int, total: int | None, now: float) -> tuple[float | None, float | None, float | None]:
    rate = _mean(run)
    if rate is None:
        return None, None, None
    last = run.pages[-1][1]
    usual, waiting = 1 / rate, now - last
    over = total is not None and done >= total
    silent = waiting if not over and waiting > max(STALL_SECONDS, 5 * usual) else None
    if total is None or over or silent is not None:
        return rate, None, silent
    return rate, max(now, last + (total - done) * max(usual, waiting)), None


def _stages(run: Run) -> tuple[StageFigures, ...]:
    found: defaultdict[str, list[Stage]] = defaultdict(list)
    for stage in run.stages:
        found[stage.stage].append(stage)
    ordered = sorted(found, key=lambda name: (STAGE_ORDER.index(name) if name in STAGE_ORDER else 99, name))
    return tuple(StageFigures(name, sum(map(_SECONDS, found[name])), tuple(found[name])) for name in ordered)
