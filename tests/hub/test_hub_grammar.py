"""The filters of `hf cache ls` select here what they select there, and where we differ we mean to."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.hub import choose
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from support import hubcache

OPERATORS = ("=", "!=", ">", "<", ">=", "<=", "==", "=>", "~", "")
VALUES = {
    "size": ("1GB", "1MB", "1mb", "1000", "1k", "1KB", "10M", "1T", "2p", "0", "-1", "1.5MB", "1 MB", "1MiB", "x", ""),
    "accessed": ("7d", "1w", "1mo", "1y", "1h", "30m", "60s", "0d", "2D", "1MO", "1W", "30M", "7", "7 d", "x", ""),
    "modified": ("7d", "1y", "2h", "1MO", "90"),
    "type": ("model", "dataset", "space", "MODEL", " model", "models", "kernel", "", "mod*"),
    "refs": ("main", "MAIN", "v1.0", "refs/pr/1", "pr/1", "nope", "", "*"),
    "name": ("org/tiny",),
    "bogus": ("1",),
}  # fmt: skip
WHOLE = ("size", "size 1GB", " size > 1MB ", "SIZE>1MB", "accessed >7d", "size>1MB,type=model", "")
OURS = re.compile(
    r"name.*|(type|refs)\s*!=.*|.*\*|size.*[\d.]\s*MiB|\D*\d+\.\d+MB|\D*\d+ [MdD]B?"  # keys, wildcards, units of ours
)
THEIRS = re.compile(
    r"size\D*-1|accessed\D*7|modified\D*90|accessed.*30M|(type|refs)(=>|==).*"
    # a negative size, an age without a unit, `M` for minutes that others take for months, and text after `=>`
)
DAY = 86_400


def aged(path: Path, read: float, written: float) -> None:
    now = time.time()
    for file in (path / "blobs").iterdir():
        os.utime(file, (now - read, now - written))


@pytest.fixture
def hub(cache: Path) -> Path:
    for name, kind, size, ref, read, written in (
        ("org/tiny", "model", 10, "main", DAY, 2 * DAY),
        ("org/kb", "model", 1000, "v1.0", 8 * DAY, 9 * DAY),
        ("org/mb", "dataset", 1_000_000, "main", 40 * DAY, 41 * DAY),
        ("org/more", "space", 1_500_000, "main", 400 * DAY, 500 * DAY),
        ("gpt2", "model", 5000, "refs/pr/1", 3600, 2 * 3600),
    ):
        made = hubcache.repo(cache, name, kind)
        made.file("w.bin", b"w" * size)
        made.file("old.bin", b"old", commit=hubcache.OTHER)
        made.ref(ref)
        aged(made.path, read, written)
    return cache


def answer(look: Callable[[], list[str]]) -> list[str] | None:
    try:
        return sorted(look())
    except ValueError:
        return None


def test_filters(hub: Path, scanner: Scanner) -> None:
    cli = pytest.importorskip("huggingface_hub.cli.cache")
    from huggingface_hub import scan_cache_dir

    theirs = scan_cache_dir(hub)
    refs = {repo: frozenset(ref for one in repo.revisions for ref in one.refs) for repo in theirs.repos}
    ours: Models = with_detail(scanner.scan(), scanner)
    now, same = time.time(), 0
    for text in (
        *WHOLE,
        *(f"{k}{s}{v}" for k, values in VALUES.items() for s, v in itertools.product(OPERATORS, values)),
    ):

        def hf(text: str = text) -> list[str]:
            test = cli.compile_cache_filter(text, refs)
            return [f"{repo.repo_type}/{repo.repo_id}" for repo in theirs.repos if test(repo, None, now)]

        def us(text: str = text) -> list[str]:
            test = choose.keep([text], now)
            return [f"{repo.type}/{repo.id}" for repo in ours.repos if test(repo)]

        said, found = answer(hf), answer(us)
        if said is None and found is not None:
            assert OURS.fullmatch(text), f"{text!r} is an error to hf, here it selects {found}"
        elif said is not None and found is None:
            assert THEIRS.fullmatch(text), f"{text!r} is an error here, to hf it selects {said}"
        elif said != found:
            assert OURS.fullmatch(text), f"{text!r}: hf selects {said}, here it is {found}"
        else:
            same += said is not None
    assert same > 80, "the comparison compared something"


def test_orders(hub: Path, scanner: Scanner) -> None:
    cli = pytest.importorskip("huggingface_hub.cli.cache")
    from huggingface_hub import scan_cache_dir

    theirs, ours = scan_cache_dir(hub), with_detail(scanner.scan(), scanner)
    for key, direction in itertools.product(("size", "accessed", "modified", "name"), ("", ":asc", ":desc")):
        by, reverse = cli.compile_cache_sort(key + direction)
        wanted = sorted(((repo, None) for repo in theirs.repos), key=by, reverse=reverse)
        found = choose.arrange(key + direction)(ours.repos)
        assert [repo.id for repo in found] == [repo.repo_id for repo, _ in wanted], key + direction
