"""Reading events: whole lines only, whatever the writer did."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cachetop.conversion.events import LONGEST_LINE, Tail, last, public, read

NAMES = st.sampled_from(["page-finished", "progress", "job-finished"])
EVENTS = st.lists(st.fixed_dictionaries({"event": NAMES, "seq": st.integers(1, 99), "text": st.text(max_size=9)}))
GARBAGE = st.sampled_from([b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"seq": 1}', b'{"event": 7}', b"[" * 5000])


@given(events=EVENTS, garbage=GARBAGE, cuts=st.lists(st.integers(0, 4000), max_size=5))
def test_any_split_of_the_file_gives_the_same_events(
    tmp_path_factory: object, events: list[dict[str, object]], garbage: bytes, cuts: list[int]
) -> None:
    path = Path(tmp_path_factory.mktemp("tail")) / "events.jsonl"  # type: ignore[attr-defined]
    whole = b"".join(json.dumps(event).encode() + b"\n" + garbage + b"\n" for event in events)
    tail, got, before = Tail(path), [], 0
    for cut in [*sorted(min(cut, len(whole)) for cut in cuts), len(whole)]:
        with path.open("ab") as file:
            file.write(whole[before:cut])
        before = cut
        got += tail.poll()
    assert got == events
    assert list(read(path)) == events
    assert tail.poll() == []


def test_a_torn_last_line_is_ignored_until_its_end_comes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.poll() == []  # not there yet
    path.write_bytes(b'{"event": "a"}\n{"event": ')
    assert [event["event"] for event in tail.poll()] == ["a"]
    assert [event["event"] for event in read(path)] == ["a"]
    with path.open("ab") as file:
        file.write(b'"b"}\n')
    assert [event["event"] for event in tail.poll()] == ["b"]


def test_an_endless_line_is_dropped_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * (3 * LONGEST_LINE) + b'\n{"event": "after"}\n')
    tail, got = Tail(path), []
    for _ in range(5):
        got += tail.poll(LONGEST_LINE)
    assert [event["event"] for event in got] == ["after"]
    assert len(tail._torn) <= LONGEST_LINE


def test_a_file_written_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "first", "n": 1}\n')
    tail = Tail(path)
    tail.poll()
    path.write_bytes(b'{"event": "anew"}\n')
    assert [event["event"] for event in tail.poll()] == ["anew"]


def test_a_symlink_or_a_fifo_in_its_place_is_no_events_file(tmp_path: Path) -> None:
    import os

    (tmp_path / "real").write_bytes(b'{"event": "a"}\n')
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "fifo")
    assert Tail(tmp_path / "link").poll() == []
    assert Tail(tmp_path / "fifo").poll() == []


def test_the_last_event_of_a_name_is_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "x", "n": 0}\n' * 9000 + b'{"event": "x", "n": 1}\n{"event": "y"}\n{"event": "x"')
    assert last(path, "x") == {"event": "x", "n": 1}
    assert last(path, "z") is None
    assert last(tmp_path / "none", "x") is None


def test_a_credential_in_a_message_is_not_passed_on() -> None:
    line = public({"event": "error", "message": "401 for hf_abcdefghijklmnop", "hint": None, "file": "/a/key b.pdf"})
    assert "hf_abc" not in line and "\\u001b" not in line
    assert json.loads(line)["file"] == "/a/key b.pdf"
