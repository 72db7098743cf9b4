"""Write a small, valid PDF with real text, without any library: something to convert in demos and tests.

PDF 1.4 (ISO 32000-1): one catalog, one page tree, two of the fourteen standard fonts, one content stream
per page, a cross-reference table. Every page holds a heading, paragraphs and a ruled table. The same
arguments give the same bytes.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

_WIDTH, _HEIGHT = 595, 842
_LEFT, _TOP = 72, 770
_SENTENCES = (
    "The layout model finds titles, text, tables and pictures on the page image.",
    "Every detected region is matched with the text cells that the parser read from the file.",
    "A table is rebuilt cell by cell, so that rows and columns survive the conversion.",
    "The reading order joins the regions of all pages into one document.",
    "Weights are read from disk into memory once, and stay there as long as the process lives.",
)


def pdf(pages: int, title: str = "A paper to convert") -> bytes:
    """The bytes of a PDF of `pages` A4 pages. Raises ValueError for fewer than one."""
    if pages < 1:
        raise ValueError(f"A PDF has at least one page, {pages} were asked for.")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{' '.join(f'{5 + 2 * n} 0 R' for n in range(pages))}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number in range(1, pages + 1):
        content = 4 + 2 * number
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Contents {content} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>".encode()
        )
        stream = _page(number, title)
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    return _file(bodies)


def write_pdf(path: str | Path, pages: int, title: str = "A paper to convert") -> Path:
    """Write `pdf(pages, title)` to `path`, replacing it; returns the path. Raises OSError, ValueError."""
    path = Path(path)
    path.write_bytes(pdf(pages, title))
    return path


def _page(number: int, title: str) -> bytes:
    lines: list[str] = []
    y = _TOP
    if number == 1:
        lines.append(_text("F2", 20, _LEFT, y, title))
        y -= 40
    lines.append(_text("F2", 14, _LEFT, y, f"{number} Section of page {number}"))
    y -= 28
    for paragraph in range(3):
        words = " ".join(_SENTENCES[(number + paragraph + step) % len(_SENTENCES)] for step in range(4))
        for line in textwrap.wrap(f"Paragraph {paragraph + 1} of page {number}. {words}", 84):
            lines.append(_text("F1", 10.5, _LEFT, y, line))
            y -= 14
        y -= 10
    lines.extend(_table(number, y - 10))
    lines.append(_text("F1", 9, _WIDTH / 2 - 8, 40, str(number)))
    return "\n".join(lines).encode("cp1252", "replace")


def _table(number: int, top: float) -> list[str]:
    rows = [("Model", "Files", "Megabytes")]
    rows += [(f"model {number}.{row}", str(row * number), f"{row * 17.5:.1f}") for row in range(1, 6)]
    width, height = 130, 20
    right, bottom = _LEFT + 3 * width, top - height * len(rows)
    drawn = ["0.7 w"]
    drawn += [f"{_LEFT} {top - height * row} m {right} {top - height * row} l S" for row in range(len(rows) + 1)]
    drawn += [f"{_LEFT + width * col} {top} m {_LEFT + width * col} {bottom} l S" for col in range(4)]
    for row, cells in enumerate(rows):
        for col, cell in enumerate(cells):
            font = "F1" if row else "F2"
            drawn.append(_text(font, 10, _LEFT + width * col + 6, top - height * (row + 1) + 6, cell))
    return drawn


def _text(font: str, size: float, x: float, y: float, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{font} {size} Tf {x} {y} Td ({escaped}) Tj ET"


def _file(bodies: list[bytes]) -> bytes:
    """Number the objects from 1 and add header, cross-reference table and trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start)
    return bytes(out)
