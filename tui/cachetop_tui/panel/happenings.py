"""What happened in the runs, as dated lines: the EVENTS tab."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachetop.base.hostile import clean, show
from cachetop.base.units import clock, duration, size
from cachetop.conversion.records import Run
from cachetop_tui.cut import file_name, head
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panel import words
from cachetop_tui.panel.lanes import LABELS

MOST = 200
"""How many lines are kept."""
_LEVELS = {"error": ("✗", "err"), "warning": ("▲", "warn"), "done": ("✓", "ok"), "info": (" ", "dim")}


@dataclass(frozen=True)
class Happening:
    """One line: when (epoch seconds), how grave (error, warning, done, info), where, and what."""

    time: float
    level: str
    where: str
    text: str


def of_run(run: Run) -> list[Happening]:
    """What is worth a line of one run; not the pages, of which there may be a thousand."""
    where = words.run_name(run.job.id)
    found = [Happening(run.job.started, "info", where, f"started: {_files(run)}")]
    for phase in run.phases:
        if phase.spans and phase.spans[-1][1] is not None and phase.seconds is not None:
            text = f"{LABELS.get(phase.name, clean(phase.name, 20))} finished, {duration(phase.seconds)}"
            found.append(Happening(phase.spans[-1][1], "info", where, text))
    for load in run.loads:
        if load.seconds is not None:
            name = clean(load.repo or load.path or "a model", 100)
            text = f"loaded {name}, {size(load.bytes)} in {duration(load.seconds)}"
            found.append(Happening(load.started + load.seconds, "info", where, text))
    for kernel in run.kernels[-MOST:]:
        name = clean(kernel.name or kernel.key or "a kernel", 80)
        took = f" in {duration(kernel.milliseconds / 1000)}" if kernel.milliseconds is not None else ""
        sm = f" for {clean(kernel.sm, 12)}" if kernel.sm else ""
        text = f"kernel {name}{sm} taken from the cache" if kernel.hit else f"kernel {name}{sm} compiled{took}"
        found.append(Happening(kernel.time, "info", where, text))
    failed = [page for page in run.pages if not page[2]]
    found += [Happening(moment, "error", where, f"page {number} failed") for number, moment, _ in failed[-MOST:]]
    found += [Happening(n.time, n.level, where, _notice(n.message, n.hint)) for n in run.notices[-MOST:]]
    if run.finished is not None:
        _, word, _ = words.state(run)
        level = "done" if run.status == "success" else "warning" if run.status == "partial" else "info"
        level = "error" if run.status == "failed" else level
        found.append(Happening(run.finished, level, where, f"{word} after {duration(run.finished - run.job.started)}"))
    return found


def gather(runs: Iterable[Run], others: Iterable[Happening] = ()) -> tuple[Happening, ...]:
    """The newest `MOST` lines of some runs and of elsewhere, the newest first."""
    found = [one for run in runs for one in of_run(run)]
    found += others
    return tuple(sorted(found, key=lambda one: one.time, reverse=True)[:MOST])


def draw(canvas: Canvas, top: int, lines: Sequence[Happening], offset: int) -> None:
    """Draw lines from number `offset` on."""
    if not lines:
        canvas.put(2, top, "Nothing has happened yet.", "dim")
    for y, one in enumerate(lines[offset : offset + canvas.height - top], top):
        glyph, word = _LEVELS.get(one.level, _LEVELS["info"])
        x = canvas.run(2, y, clock(one.time), "faint", f"  {glyph} ", word, f"{one.where}  ", "dim")
        canvas.put(x, y, head(one.text, canvas.width - x - 1), "fg" if word == "dim" else word)


def _files(run: Run) -> str:
    count = len(run.job.files)
    first = file_name(run.job.files[0], 60) if count else "no file"
    return first if count < 2 else f"{first} and {count - 1} more"


def _notice(message: str, hint: str | None) -> str:
    text = show(message)
    return f"{text}; {show(hint)}" if hint and width_of(text) < 400 else text
