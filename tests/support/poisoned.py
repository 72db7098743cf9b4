"""PDFs that are to be survived, made here: each a few objects by the letter of ISO 32000-1, wrong in one way."""

from __future__ import annotations

import zlib
from pathlib import Path

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"


def pdf(*bodies: bytes) -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start))


def stream(data: bytes, more: bytes = b"") -> bytes:
    """A stream object."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), more, data)


def no_pages() -> bytes:
    """A page tree without a page."""
    return pdf(CATALOG, b"<< /Type /Pages /Count 0 /Kids [] >>")


def loop() -> bytes:
    """A page tree that is its own child, and says it has a million pages."""
    return pdf(CATALOG, b"<< /Type /Pages /Count 1000000 /Kids [2 0 R 2 0 R] >>")


def bomb(megabytes: int = 64) -> bytes:
    """A page whose content unfolds to `megabytes` of spaces."""
    packed = zlib.compress(b" " * (megabytes << 20), 9)
    return pdf(CATALOG, b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", PAGE, stream(packed, b"/Filter /FlateDecode"))


def huge_page() -> bytes:
    """A page as large as a country."""
    page = PAGE.replace(b"595 842", b"900000000 900000000")
    return pdf(CATALOG, b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", page, stream(b""))


def large(path: Path, size: int = 2 << 30) -> Path:
    """A file of 2 GiB that begins as a PDF and takes no room on disk."""
    with path.open("wb") as file:
        file.write(b"%PDF-1.4\n")
        file.truncate(size)
    return path
