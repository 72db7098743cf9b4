"""Markdown as lines of a document: headings, paragraphs, lists, tables, code. Links are shown as text.

HTML is shown as text, too, but in a card: there the usual tags go, what is between them stays, a picture is named.
Whatever else stands in angle brackets stays as it is: cards write of tokens such as `<s>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import StringIO
from itertools import islice

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cachetop.base.hostile import clean
from cachetop_tui.cut import head
from cachetop_tui.documents.layout import MARGIN
from cachetop_tui.marks import Line, Pen, sentences
from cachetop_tui.paint import width_of

_INDENT = 2
_MOST_COLUMNS = 24
_PIECE = 32_000
"""Characters from which on a long text may be cut."""
_FENCE = re.compile(" {0,3}(`{3,}|~{3,})")
_TAG = re.compile(
    r"</?(?P<name>p|div|span|a|b|i|u|em|strong|center|font|br|hr|img|picture|source|details|summary|h[1-6]|"
    r"ul|ol|li|table|thead|tbody|tr|td|th|sup|sub|small|kbd|blockquote)(?P<more>[\s/][^<>]{0,3000})?>",
    re.IGNORECASE,
)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_CODE = "\x00"
"""Stands for code while tags are taken away: in code they are meant."""
_HEADINGS = {"h1": "b:hi", "h2": "b:link", "h3": "b:fg"}


def render(text: str, width: int, most: int | None = None, *, html: bool = False) -> list[Line]:
    """The lines of `text`, wrapped at `width` cells; the first `most`, the rest of which is not laid out then.

    `html`: its tags are read, as in a card.
    """
    return list(islice(_Renderer(width, html, most).blocks(parsed(text)), most))


def in_pieces(text: str, width: int) -> Iterator[Line]:
    """The same of a long text, a piece at a time: what it is parsed into takes a hundred times its size."""
    for piece in _pieces(text):
        yield from _Renderer(width).blocks(_parsed(piece))


def as_it_is(text: str, width: int, most: int | None = None) -> Iterator[Line]:
    """The lines of a text that is no Markdown, the first `most`."""
    return islice(_Renderer(width).code(text), most)


def _pieces(text: str) -> Iterator[str]:
    """A long text cut before headings, after very much before paragraphs or anywhere, never in a fence."""
    piece: list[str] = []
    size, fence, blank = 0, "", True
    stream = StringIO(text)
    while line := stream.readline(_PIECE):
        mark = _FENCE.match(line)
        heading, paragraph = blank and line.startswith("#"), blank and line[:1].isalpha()
        if not fence and size > (_PIECE if heading else 4 * _PIECE if paragraph else 16 * _PIECE):
            yield "".join(piece)
            piece, size = [], 0
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and not line[mark.end() :].strip() else fence
        elif mark:
            fence = mark[1]
        piece.append(line)
        size += len(line)
        blank = not line.strip()
    yield "".join(piece)


@lru_cache(maxsize=8)
def parsed(text: str) -> Sequence[Token]:
    """The tokens of `text`, remembered: whoever loads a long one asks for them before the event loop does."""
    return _parsed(text)


def _parsed(text: str) -> Sequence[Token]:
    return MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)


class _Renderer:
    def __init__(self, width: int, html: bool = False, most: int | None = None) -> None:
        self._width = width
        self._html = html
        self._most = most  # lines that are wanted: of a table no more rows are read
        self._depth = 0
        self._bullets: list[tuple[str, int]] = []
        self._mark = ""

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Line]:
        """The lines of a document's tokens."""
        number = 0
        while number < len(tokens):
            token = tokens[number]
            if token.type == "table_open":
                end = next(i for i in range(number, len(tokens)) if tokens[i].type == "table_close")
                yield from self._table(tokens[number:end])
                number = end
            elif token.type == "heading_open":
                word = _HEADINGS.get(token.tag, "fg")
                yield from self._text(self._words(tokens[number + 1]), word)
                yield Line()
                number += 2
            elif token.type == "inline":
                text = self._words(token)
                if text.strip():
                    yield from self._text(text, "fg" if not self._quoted else "dim")
                elif tokens[number + 1].type == "paragraph_close":
                    number += 1  # there was nothing but tags
            elif self._html and token.type == "code_block" and _TAG.match(token.content.lstrip()):  # HTML, indented
                yield from self._text(clean(" ".join(_untagged(token.content).split()), 100_000), "fg")
                yield Line()
            elif token.type in ("fence", "code_block"):
                yield from self.code(token.content)
            elif token.type == "hr":
                yield self._line("─" * max(1, self._width - 2 * MARGIN - self._depth), "rule")
            else:
                yield from self._structure(token)
            number += 1

    _quoted = 0

    def _structure(self, token: Token) -> Iterator[Line]:
        """Lists and quotes open and close; a paragraph ends with an empty line outside of lists."""
        if token.type in ("bullet_list_open", "ordered_list_open"):
            self._bullets.append(("•" if token.type.startswith("bullet") else "1", int(token.attrGet("start") or 1)))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._bullets.pop()
            if not self._bullets:
                yield Line()
        elif token.type == "list_item_open":
            kind, number = self._bullets[-1]
            self._mark = f"{number}. " if kind == "1" else "• "
            self._bullets[-1] = kind, number + 1
            self._depth += _INDENT
        elif token.type == "list_item_close":
            if self._mark:  # nothing is in it: the mark is not for what comes next
                yield self._line(self._mark.rstrip(), "link")
                self._mark = ""
            self._depth -= _INDENT
        elif token.type == "blockquote_open":
            self._quoted += 1
            self._depth += _INDENT
        elif token.type == "blockquote_close":
            self._quoted -= 1
            self._depth -= _INDENT
        elif token.type == "paragraph_close" and not self._bullets:
            yield Line()

    def _words(self, token: Token) -> str:
        """The text of an inline token: what it says, without its marks; a picture by its description."""
        out, code = [], []
        for part in token.children or ():
            if part.type == "text":
                out.append(part.content)
            elif part.type == "code_inline":
                code.append(part.content)
                out.append(_CODE)
            elif part.type in ("softbreak", "hardbreak"):
                out.append(" ")
            elif part.type == "image":
                out.append(f"[picture: {part.content or 'without a description'}]")
        said = "".join(out)
        first, *rest = (_untagged(said) if self._html else said).split(_CODE)
        return clean("".join([first, *(one for pair in zip(code, rest, strict=False) for one in pair)]), 100_000)

    def _line(self, text: str, word: str, ground: str = "") -> Line:
        pen = Pen(self._width, ground)
        pen.put(MARGIN + self._depth, text, word)
        return pen.line()

    def _text(self, text: str, word: str) -> Iterator[Line]:
        mark, self._mark = self._mark, ""
        room = max(8, self._width - 2 * MARGIN - self._depth - len(mark))
        for number, part in enumerate(sentences(text, room)):
            pen = Pen(self._width)
            if mark and not number:
                pen.put(MARGIN + self._depth, mark, "link")
            pen.put(MARGIN + self._depth + len(mark), part, word)
            yield pen.line()

    def code(self, text: str) -> Iterator[Line]:
        """A text as it is, a line of it that is too long cut."""
        for line in StringIO(text):  # not all at once: it may be very long
            yield self._line(
                head(clean(line.rstrip("\r\n").expandtabs(4)), self._width - 2 * MARGIN - self._depth), "ok", "head"
            )
        yield Line()

    def _table(self, tokens: Sequence[Token]) -> Iterator[Line]:
        """Columns as wide as they need to be, less where they do not fit; a cell that is too long is cut."""
        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                if self._most is not None and len(rows) > self._most:
                    break
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(self._words(token))
        wide = [max(width_of(cell) for cell in column) for column in zip(*rows, strict=False)]
        left_out, wide = len(wide[_MOST_COLUMNS:]), wide[:_MOST_COLUMNS]
        room = self._width - 2 * MARGIN - self._depth - 3 * (len(wide) - 1)
        wide = [min(one, max(3, room)) for one in wide]
        while wide and sum(wide) > room and max(wide) > 3:
            wide[wide.index(max(wide))] -= 1
        for number, row in enumerate(rows):
            pen = Pen(self._width)
            x = MARGIN + self._depth
            for cell, size in zip(row, wide, strict=False):
                if x > MARGIN + self._depth:
                    pen.put(x - 2, "│", "rule")
                pen.put(x, head(cell, size), "b:fg" if not number else "fg")
                x += size + 3
            yield pen.line()
            if not number:
                yield self._line("─" * min(sum(wide) + 3 * (len(wide) - 1), self._width - 2 * MARGIN), "rule")
        if left_out:
            yield self._line(f"… and {left_out} more {'column' if left_out == 1 else 'columns'}", "faint")
        yield Line()


def _untagged(text: str) -> str:
    """`text` without the tags of HTML."""
    return _TAG.sub(_instead, text) if "<" in text else text


def _instead(tag: re.Match[str]) -> str:
    name = tag["name"].lower()
    if name == "img":
        alt = _ALT.search(tag["more"] or "")
        return f"[picture: {(alt and (alt[1] or alt[2])) or 'without a description'}]"
    return " " if name in ("br", "hr", "td", "th", "li") else ""
