"""What the worker of a run printed: the OUTPUT tab. Read in a thread; the newest lines stand at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from cachetop_tui.cut import head
from cachetop_tui.paint import Canvas
from cachetop_tui.panel import words

MOST = 1000
"""Lines that are kept of what was printed last."""


def read(job_id: str) -> tuple[str, ...]:
    """The last lines of a job's stderr.log, safe to show; none where there is no such job any more."""
    from cachetop.conversion.death import printed
    from cachetop.conversion.folder import find

    try:
        return tuple(printed(find(job_id), MOST))
    except (LookupError, ValueError):
        return ()


def draw(canvas: Canvas, top: int, job_id: str, lines: Sequence[str] | None, back: int) -> None:
    """Draw the lines that end `back` lines before the newest; None: not read yet."""
    room = canvas.height - top
    if not lines:
        text = "reading …" if lines is None else f"The worker of {words.run_name(job_id)} has printed nothing."
        canvas.put(2, top, text, "dim")
        return
    end = len(lines) - back
    for y, line in enumerate(lines[max(0, end - room) : end], top):
        canvas.put(2, y, head(line, canvas.width - 3), "fg")
