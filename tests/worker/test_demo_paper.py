"""The PDF writer: what it writes is a PDF with that many pages and that text, for other programs too."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.demo.paper import pdf, write_pdf


@settings(max_examples=25)
@given(  # no hyphen: PDFium takes one at the end of a line for the mark of a broken word
    st.integers(1, 30),
    st.text(
        st.characters(codec="cp1252", exclude_categories=["C", "Z"], exclude_characters="-"), min_size=1, max_size=30
    ),
)
def test_pages_and_title_come_back(pages: int, title: str) -> None:
    document = pypdfium2.PdfDocument(pdf(pages, title))
    assert len(document) == pages
    for number in (1, pages):
        text = document[number - 1].get_textpage().get_text_range()
        assert f"{number} Section of page {number}" in text
        assert f"model {number}.5" in text
    assert title in document[0].get_textpage().get_text_range()


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    assert write_pdf(tmp_path / "a.pdf", 3).read_bytes() == pdf(3) != pdf(4)


def test_a_title_outside_the_font_is_no_error() -> None:
    assert len(pypdfium2.PdfDocument(pdf(1, "日本 \\ ( )"))) == 1


def test_no_page_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one page"):
        pdf(0)


def test_the_cross_reference_table_is_exact() -> None:
    data = pdf(2)
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start : start + 5] == b"xref\n"
    offsets = [int(line[:10]) for line in data[start:].splitlines()[3:] if line.endswith(b" n ")]
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj" % number)
