"""Untrusted text, units, filters: the small things everything else leans on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.base import files, units
from cachetop.base.disks import disks
from cachetop.base.filters import compile_filters
from cachetop.base.hostile import clean, mask, show


@given(st.text() | st.binary())
def test_cleaned_text_cannot_move_the_cursor_or_reorder(text: str | bytes) -> None:
    got = clean(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in got)
    assert not any(c in got for c in "\u202e\u2066\u200b\u2028\ufeff")
    assert clean(got) == got


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ordinary_names_are_left_alone(text: str) -> None:
    assert clean(text) == text


def test_escape_sequences_stay_visible_as_odd_names() -> None:
    assert clean("a\x1b[31mb") == "a�[31mb"
    assert clean(b"caf\xe9") == "caf�"
    assert len(clean("x" * 10_000, limit=50)) == 50


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve --api-key sk-verysecretvalue123",
        "curl -H 'Authorization: Bearer hf_abcdefghijklmnop'",
        "python x.py --hf-token=hf_abcdefghijklmnop",
        "HF_TOKEN=hf_abcdefghijklmnop python",
        "git clone https://me:s3cretpw@example.org/x.git",
        "psql --password s3cretpw",
        "run --secret 's3cretpw'",
        '{"api_key": "s3cretpw", "model": "x"}',
        "{'password': 's3cretpw'}",
        "run --secret-key s3cretpw --access-token s3cretpw",
        "AWS_SECRET_ACCESS_KEY=s3cretpw x",
        "accessToken: s3cretpw",
        "run --key s3cretpw",
    ],
)
def test_secrets_are_masked(line: str) -> None:
    got = mask(line)
    assert "****" in got
    for secret in ("verysecretvalue", "abcdefghijklmnop", "s3cretpw"):
        assert secret not in got


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve --tokenizer org/model --max-tokens 4096",
        "--key-frames-per",
        "python -m vllm.entrypoints --model org/keyboard-7b",
        "tokenizer.json",
        "monkey patch",
    ],
)
def test_harmless_text_is_not_masked(line: str) -> None:
    assert show(line) == line


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 KB"), (171_658_996, "172 MB"), (16_600_000_000, "16.6 GB"),
     (999_600, "1.00 MB"), (None, "?")],
)  # fmt: skip
def test_file_sizes_are_decimal_with_three_digits(count: int | None, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 MiB"), (289_406_976, "276 MiB"), (2**31, "2.00 GiB"), (85_520_809_984, "79.6 GiB")]
)
def test_memory_is_binary(count: int, text: str) -> None:
    assert units.memory(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.071, "71 ms"), (4.94, "4.9 s"), (59.97, "1 min 0 s"), (64, "1 min 4 s"), (7500, "2 h 5 min"), (None, "?")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert units.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e15))
def test_a_printed_size_reads_back_within_its_three_digits(count: float) -> None:
    back = units.parse_size(units.size(count))
    assert abs(back - count) <= max(1, count * 0.006)


def test_ages_never_match_the_unknown() -> None:
    @dataclass
    class Thing:
        used: float | None
        size: int
        name: str

    keys = {
        "accessed": ("age", lambda t: t.used),
        "size": ("size", lambda t: t.size),
        "name": ("text", lambda t: t.name),
    }
    now = 1_000_000.0
    old, new, unknown = Thing(now - 8 * 86400, 10**9 + 1, "a-b"), Thing(now - 60, 5, "c"), Thing(None, 10**10, "d")
    older = compile_filters(["accessed>7d"], keys, now)
    assert [older(t) for t in (old, new, unknown)] == [True, False, False]
    both = compile_filters(["size>1GB", "name=a*"], keys, now)
    assert [both(t) for t in (old, new, unknown)] == [True, False, False]
    for bad in ("size", "size>big", "colour=red", "name>a", "accessed>7"):
        with pytest.raises(ValueError, match=r"'"):
            compile_filters([bad], keys, now)


def test_a_quiet_read_leaves_the_access_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello" * 100)
    os.utime(path, (1_000_000, 2_000_000))
    assert files.read_bounded(str(path), 7) == b"hellohe"
    assert os.stat(path).st_atime == 1_000_000


def test_a_bounded_read_follows_no_link_and_hangs_on_no_fifo(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("secret")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="symbolic links"):
        files.read_bounded(str(tmp_path / "link"), 10)
    with pytest.raises(ValueError, match="not a regular file"):
        files.read_bounded(str(tmp_path / "fifo"), 10)


def test_disks_are_asked_once_for_all_paths_on_them(tmp_path: Path) -> None:
    paths = [str(tmp_path), str(tmp_path / "not" / "there"), "/dev/shm"]
    found = disks(paths)
    asked = os.statvfs(tmp_path)
    mine = next(one for one in found if str(tmp_path) in one.paths)
    assert paths[1] in mine.paths and mine.total == asked.f_blocks * asked.f_frsize
    assert mine.full is not None and 0 <= mine.full <= 1
    shm = next(one for one in found if "/dev/shm" in one.paths)
    assert shm.in_memory == (shm.kind == "tmpfs") and shm.point != mine.point


def test_a_file_system_that_says_nothing_is_unknown_not_empty() -> None:
    proc = disks(["/proc"])[0]
    assert (proc.total, proc.free, proc.full) == (None, None, None)


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", b"name-\xff-\xe4\xb8\xad"), ("ascii", b"name-?-?")])
def test_no_name_ends_a_verb_whatever_the_encoding_of_stdout(encoding: str, shown: bytes) -> None:
    lines = (
        "import cachetop.cli",
        "cachetop.cli._write_anything()",
        "print('name-' + chr(0xdcff) + '-' + chr(0x4e2d))",
    )
    done = subprocess.run(
        [sys.executable, "-c", "; ".join(lines)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == shown


@pytest.mark.parametrize("words", [("kernels",), ("completion", "bash"), ("config", "schema")])
def test_an_output_that_takes_nothing_is_a_sentence(words: tuple[str, ...], world: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cachetop", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("No GPU is known")]
    assert done.returncode == 1
    assert lines == ["cachetop: standard output could not be written: No space left on device"]
