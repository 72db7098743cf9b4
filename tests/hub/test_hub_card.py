"""The README of a repo: a stranger's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cachetop.hub.scan import Scanner
from support import hubcache
from support.weights import about


def test_a_card_is_read_as_people_write_it(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("README.md", b"\xef\xbb\xbf--- \r\nlicense: mit\r\n---\t\r\n# Hello\r\n\r\n\tmake all\r\n|a\tb|\r\n")
    found = about(scanner)
    assert found.license == "mit"
    assert found.card == "# Hello\n\n    make all\n|a  b|"


BOMB = (
    b"---\na: &a [lol]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b"*%c," % (c - 1) * 9) for c in b"bcdefghijk")
    + b"---\n"
)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (BOMB + b"# Card", "# Card"),
        (b"x" * (64 << 20), "x" * 3999 + "…"),
        (b"---\n" * 200_000, ""),
        (
            b"\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
            "\ufffd]8;;http://evil.example\ufffd\\link\ufffd]8;;\ufffd\\",
        ),
        (b"\xff\xfe\x00#", "\ufffd\ufffd\ufffd#"),
        (b"\n", ""),
        (b"", None),
    ],
    ids=["yaml bomb", "one line of 64 MB", "rules", "osc 8", "no text", "newline", "empty"],
)
def test_a_hostile_card(cache: Path, scanner: Scanner, content: bytes, shown: str | None) -> None:
    hubcache.repo(cache).file("README.md", content)
    card = about(scanner).card
    assert card == shown or (shown == "" and set(card or "") <= set("-\n"))


@pytest.mark.parametrize("way", ["link out", "fifo", "link to a fifo", "folder", "loop", "token", "linked token"])
def test_a_card_that_is_no_file_of_the_repo_is_not_read(
    cache: Path, scanner: Scanner, world: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    made = hubcache.repo(cache)
    made.file("config.json", b"{}")
    secret = cache.parent / "token"
    secret.write_bytes(b"hf_abcdefghijklmnop")
    card = made.path / "snapshots" / hubcache.COMMIT / "README.md"
    if way == "link out":
        card.symlink_to(secret)
    elif way == "fifo":
        os.mkfifo(card)
    elif way == "link to a fifo":
        os.mkfifo(made.path / "blobs" / "fifo")
        card.symlink_to("../../blobs/fifo")
    elif way == "folder":
        card.mkdir()
    elif way == "loop":
        card.symlink_to("README.md")
    elif way == "token":
        card.write_bytes(secret.read_bytes())
        monkeypatch.setenv("HF_TOKEN_PATH", str(card))
    else:
        os.link(secret, card)
    found = about(scanner)
    assert found.card is None
    assert "hf_abc" not in found.to_json()


def test_a_token_in_a_card_is_masked(cache: Path, scanner: Scanner) -> None:
    text = b"login(token='hf_abcdefghijklmnop')\ngit clone https://me:pa55word@host/x\nkey: value, max-tokens 4096\n"
    hubcache.repo(cache).file("README.md", text)
    assert about(scanner).card == "login(token='****')\ngit clone https://****@host/x\nkey: value, max-tokens 4096"
