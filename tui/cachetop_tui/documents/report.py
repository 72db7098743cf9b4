"""The report on one run as a document: the verdict first, then where the time went, then what it ran on."""

from __future__ import annotations

from collections.abc import Iterator

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.base.units import duration, size
from cachetop.conversion.records import PHASES, Run
from cachetop.conversion.report import examine
from cachetop.conversion.two_things import rows
from cachetop.conversion.verdicts import Examined, JobReport
from cachetop_tui.cut import file_name, head, middle
from cachetop_tui.documents.layout import MARGIN, heading, paragraph
from cachetop_tui.marks import Bar, Line, Pen, Thin, sentences
from cachetop_tui.paint import Part
from cachetop_tui.panel import words
from cachetop_tui.panel.figures import read
from cachetop_tui.panel.lanes import LABELS, TOKENS, flat, lane

LETTERS = {"import": "i", "load": "A", "compile": "B", "convert": "C", "export": "e"}
_MOST = 100
_CAUSES = {"comparison": "b:hi", "start": "b:hi", "error": "err", "lost": "err"}


def load(job: str | None = None, against: str | None = None) -> Examined:
    """The report on a job (default: the newest). Blocks. Raises LookupError, ValueError."""
    return examine(job, against)


def lines(record: Examined, width: int, now: float) -> list[Line]:
    """The document."""
    report, run = record.report, record.run
    out = [*_title(report, run, width), Line(), *_verdict(report, width)]
    out += heading("where the time went", width, "both bars on one scale" if record.other else "")
    out += list(_bars(record, width))
    out += list(_subtraction(record, width))
    out += list(_advice(report, width))
    out += heading("time line", width, "both runs on one axis" if record.other else "")
    out += list(_timelines(record, width))
    out += list(_stages(report, width))
    out += list(_models(run, width))
    out += list(_vram(report, width))
    out += list(_kernels(run, width))
    out += heading("model against kernels", width, "two things, two caches")
    out += list(_two_things(run, width))
    return out


def _title(report: JobReport, run: Run, width: int) -> list[Line]:
    glyph, word, style = words.state(run)
    pen = Pen(width)
    names = file_name(report.files[0], max(10, width - 50)) if report.files else "no file"
    more = f" and {len(report.files) - 1} more" if len(report.files) > 1 else ""
    pages = f"   {report.pages:,} {'page' if report.pages == 1 else 'pages'}" if report.pages else ""
    pen.run(MARGIN, names + more, "b:hi", f"   {glyph} {word}", style, f"{pages}   {duration(report.seconds)}", "b:fg")
    versions = [f"{name} {clean(run.versions[name], 20)}" for name in ("docling", "torch") if name in run.versions]
    below = Pen(width)
    facts = [words.run_name(report.id), f"{clean(report.pipeline, 20)} pipeline", clean(report.device, 16), *versions]
    below.put(MARGIN, head("   ".join(facts), width - 2 * MARGIN), "dim")
    return [pen.line(), below.line()]


def _verdict(report: JobReport, width: int) -> Iterator[Line]:
    order = {"error": 0, "lost": 0, "comparison": 1, "start": 2}
    for one in sorted(report.verdict, key=lambda verdict: order.get(verdict.cause, 3)):
        for number, part in enumerate(sentences(show(one.message), width - 6)):
            pen = Pen(width, "head")
            pen.put(1, "▎", "ok" if report.state == "done" else "warn")
            pen.put(3 if not number else 5, part, _CAUSES.get(one.cause, "fg"))
            yield pen.line()


def _bars(record: Examined, width: int) -> Iterator[Line]:
    comparison = record.report.comparison
    if comparison is None:
        shown = [("this run", record.report.start, _alone(record.report), record.report.seconds)]
    else:
        names = ("this run", words.run_name(comparison.against))
        shown = list(zip(names, comparison.start, comparison.bars, comparison.seconds, strict=True))
    longest = max((sum(seconds for _, seconds in bar) for _, _, bar, _ in shown), default=0.0) or 1.0
    start = MARGIN + 24 if width >= 90 else MARGIN + 20
    room = max(8, width - start - 14)
    for name, how, bar, seconds in shown:
        pen = Pen(width)
        pen.put(MARGIN, head(name, 12), "b:fg")
        pen.put(MARGIN + (12 if width >= 90 else 10), head(clean(how or "?", 10), 10), "live")
        parts: list[Part] = []
        letters, said, at = "", [], 0.0
        for phase, spent in bar:
            end = at + spent / longest * room
            parts.append((at, end, TOKENS.get(phase, "rule")))
            letters += LETTERS.get(phase, " ")
            said.append((f"{LABELS.get(phase, phase)} {duration(spent)}", LABELS.get(phase, phase)))
            at = end
        pen.add(Bar(start, room, tuple(parts), letters, tuple(said)))
        pen.put(start + room + 2, duration(seconds), "b:hi")
        yield pen.line()


def _alone(report: JobReport) -> tuple[tuple[str, float], ...]:
    return tuple((name, report.phases[name]) for name in PHASES if report.phases.get(name))


def _subtraction(record: Examined, width: int) -> Iterator[Line]:
    comparison = record.report.comparison
    yield Line()
    top = Pen(width)
    top.put(MARGIN, "PHASE", "faint")
    columns = (("THIS", 24), ("THEN", 35), ("SAVED", 46)) if comparison else (("TOOK", 24),)
    for name, end in columns:
        top.right(end, name, "faint")
    if comparison and width >= 76:
        top.put(49, "WHY", "faint")
    yield top.line()
    times = comparison.phases if comparison else {name: (took, None) for name, took in record.report.phases.items()}
    for name, (this, that) in times.items():
        pen = Pen(width)
        pen.put(MARGIN, LABELS.get(name, clean(name, 12)), "fg")
        pen.right(24, "–" if this is None else duration(this), "fg")
        if comparison:
            gain = (that or 0.0) - (this or 0.0)
            pen.right(35, "–" if that is None else duration(that), "fg")
            pen.right(46, f"{'−' if gain < 0 else ''}{duration(abs(gain))}", "ok" if gain > 0.05 else "dim")
            if width >= 76:
                pen.put(49, head(show(comparison.reasons.get(name, "")), width - 51), "dim")
        yield pen.line()


def _advice(report: JobReport, width: int) -> Iterator[Line]:
    if report.advice:
        yield from heading("what would make the next run faster", width)
    for one in report.advice:
        for number, part in enumerate(sentences(show(one.message), width - 6)):
            pen = Pen(width)
            pen.put(MARGIN, "› " if not number else "  ", "link")
            pen.put(MARGIN + 2, part, "fg")
            yield pen.line()


def _timelines(record: Examined, width: int) -> Iterator[Line]:
    runs = [record.run, *([record.other] if record.other else [])]
    figures = [read(run, run.finished or run.job.started) for run in runs]
    length = max((one.elapsed for one in figures), default=0.0) or 1.0
    start = MARGIN + 12
    room = max(8, width - start - 3)
    for one in figures:
        title = Pen(width)
        title.put(MARGIN, words.run_name(one.run.job.id), "b:fg")
        title.put(start, "0 s", "faint")
        title.right(start + room, duration(length), "faint")
        yield title.line()
        for name in PHASES:
            spans = lane(one, name)
            if not spans:
                continue
            pen = Pen(width)
            pen.put(MARGIN, LABELS[name], "dim")
            scale = room / length
            parts = flat([
                ((a - one.begin) * scale, max((b - one.begin) * scale, (a - one.begin) * scale + 0.25), token)
                for a, b, token in spans
            ])  # fmt: skip
            pen.add(Bar(start, room, tuple((min(a, room), min(b, room), token) for a, b, token in parts)))
            yield pen.line()
        if one.run.vram:
            top = max(used for _, _, used in one.run.vram)
            moment = next(at for at, _, used in one.run.vram if used == top)
            pen = Pen(width)
            pen.put(MARGIN, "VRAM", "dim")
            pen.put(start, f"peak {units.memory(top)} at {duration(max(0.0, moment - one.begin))}", "fg")
            yield pen.line()


def _stages(report: JobReport, width: int) -> Iterator[Line]:
    total = sum(report.stages.values())
    if total <= 0:
        return
    yield from heading("stages of the pages", width, "they overlap in time")
    for name, seconds in report.stages.items():
        pen = Pen(width)
        pen.put(MARGIN, head(words.stage_name(name), 18), "fg")
        pen.right(34, duration(seconds), "fg")
        pen.right(42, f"{seconds / total:.0%}", "dim")
        if width >= 70:
            pen.add(Thin(44, 20, seconds / total * 20, "p.pages"))
        over = report.first_calls.get(name)
        if over is not None and width >= 100:
            pen.put(66, head(f"first call ≈ {duration(over)} longer (estimate)", width - 68), "dim")
        yield pen.line()


def _models(run: Run, width: int) -> Iterator[Line]:
    yield from heading("models used", width)
    if not run.loads:
        text = "None was read in this run."
        if run.start == "resident":
            text = "None was read in this run: those of the resident worker were in memory already."
        yield from paragraph(text, width, "dim")
        return
    top = Pen(width)
    top.put(MARGIN, "MODEL", "faint")
    for name, end in (("BYTES", width - 34), ("IN RAM BEFORE", width - 18), ("LOAD", width - 8)):
        top.right(end, name, "faint")
    yield top.line()
    for load in run.loads[:_MOST]:
        pen = Pen(width)
        pen.put(MARGIN, middle(clean(load.repo or load.path or "a model"), max(8, width - 48)), "fg")
        pen.right(width - 34, size(load.bytes), "fg")
        pen.right(width - 18, units.UNKNOWN if load.resident_before is None else size(load.resident_before), "fg")
        pen.right(width - 8, duration(load.seconds), "fg")
        pen.right(width - 1, clean(load.device or "?", 6), "dim")
        yield pen.line()


def _vram(report: JobReport, width: int) -> Iterator[Line]:
    """Who held the VRAM, and the most of it in each phase, as bars on the scale of the whole peak."""
    for use in report.vram:
        yield from heading(
            f"VRAM of GPU {use.gpu}", width, f"at most {units.memory(use.peak)}, before {units.memory(use.before)}"
        )
        rows = [(f"{LABELS.get(name, clean(name, 12))} peak", held, "p.vram") for name, held in use.phases.items()]
        rows += [(f"weights {middle(clean(name), 40)}", held, "v.a") for name, held in use.weights.items()]
        parts = (("activations, at most", use.activations), ("kept by the allocator", use.kept),
                 ("context and libraries", use.context))  # fmt: skip
        rows += [(name, held, "v.b") for name, held in parts if held is not None]
        for name, held, token in rows:
            pen = Pen(width)
            pen.put(MARGIN, middle(name, max(10, width - 44)), "fg")
            pen.right(width - 28, units.memory(held), "fg")
            pen.add(Thin(width - 26, 24, 24 * min(1.0, held / max(1, use.peak)), token))
            yield pen.line()
        unknown = [name for name, held in parts if held is None]
        if unknown:
            yield from paragraph(f"Not measured: {', '.join(unknown)}.", width, "dim")


def _kernels(run: Run, width: int) -> Iterator[Line]:
    yield from heading("kernels", width)
    if not run.kernels:
        yield from paragraph(show(run.compile_note or "It is not known whether any was compiled."), width, "dim")
        return
    for kernel in run.kernels[:_MOST]:
        pen = Pen(width)
        name = clean(kernel.name or kernel.key or "a kernel")
        took = "from the cache" if kernel.hit else "compiled"
        if kernel.milliseconds is not None and not kernel.hit:
            took += f" in {duration(kernel.milliseconds / 1000)}"
        end = pen.right(width - 2, f"{clean(kernel.cache, 16)}  {clean(kernel.sm or '–', 10)}  ", "dim", took, "fg")
        pen.put(MARGIN, middle(name, max(4, end - MARGIN - 2)), "fg")
        yield pen.line()
    if len(run.kernels) > _MOST:
        yield from paragraph(f"and {len(run.kernels) - _MOST:,} more", width, "dim")


def _two_things(run: Run, width: int) -> Iterator[Line]:
    second = MARGIN + 16 + max(20, (width - 20) // 2)
    top = Pen(width)
    top.put(MARGIN + 16, "MODELS", "faint")
    top.put(second, "KERNELS", "faint")
    yield top.line()
    for what, models, kernels in rows(run):
        pen = Pen(width)
        pen.put(MARGIN, what, "dim")
        pen.put(MARGIN + 16, head(clean(models), second - MARGIN - 18), "fg")
        pen.put(second, head(clean(kernels), width - second - 1), "fg")
        yield pen.line()
