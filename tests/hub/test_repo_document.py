"""The repo document: pure lines out of a record."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from cachetop import locations
from cachetop.hub.about import About, GpuFree, describe
from cachetop.hub.scan import Scanner
from cachetop_tui.documents import repo as document
from cachetop_tui.marks import Text
from cachetop_tui.paint import width_of
from cachetop_tui.workbench import opening
from cachetop_tui.workbench.picture import Picture
from support import hubcache, pictures

NOW = 1_800_000_000.0
CARD = b"---\nlicense: mit\n---\n# A model\n\nIt reads [bold]pages[/bold], at length.\n\n```python\nx = 1\n```\n"


@pytest.fixture
def record(cache: Path, scanner: Scanner) -> About:
    made = hubcache.repo(cache, "org/model")
    head = b'{"wte":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]}}'
    made.file("model.safetensors", len(head).to_bytes(8, "little") + head + bytes(32))
    made.file("README.md", CARD)
    made.file("old.pth", b"pickle")
    made.ref()
    made.file("config.json", b"{}", commit=hubcache.OTHER)
    found = describe(scanner.scan().repos[0], scanner)
    return msgspec.structs.replace(found, gpu_free=(GpuFree(index=0, free=3 << 30),))


@pytest.mark.parametrize("width", [40, 80, 160])
def test_everything_known_is_said_and_fits(record: About, width: int) -> None:
    lines = document.lines(record, width, NOW)
    text = "\n".join(line.text for line in lines)
    for word in (
        "org/model",
        "REVISIONS",
        "WEIGHTS",
        "TENSORS",
        "CARD",
        "A model",
        "wte",
        "4 x 2",
        "detached",
        "old.pth",
    ):
        assert word in text
    assert "# A model" not in text and "```" not in text, "the card is rendered"
    assert "[bold]pages[/bold]" in text and "license: mit" not in text
    assert "3.00 GiB free on GPU 0" in " ".join(text.split()) or width < 60
    for line in lines:
        for mark in line.marks:
            if isinstance(mark, Text):
                assert mark.x >= 0 and mark.x + width_of(mark.text) <= width


def test_an_empty_repo_has_a_document_too(cache: Path, scanner: Scanner) -> None:
    hubcache.repo(cache, "org/starting")
    found = describe(scanner.scan().repos[0], scanner)
    text = "\n".join(line.text for line in document.lines(found, 80, NOW))
    assert "org/starting" in text and "no snapshots: a download" in text and "CARD" not in text
    assert "cachetop prune models org/starting --dry-run" in text, "what to do about it"


def test_a_stranger_s_card_cannot_write_on_the_screen(record: About) -> None:
    hostile = msgspec.structs.replace(record, card="\x1b[2J\u202eevil " + "x" * 10_000 + "\n" + "line\n" * 50_000)
    lines = document.lines(hostile, 80, NOW)
    text = "".join(line.text for line in lines)
    assert "\x1b" not in text and "\u202e" not in text
    assert len(lines) < 3000


HTML = """<p align="center">
  <img src="https://example.org/a_b_c.png" alt="the logo" width="300"/>
</p>

<div align="center">

<a href="https://example.org"><b>Home</b></a> and H<sub>2</sub>O<br>next

</div>

    <a href="https://example.org">
      indented
    </a>

It ends with `<b>` or <s> or <|end|>, 1 < 2 > 0.

```html
<p>code</p>
```
"""


def test_html_in_a_card_is_read_not_shown(record: About) -> None:
    lines = document.lines(msgspec.structs.replace(record, card=HTML), 100, NOW)
    shown = [line.text.strip() for line in lines]
    shown = shown[shown.index("CARD") + 1 :]
    assert [line for line in shown if line] == [
        "[picture: the logo]", "Home and H2O next", "indented",
        "It ends with <b> or <s> or <|end|>, 1 < 2 > 0.", "<p>code</p>",
    ]  # fmt: skip
    assert not any(one == other == "" for one, other in pairwise(shown)), "no gap where tags were"
    hostile = msgspec.structs.replace(record, card="<a " * 20_000 + "<img " + "x" * 60_000)
    assert document.lines(hostile, 80, NOW)


def test_a_card_full_of_comments_that_do_not_end_takes_no_time(record: About) -> None:
    hostile = msgspec.structs.replace(record, card="seen <!-- hidden --> too" + "<!--" * 100_000)
    assert document.card(hostile).startswith("seen  too<!--<!--")  # by a regular expression it took minutes
    wide = "| a | b |\n| --- | --- |\n| " + "word " * 12_000 + "| x |\n"
    lines = document.lines(msgspec.structs.replace(record, card=wide), 80, NOW)
    assert any("word word" in line.text for line in lines)


def test_the_app_holds_the_weights_against_the_free_vram(cache: Path, record: About) -> None:
    (repo,) = Scanner([locations.hub()]).scan().repos
    about = opening.repo_document(repo, Picture(gpus=pictures.gpus())).load()
    free = pictures.gpus().gpus[0].memory
    assert free is not None and about.gpu_free[0] == GpuFree(index=0, free=free.free)
    assert "free on GPU 0" in " ".join(" ".join(line.text for line in document.lines(about, 120, NOW)).split())
