"""A repo as a document: what it is, its revisions and tensors, and its card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.gpu.records import Gpus
from cachetop.hub.about import About, GpuFree, describe
from cachetop.hub.facts import facts, refs_of
from cachetop.hub.records import Repo
from cachetop.hub.roots import roots
from cachetop.hub.scan import Scanner
from cachetop.hub.weights import Tensor
from cachetop_tui import words
from cachetop_tui.cut import file_name, head, middle
from cachetop_tui.documents import markdown
from cachetop_tui.marks import Line, Pen, Thin, sentences
from cachetop_tui.paint import width_of

TENSORS = 500
"""Tensors that a document lists."""
_REVISIONS = 500
_CARD_LINES = 2000
_CARD = 64_000
_LONG = re.compile(r"\S{300}")
"""A word that no line has room for: wrapping it takes time with the square of its length."""


def load(repo: Repo, gpus: Gpus | None) -> About:
    """A repo in depth, held against the VRAM that is free now. Raises LookupError with a sentence where it is gone."""
    scanner = Scanner(roots(), only=(repo.type, repo.id))  # the last to hold its files: it gives them up bit by bit
    return _described(repo, gpus, scanner)


def _described(repo: Repo, gpus: Gpus | None, scanner: Scanner) -> About:
    for one in scanner.scan().repos:
        if (one.root, one.type, one.id) == (repo.root, repo.type, repo.id):
            about = describe(one, scanner, most=TENSORS)
            markdown.parsed(card(about))  # here, since a long one would hold up the event loop
            asked = gpus if about.memory is not None else None
            free = tuple(GpuFree(index=gpu.index, free=gpu.memory.free) for gpu in (asked or Gpus()).gpus if gpu.memory)
            return replace(
                about,
                gpu_free=free,
                gpu_free_reason=None if free or asked is None else asked.reason or "No GPU here reports its memory.",
                revisions=tuple(replace(revision, files=()) for revision in about.revisions),  # none is shown here
            )
    raise LookupError(f"{clean(repo.id)} is not in the cache any more.")


def lines(record: About, width: int, now: float) -> list[Line]:
    """The whole document, `width` cells wide, at `now` (epoch seconds)."""
    out = [Line(), _text(width, 1, middle(clean(record.id), width - 2), "b:hi")]
    out += list(_facts(record, width, now))
    for problem in record.problems:
        out += [_text(width, 3, line, "err") for line in sentences(clean(problem.message), width - 6)]
        if problem.fix:
            out += [_text(width, 5, line, "link") for line in sentences(clean(problem.fix), width - 8)]
    for title, part in (
        ("REVISIONS", _revisions(record, width)),
        ("WEIGHTS", _weights(record, width)),
        ("TENSORS", tensor_lines(record.tensors, record.tensors_left_out, width)),
        ("CARD", _card(record, width)),
    ):
        rows = list(part)
        if rows:
            out += [Line(), _text(width, 1, title, "faint"), *rows]
    return out


def _text(width: int, x: int, text: str, word: str = "fg") -> Line:
    pen = Pen(width)
    pen.put(x, text, word)
    return pen.line()


def _facts(record: About, width: int, now: float) -> Iterator[Line]:
    for label, text in facts(record, now):
        pen = Pen(width)
        pen.put(3, label, "dim")
        wrapped = sentences(clean(text), max(8, width - 19)) or [""]
        pen.put(18, wrapped[0], "fg")
        if label == "in RAM" and record.resident is not None and record.size and width >= 60:
            size = next((each.size for each in record.revisions if each.commit == record.revision), 0)
            part = min(1.0, record.resident / size) if size else 0.0
            pen.add(Thin(19 + width_of(wrapped[0]), 12, part * 12, "p.disk"))
        yield pen.line()
        for line in wrapped[1:]:
            yield _text(width, 18, line)


def _revisions(record: About, width: int) -> Iterator[Line]:
    for revision in record.revisions[:_REVISIONS]:
        pen = Pen(width)
        refs = refs_of(revision.refs)
        state, word = ("detached", "warn") if revision.detached else ("", "dim")
        if revision.complete is False:
            state, word = f"{words.count(len(revision.missing), 'file')} missing", "err"
        x = pen.put(3, clean(revision.commit)[:12], "fg" if revision.commit == record.revision else "dim")
        size = units.size(revision.size)
        room = width - 2 - width_of(size) - x - 4 - (width_of(state) + 2 if state else 0)
        x = pen.put(x + 2, head(refs, max(4, room)), "fg")
        pen.put(x + 2 if refs else x, state, word)
        pen.right(width - 1, size, "dim")
        yield pen.line()
    if len(record.revisions) > _REVISIONS:
        yield _text(width, 3, f"… and {len(record.revisions) - _REVISIONS:,} more", "faint")


def _weights(record: About, width: int) -> Iterator[Line]:
    for weights in record.weights:
        pen = Pen(width)
        told = f"{units.size(weights.size)}  {', '.join(clean(dtype, 12) for dtype in weights.dtypes)}".strip()
        start = pen.right(width - 1, told, "dim")
        pen.put(3, file_name(weights.name, max(8, start - 5)), "fg" if weights.chosen else "dim")
        yield pen.line()
        if weights.problem:
            for line in sentences(clean(weights.problem), width - 8):
                yield _text(width, 5, line, "err")
    if record.pickled:
        text = f"Pickles, which loading would run and which are not read: {', '.join(record.pickled)}"
        for line in sentences(clean(text), width - 6):
            yield _text(width, 3, line, "warn")


def tensor_lines(tensors: Sequence[Tensor], left_out: int, width: int) -> Iterator[Line]:
    """Name, shape, type and bytes of each tensor; `left_out`: how many more there are."""
    for tensor in tensors:
        pen = Pen(width)
        shape = " x ".join(map(str, tensor.shape)) or "scalar"
        start = pen.right(width - 1, f"{clean(tensor.dtype, 12)}  ", "dim", units.size(tensor.size).rjust(8), "fg")
        start = pen.right(min(start, width - 22) - 2, shape, "dim")
        pen.put(3, middle(clean(tensor.name), max(6, start - 5)), "fg")
        yield pen.line()
    if left_out:
        yield _text(width, 3, f"… and {left_out:,} more", "faint")


def card(record: About) -> str:
    """The card as it is shown: without comments, no longer than anybody reads, no word longer than a few lines."""
    return _LONG.sub(r"\g<0> ", _uncommented(record.card or "")[:_CARD])


def _uncommented(text: str) -> str:
    """Without HTML comments; one that does not end is text. In one pass: a regular expression may take one for each."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join(kept) + text[at:]


def _card(record: About, width: int) -> Iterator[Line]:
    """The card, its Markdown rendered."""
    text = card(record)
    made = markdown.render(text, width, _CARD_LINES + 1, html=True) if text.strip() else []
    yield from made[:_CARD_LINES]
    if len(made) > _CARD_LINES or (record.card and len(record.card) > _CARD):
        yield _text(width, 3, "… the card goes on", "faint")
