"""One file of a revision: where it lies, who shares its blob, its checksum, its tensors or the head of its text."""

from __future__ import annotations

from collections.abc import Iterator

from cachetop.base.hostile import clean
from cachetop.hub.facts import refs_of
from cachetop.hub.file_facts import file_facts
from cachetop.hub.one_file import AboutFile
from cachetop_tui import words
from cachetop_tui.cut import head, middle
from cachetop_tui.documents.layout import fact, heading, paragraph
from cachetop_tui.documents.repo import tensor_lines
from cachetop_tui.marks import Line, Pen
from cachetop_tui.paint import width_of

_SHARED = 20


def lines(record: AboutFile, width: int, now: float) -> list[Line]:
    """The whole document, `width` cells wide, at `now` (epoch seconds)."""
    pen = Pen(width)
    pen.put(2, middle(clean(record.name), width - 4), "b:hi")
    out = [Line(), pen.line()]
    for label, text in file_facts(record, now):
        bad = (label == "checksum" and record.checksum == "damaged") or label == "pickle"
        out += fact(label, clean(text), width, "warn" if bad else "fg")
    if record.problem:
        out += paragraph(clean(record.problem), width, "err")
    out += _shared(record, width)
    if record.tensors is not None:
        out += heading("Tensors", width, words.count(len(record.tensors) + record.tensors_left_out, "tensor"))
        out += tensor_lines(record.tensors, record.tensors_left_out, width)
    if record.text is not None:
        out += heading("Text", width, "" if record.text_whole else "its beginning")
        out += _text(record.text, width)
        if not record.text_whole:
            out += paragraph("… it goes on", width, "faint")
    return out


def _shared(record: AboutFile, width: int) -> Iterator[Line]:
    """The other names of its blob."""
    if not record.sharers:
        return
    yield from heading("The same blob", width, words.count(record.sharers, "other name"))
    for one in record.shared[:_SHARED]:
        pen = Pen(width)
        refs = refs_of(one.refs) or "detached"
        x = pen.put(2, clean(one.commit)[:7], "dim") + 2
        x = pen.put(x, head(refs, max(4, width // 4)), "fg") + 2
        pen.put(x, middle(clean(one.name), max(4, width - x - 2)), "dim")
        yield pen.line()
    if record.sharers > _SHARED:
        yield from paragraph(f"… and {record.sharers - _SHARED:,} more", width, "faint")


def _text(text: tuple[str, ...], width: int) -> Iterator[Line]:
    """The lines of a text as they are, long ones broken at the edge."""
    room = max(8, width - 4)
    for line in text:
        rest = line
        while True:
            part = rest[:room]
            while width_of(part) > room:
                part = part[:-1]
            pen = Pen(width)
            pen.put(2, part, "fg")
            yield pen.line()
            rest = rest[len(part) :]
            if not rest:
                break
