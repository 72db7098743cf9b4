"""What a phase of a run means, in words: the right-hand column of the lanes.

Each sentence is drawn from what the run reported. Where it reported nothing, the sentence says so, or there is
none. A note holds its text in several lengths, longest first, and the style word it is drawn in.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetop.base.hostile import clean, show
from cachetop.base.units import duration, memory, size
from cachetop.conversion.compare import first_calls
from cachetop.conversion.records import Download, Load, Run
from cachetop.conversion.usage import vram_use
from cachetop_tui.cut import head
from cachetop_tui.paint import width_of
from cachetop_tui.panel.axis import whole
from cachetop_tui.panel.figures import Figures, StageFigures

PACE_SHARE = 0.6
"""A stage that is at work for this share of the pages' time sets the pace."""
STAGE_WORDS = {
    "preprocess": "prepare", "layout_postprocess": "regions", "form_field": "forms", "assemble": "assemble",
}  # fmt: skip
"""Short names, so that they fit beside the amount; other stages go by their own."""
STATE_WORDS = {
    "queued": ("○", "queued", "live"),
    "running": ("○", "running", "live"),
    "done": ("✓", "done", "ok"),
    "failed": ("✗", "failed", "err"),
    "cancelled": ("–", "cancelled", "dim"),
    "lost": ("✗", "lost", "err"),
}


@dataclass(frozen=True)
class Note:
    """A sentence in several lengths, and its style word."""

    texts: tuple[str, ...] = ()
    word: str = "dim"

    def fit(self, width: int) -> str:
        """The longest text that fits `width` cells, else the shortest one cut."""
        for text in self.texts:
            if width_of(text) <= width:
                return text
        return head(self.texts[-1], width) if self.texts else ""


def run_name(job_id: str) -> str:
    """A job's id as people say it: `run a3f2`, the end of `20261123-140211-a3f2`."""
    return f"run {head(clean(job_id).rpartition('-')[2] or '?', 10)}"


def state(run: Run) -> tuple[str, str, str]:
    """Glyph, word and style word of a run's state; a job of which a part succeeded is `partial`."""
    if (run.status or run.job.status) == "partial":
        return "▲", "partial", "warn"
    return STATE_WORDS.get(run.job.state, ("?", clean(run.job.state, 12), "dim"))


def error(run: Run) -> tuple[str, str | None] | None:
    """The last error of a run and its hint, safe to show."""
    found = next((n for n in reversed(run.notices) if n.level == "error"), None)
    return None if found is None else (show(found.message), show(found.hint) if found.hint else None)


def unready(run: Run) -> str | None:
    """What stands in for an error where the run left none: how it ended, and where to look."""
    if run.job.state == "lost":
        return "the worker vanished without a word: killed, or the machine went down; its stderr.log may tell"
    if run.job.state == "failed" and run.status != "partial":
        return "it failed without an error message; its stderr.log may tell"
    return None


def begin(figures: Figures) -> str | None:
    """How the run started: `cold`, `disk-warm`, `resident`; None while unknown."""
    return clean(figures.run.start, 20) if figures.run.start else None


def imports(figures: Figures) -> Note:
    """What the import phase means."""
    run = figures.run
    if (stuck := _stalled(figures, "import")) is not None:
        return stuck
    if figures.phase("import") is None:
        if run.start == "resident":
            return Note(("resident: nothing to import", "resident"))
        return Note(("waits for a worker", "waits")) if figures.live and not run.phases else Note()
    known = [(clean(n, 20), clean(run.versions[n], 20)) for n in ("torch", "docling") if n in run.versions]
    if not known:
        return Note(("new process",))
    names = ", ".join(name for name, _ in known)
    return Note(("new process: " + ", ".join(f"{n} {v}" for n, v in known), f"new process: {names}", "new process"))


def load(figures: Figures) -> Note:
    """What the load phase means: how much was read, and how much of it was warm in RAM."""
    run = figures.run
    if (stuck := _stalled(figures, "load")) is not None:
        return stuck
    fetching = next((d for d in reversed(run.downloads) if d.total is None or d.bytes < d.total), None)
    if fetching is not None and figures.live and figures.phase("convert") is None:
        return _fetching(fetching)
    if not run.loads:
        return _nothing_loaded(figures)
    if figures.running("load") and run.loads[-1].seconds is None:
        return _loading(run.loads[-1])
    total = sum(one.bytes for one in run.loads)
    count = f"{len(run.loads)} models, " if len(run.loads) > 1 else ""
    warm, short = _warm(run.loads)
    return Note((f"{count}{size(total)}, {warm}", f"{size(total)}, {warm}", f"{size(total)}, {short}", size(total)))


def _stalled(figures: Figures, phase: str) -> Note | None:
    """That nothing was heard for long while the phase went on; the line below the lanes says the rest."""
    stall = figures.run.stalled
    if not figures.live or stall is None or stall.phase != phase:
        return None
    lasted = whole(max(0.0, figures.now - stall.since))
    amount = "" if stall.bytes is None else f" at {size(stall.bytes)}"
    if stall.bytes is not None and stall.total:
        amount = f" at {stall.bytes / stall.total:.0%}".replace("%", " %")
    return Note((f"no news for {lasted}: {stall.doing}{amount}", f"no news for {lasted}{amount}"), "warn")


def _fetching(found: Download) -> Note:
    name = clean((found.repo if found.file == "*" else found.file).rpartition("/")[2], 60)
    pace = f", {size(found.rate)}/s" if found.rate else ""
    if found.total:
        share = f"{found.bytes / found.total:.0%}".replace("%", " %")
        amount = f"{size(found.bytes)} of {size(found.total)}"
        return Note(
            (
                f"downloading {name}, {amount}{pace}",
                f"downloading {share}, {amount}{pace}",
                f"downloading {share}, {amount}",
                f"downloading {share}",
            ),
            "live",
        )
    return Note((f"downloading {name}, {size(found.bytes)}{pace}", f"downloading, {size(found.bytes)}"), "live")


def _loading(one: Load) -> Note:
    name = clean((one.repo or one.path or "a model").rpartition("/")[2], 60)
    warm, short = _warm((one,))
    text = f"{name}, {size(one.bytes)}"
    return Note((f"{text}, {warm}", f"{text}, {short}", text, f"{size(one.bytes)}, {short}"), "live")


def _warm(loads: tuple[Load, ...]) -> tuple[str, str]:
    """How much of the weights was in RAM before they were read, in two lengths."""
    total = sum(one.bytes for one in loads)
    known = [one.resident_before for one in loads if one.resident_before is not None]
    if len(known) < len(loads) or total <= 0:
        return "warm part unknown", "warm: ?"
    share = sum(known) / total
    if share >= 0.995:
        return "all of it was warm in RAM", "all warm in RAM"
    if share < 0.005:
        return "none of it was in RAM", "cold"
    percent = f"{max(1, min(99, round(share * 100)))} %"
    return f"{percent} was warm in RAM", f"{percent} warm"


def _nothing_loaded(figures: Figures) -> Note:
    run = figures.run
    if run.start == "resident":
        return Note(("resident: pipeline already built", "already built"))
    if figures.phase("load") is not None:
        return Note(("builds the pipeline",)) if figures.running("load") else Note(("no model was read",))
    if run.start_reason:
        return Note((show(run.start_reason, 200),))
    return Note()


def compiled(figures: Figures) -> Note:
    """What the compile phase means: kernels built and reused, or why there were none."""
    run = figures.run
    if (stuck := _stalled(figures, "compile")) is not None:
        return stuck
    built = [k for k in run.kernels if not k.hit]
    hits = len(run.kernels) - len(built)
    parts = []
    if built:
        spent = [k.milliseconds for k in built if k.milliseconds is not None]
        took = f" in {duration(sum(spent) / 1000)}" if spent and len(spent) == len(built) else ""
        parts.append((f"{_count(len(built), 'kernel')} built{took}", f"{len(built)} built"))
    if hits:
        parts.append((f"{hits if built else _count(hits, 'kernel')} from the cache", f"{hits} cached"))
    if parts:
        return Note(tuple(", ".join(part[i] for part in parts) for i in (0, 1)))
    if run.compile_note:
        note = show(run.compile_note, 200)
        over = sum(first_calls(run).values()) if not figures.live and run.start != "resident" else 0.0
        return Note((f"{note}; first calls ≈ {duration(over)} more", note) if over else (note,))
    if figures.phase("convert") is None:
        return not_reached(figures)
    if figures.live:
        return Note(("nothing compiled so far", "nothing so far"))
    return Note(("not known whether anything compiled", "not known"))


def pages(figures: Figures) -> Note:
    """What the pages' phase means: failed pages, or the stage that takes most of their time."""
    if figures.failed:
        return Note((f"{_count(figures.failed, 'page')} failed",), "err")
    if (waited := _waiting(figures)) is not None:
        return waited
    if figures.silent is not None:
        return Note((f"no page for {whole(figures.silent)}, usually {duration(1 / (figures.rate or 1))}",
                     f"no page for {whole(figures.silent)}"), "warn")  # fmt: skip
    busy = sum(stage.busy for stage in figures.stages)
    slowest = max(figures.stages, key=lambda stage: stage.busy, default=None)
    if slowest is not None and busy > 0 and len(figures.stages) > 1:
        share = f"{slowest.busy / busy * 100:.0f} %"
        name = stage_name(slowest.name)
        return Note((f"{name} takes {share} of the page time", f"{name}: {share} of the time"))
    if figures.rate:
        return Note((f"{duration(1 / figures.rate)} a page",))
    return not_reached(figures) if figures.phase("convert") is None else Note()


def _waiting(figures: Figures) -> Note | None:
    """Which stage keeps the others waiting, and for how long; or how fast a model writes."""
    call = figures.run.waiting
    if figures.live and call is not None:
        lasted = whole(max(call.seconds, figures.now - call.time + call.seconds))
        page = f", page {call.pages[0]}" if call.pages else ""
        if len(call.pages) > 1:
            page = f", pages {call.pages[0]} to {call.pages[-1]}"
        name = stage_name(call.stage)
        return Note((f"waits for {name}{page}: {lasted} so far", f"waits for {name}: {lasted}"), "warn")
    if not figures.run.tokens:
        return None
    last = figures.run.tokens[-1]
    if figures.live and last.rate is not None:
        return Note((f"{last.rate:.1f} tokens/s, {last.tokens} of page {last.pages[0] if last.pages else '?'}",
                     f"{last.rate:.1f} tokens/s"))  # fmt: skip
    spent = sum(one.seconds for one in figures.run.tokens)
    written = sum(one.tokens for one in figures.run.tokens)
    if spent <= 0:
        return None
    return Note((f"{written:,} tokens at {written / spent:.1f} tokens/s", f"{written / spent:.1f} tokens/s"))


def stage_name(name: str) -> str:
    """A stage's name for people; stages are named by the worker, so it is cleaned."""
    return STAGE_WORDS.get(name) or clean(name, 24).replace("_", " ")


def stage(figures: Figures, one: StageFigures) -> Note:
    """What a stage means for the pace: how long a page takes in it, how far ahead it is."""
    each = f"{duration(one.busy / one.done)} a page"
    slowest = max(figures.stages, key=lambda other: other.busy)
    working = (figures.seconds("convert") or 0.0) * PACE_SHARE
    if one is slowest and len(figures.stages) > 1 and one.busy >= working > 0:
        return Note((f"{each}: sets the pace", "sets the pace"), "warn")
    ahead = one.done - figures.done
    if figures.live and ahead > 1:
        return Note((f"{each}, {ahead} pages ahead", f"{ahead} ahead"))
    return Note((each,))


def export(figures: Figures) -> Note:
    """What the export phase means."""
    outputs = [output for document in figures.run.documents for output in document.outputs]
    if len(outputs) == 1:
        return Note((f"wrote {clean(outputs[0].rpartition('/')[2], 80)}", "wrote 1 file"))
    if outputs:
        return Note((f"wrote {len(outputs)} files",))
    if figures.phase("convert") is None:
        return not_reached(figures)
    if figures.live:
        return Note(("writes when the last page is in", "writes at the end"))
    return Note(("nothing was written",))


def not_reached(figures: Figures) -> Note:
    """What stands beside a phase that an ended run never came to; nothing while it may still come."""
    return Note() if figures.live else Note(("not reached",))


def vram(figures: Figures, gpu: int) -> Note:
    """What the VRAM row means: the most that was held, and since which page."""
    samples = [(moment, used) for moment, index, used in figures.run.vram if index == gpu]
    top = max(used for _, used in samples)
    since = next(moment for moment, used in samples if used == top)
    done = sum(1 for page in figures.run.pages if page[1] <= since)
    use = next((one for one in vram_use(figures.run) if one.gpu == gpu), None)
    if use is not None and use.weights:
        parts = [f"weights {memory(sum(use.weights.values()))}"]
        parts += [f"activations {memory(use.activations)}"] if use.activations is not None else []
        parts += [f"context {memory(use.context)}"] if use.context is not None else []
        texts = [f"{memory(top)}: {', '.join(parts[:count])}" for count in range(len(parts), 0, -1)]
        if len(parts) > 1:
            return Note((*texts, f"at most {memory(top)}", memory(top)))
    if samples[-1][1] < top:
        return Note((f"at most {memory(top)}", memory(top)))
    when = f"since page {done}" if done else "since the models"
    return Note((f"{'holds' if figures.live else 'held'} {memory(top)} {when}", when))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
