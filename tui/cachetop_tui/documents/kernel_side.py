"""What is said about a kernel beside its code: why it is stale or is not, where its bytes and its build time are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.kernelcache.checks import Check
from cachetop.kernelcache.describe import Described
from cachetop_tui.cut import head, middle
from cachetop_tui.documents.kernel import title_of
from cachetop_tui.documents.layout import MARGIN, heading
from cachetop_tui.marks import Line, Pen, Thin, sentences
from cachetop_tui.panes import names

_MOST = 8
_NAME = 11
_RIGHT = 10


def verdicts(kernel: Described, checks: Sequence[Check], width: int) -> list[Line]:
    """Every rule that hit it with its evidence and every problem, then what speaks against the other rules."""
    passed = [one for one in checks if one.holds is not False]
    failed = [one for one in checks if one.holds is False]
    out: list[Line] = []
    if kernel.stale or failed:
        out += heading("why it is stale", width)
    elif kernel.state == "complete":
        out += heading("why it is not stale" if passed else "no rule calls it stale", width)
    elif kernel.problems or passed:
        out += heading("what is known of it", width)
    for stale in kernel.stale:
        out += _said("▲", "warn", f"{clean(stale.rule, 24)}: {clean(stale.evidence, 1000)}", width, "fg")
    for one in failed:
        out += _said("▲", "warn", f"{clean(one.rule, 24)}: {clean(one.evidence, 1000)}", width, "fg")
    for problem in kernel.problems:
        out += _said("✗", "err", f"{clean(problem.rule, 24)}: {clean(problem.message, 1000)}", width, "fg")
    for one in passed:
        glyph, word = ("✓", "ok") if one.holds else ("?", "dim")
        text = one.evidence.replace(f"{Path.home()}/", "~/") if Path.home() != Path("/") else one.evidence
        out += _said(glyph, word, clean(text, 1000), width, "fg" if one.holds else "dim")
    return out


def column(kernel: Described, checks: Sequence[Check], width: int) -> list[Line]:
    """The column beside the code."""
    out = verdicts(kernel, checks, width)
    out += _bytes(kernel, width) + _times(kernel, width) + _maker(kernel, width)
    return [_ruled(line) for line in out]


def _ruled(line: Line) -> Line:
    pen = Pen(0)
    pen.put(0, "│", "line")
    return Line(pen.line().marks + line.marks, line.ground)


def _said(glyph: str, word: str, text: str, width: int, token: str) -> list[Line]:
    out = []
    for number, part in enumerate(sentences(text, width - MARGIN - 3)):
        pen = Pen(width)
        if not number:
            pen.put(MARGIN, glyph, word)
        pen.put(MARGIN + 2, part, token)
        out.append(pen.line())
    return out


def _bytes(kernel: Described, width: int) -> list[Line]:
    """The stages by their size, the biggest first."""
    ranked = sorted(kernel.stages, key=lambda one: -one.size)
    if not ranked:
        return []
    out = heading("where the bytes are", width)
    most = ranked[0].size or 1
    rows = [(title_of(one.name), one.size) for one in ranked[:_MOST]]
    if len(ranked) > _MOST:
        rows.append(("other", sum(one.size for one in ranked[_MOST:])))
    return out + [_bar(name, size / most, units.size(size), "p.disk", width) for name, size in rows]


def _times(kernel: Described, width: int) -> list[Line]:
    """The stages in their order, by the time each took."""
    timed = [(one.name, one.milliseconds) for one in kernel.stages if one.milliseconds is not None]
    if not timed or kernel.rebuild_milliseconds is None:
        return []
    out = heading(f"built in {units.duration(kernel.rebuild_milliseconds / 1000)}", width, "stage by stage")
    most = max(took for _, took in timed) or 1
    return out + [
        _bar(title_of(name), took / most, units.duration(took / 1000), "p.compile", width) for name, took in timed
    ]


def _bar(name: str, share: float, right: str, token: str, width: int) -> Line:
    pen = Pen(width)
    pen.put(MARGIN, head(name, _NAME - 1), "fg")
    room = width - MARGIN - _NAME - _RIGHT - 1
    if room > 2:
        pen.add(Thin(MARGIN + _NAME, room, min(1.0, max(0.0, share)) * room, token))
    pen.right(width - 1, right, "fg")
    return pen.line()


def _maker(kernel: Described, width: int) -> list[Line]:
    """Which release made it, and where that was."""
    made = kernel.producer
    said = [
        f"{name} {value}" for name, value in (("Triton", made.triton), ("torch", made.torch), ("CUDA", made.cuda))
        if value
    ]  # fmt: skip
    if made.package:
        said.append(made.package)
    lines = [clean(", ".join(said), 200)] if said else []
    if made.environment:
        lines.append(names.home(made.environment, str(Path.home())))
    out = heading("made by", width) if lines else []
    for text in lines:
        pen = Pen(width)
        pen.put(MARGIN, middle(text, width - MARGIN - 1), "dim")
        out.append(pen.line())
    return out
